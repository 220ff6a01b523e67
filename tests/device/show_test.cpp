// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Pages of a mapping that are hidden: nobody reaches the peer's by them from when the
 * call returns, whatever was mapped before, whoever faults meanwhile, and whatever
 * becomes of the mapping; and the others are none the worse for it.
 */
#include "support/map_fixture.hpp"
#include "support/rounds.hpp"
#include "support/window.hpp"

#include <atomic>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

class Show : public Map {
protected:
  /// Each page of the owner's begins with its number and 1.
  void start_numbered(size_t length = size)
  {
    start(Kind::Anonymous, length);
    const uintptr_t at = base;
    owner->call([=] {
      for (size_t i = 0; i < length / page; i++)
        *reinterpret_cast<volatile uint8_t *>(at + i * page) =
            static_cast<uint8_t>(i + 1);
      return 0L;
    });
  }
  /// The pages that can be touched, as the bits of a number.
  static unsigned shown(const Mapping &mapping, size_t pages = size / page)
  {
    unsigned bits = 0;
    for (size_t i = 0; i < pages; i++) {
      const int byte = mapping.load(i * page);
      if (byte != Mapping::segv)
        bits |= 1U << i;
      EXPECT_TRUE(byte == Mapping::segv || byte == static_cast<int>(i + 1)) << byte;
    }
    return bits;
  }
};

TEST_F(Show, HiddenPagesAreAsIfUnmapped)
{
  start_numbered();
  const Mapping mapping = whole();
  EXPECT_EQ(shown(mapping), 0xffU) << "all at first, and now in the page table";
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 2, 3), gives(0));
  EXPECT_EQ(shown(mapping), 0xe3U);
  EXPECT_FALSE(mapping.store(3 * page, 1));
  EXPECT_TRUE(mapping.store(5 * page, 6));
  const Fd file(memfd_create("cma-test", MFD_CLOEXEC));
  EXPECT_EQ(
      Outcome::of(write(file.get(), reinterpret_cast<void *>(mapping.at(2 * page)), 1)),
      fails(EFAULT));
  owner_byte(3 * page, 4);
  EXPECT_EQ(show(mapping, CMA_SHOW_PAGES, 3, 1), gives(0));
  EXPECT_EQ(shown(mapping), 0xebU);
  EXPECT_EQ(show(mapping, CMA_SHOW_ONLY, 1, 1), gives(0));
  EXPECT_EQ(shown(mapping), 0x02U);
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 0, 8), gives(0));
  EXPECT_EQ(shown(mapping), 0U);
  EXPECT_EQ(shown(whole()), 0xffU) << "another mapping is another matter";
}

/* A fault, and populating, enter what is around a page: but nothing that is hidden. */
TEST_F(Show, WhatIsAroundAPageStaysHidden)
{
  start_numbered();
  const Mapping warm = whole();
  EXPECT_EQ(shown(warm), 0xffU);
  for (const bool populate : {false, true}) {
    const Mapping mapping = whole();
    EXPECT_EQ(show(mapping, CMA_SHOW_ONLY, 3, 2), gives(0));
    if (populate) {
      EXPECT_EQ(device.populate(mapping.at(0), size), gives(0));
    }
    EXPECT_EQ(mapping.load(4 * page), 5);
    EXPECT_EQ(shown(mapping), 0x18U);
    EXPECT_EQ(show(mapping, CMA_SHOW_PAGES, 6, 1), gives(0));
    EXPECT_EQ(mapping.load(6 * page), 7);
    EXPECT_EQ(shown(mapping), 0x58U);
  }
}

TEST_F(Show, HidesAPartOfAHugePage)
{
  constexpr size_t length = 2 * huge_page;
  start(Kind::TransparentHuge, length);
  if (IsSkipped())
    return;
  const Mapping mapping = whole(PROT_READ | PROT_WRITE, length);
  ASSERT_EQ(mapping.error(), 0);
  const size_t first = (huge_page - mapping.at(0) % huge_page) % huge_page;
  owner_byte(first, 7);
  owner_byte(first + 5 * page, 8);
  const auto expect = [&](int head, int fifth) {
    EXPECT_EQ(mapping.load(first), head);
    EXPECT_EQ(mapping.load(first + 5 * page), fifth);
  };
  expect(7, 8);
  EXPECT_EQ(device.show(CMA_HIDE_PAGES, mapping.at(first + 5 * page), page), gives(0));
  expect(7, Mapping::segv);
  EXPECT_EQ(device.show(CMA_SHOW_PAGES, mapping.at(first + 5 * page), page), gives(0));
  expect(7, 8);
  EXPECT_EQ(device.show(CMA_HIDE_PAGES, mapping.at(first), huge_page), gives(0));
  expect(Mapping::segv, Mapping::segv);
  EXPECT_EQ(device.show(CMA_SHOW_PAGES, mapping.at(first), huge_page), gives(0));
  expect(7, 8);
}

TEST_F(Show, WhatIsLeftOfAMappingKeepsWhatItShows)
{
  start_numbered();
  const Mapping mapping = whole();
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 1, 1), gives(0));
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 6, 1), gives(0));
  protect(mapping.at(3 * page), page, PROT_READ); // three mappings now
  unmap(mapping.at(4 * page), page);
  EXPECT_EQ(shown(mapping), 0xadU);
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 5, 3), gives(0));
  EXPECT_EQ(shown(mapping), 0x0dU);
  EXPECT_EQ(show(mapping, CMA_SHOW_ONLY, 5, 1), gives(0));
  EXPECT_EQ(shown(mapping), 0x2dU);
  // Moved, it is the same mapping.
  const uintptr_t room = make_memory(Kind::Anonymous, 3 * page);
  auto *const moved =
      mremap(reinterpret_cast<void *>(mapping.at(5 * page)), 3 * page, 3 * page,
             MREMAP_MAYMOVE | MREMAP_FIXED, reinterpret_cast<void *>(room));
  ASSERT_EQ(reinterpret_cast<uintptr_t>(moved), room);
  EXPECT_EQ(device.show(CMA_HIDE_PAGES, room, page), gives(0));
  const Fd file(memfd_create("cma-test", MFD_CLOEXEC));
  for (size_t i = 0; i < 3; i++)
    EXPECT_EQ(
        Outcome::of(write(file.get(), reinterpret_cast<void *>(room + i * page), 1)),
        fails(EFAULT));
  unmap(room, 3 * page);
}

TEST_F(Show, RefusesWhatIsNotOneMapping)
{
  start_numbered();
  const Mapping mapping = whole();
  for (const unsigned how : {CMA_SHOW_PAGES, CMA_SHOW_ONLY, CMA_HIDE_PAGES}) {
    EXPECT_EQ(show(mapping, how, 0, 9), fails(EFAULT));
    EXPECT_EQ(show(mapping, how, 8, 1), fails(EFAULT));
    EXPECT_EQ(show(mapping, how, 0, 0), fails(EINVAL));
    EXPECT_EQ(device.show(how, mapping.at(1), page), fails(EINVAL));
    EXPECT_EQ(device.show(how, mapping.at(0), page + 1), fails(EINVAL));
    EXPECT_EQ(device.show(how, mapping.at(0), 0 - mapping.at(0) + page), fails(EINVAL));
    for (const uint64_t address :
         {uint64_t{0}, uint64_t{base}, 0x800000000000UL - page, 0x800000000000UL,
          0xffff800000000000UL, ~0UL - 2 * page + 1})
      EXPECT_EQ(device.show(how, address, page), fails(EFAULT)) << std::hex << address;
  }
  for (const unsigned how : {0U, 4U, ~0U})
    EXPECT_EQ(show(mapping, how, 0, 1), fails(EINVAL));
  EXPECT_EQ(shown(mapping), 0xffU) << "nothing was changed";
  unmap(mapping.at(3 * page), page);
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 2, 3), fails(EFAULT));
  EXPECT_EQ(mapping.load(2 * page), 3);
}

TEST_F(Show, RefusesAMappingThatIsTooLarge)
{
  start(Kind::Anonymous, size);
  const uintptr_t from = 1UL << 45;
  const Mapping most(device.fd(), handle, from, CMA_SHOW_MAX, PROT_READ);
  ASSERT_EQ(most.error(), 0);
  EXPECT_EQ(device.show(CMA_SHOW_ONLY, most.at(CMA_SHOW_MAX - page), page), gives(0));
  EXPECT_EQ(most.load(0), Mapping::segv);
  EXPECT_EQ(most.load(CMA_SHOW_MAX - page), Mapping::bus);
  const Mapping more(device.fd(), handle, from, CMA_SHOW_MAX + page, PROT_READ);
  ASSERT_EQ(more.error(), 0);
  EXPECT_EQ(device.show(CMA_HIDE_PAGES, more.at(0), page), fails(E2BIG));
  EXPECT_EQ(device.show(CMA_SHOW_PAGES, more.at(0), page), gives(0));
}

TEST_F(Show, WhatEndedCanOnlyBeHidden)
{
  start_numbered();
  static int file;
  const uintptr_t at = base;
  const long name = owner->call([=]() -> long {
    static const Device own;
    file = own.fd();
    return create_window(own, at, size, 0600).result;
  });
  const auto opened = open_window(device, name, CMA_ACCESS_READ);
  const Mapping mapping(device.fd(), static_cast<int32_t>(opened.result), 0, size,
                        PROT_READ);
  const Mapping by_pid = whole();
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 1, 1), gives(0));
  owner->call([=]() -> long {
    auto window = sized<cma_ioc_window_destroy>();
    window.window = static_cast<uint64_t>(name);
    return ioctl(file, CMA_IOC_WINDOW_DESTROY, &window);
  });
  EXPECT_EQ(show(mapping, CMA_SHOW_PAGES, 1, 1), fails(EIDRM));
  EXPECT_EQ(show(mapping, CMA_SHOW_ONLY, 1, 1), fails(EIDRM));
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 2, 1), gives(0));
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  EXPECT_EQ(mapping.load(page), Mapping::segv);
  owner.reset();
  EXPECT_EQ(show(by_pid, CMA_SHOW_PAGES, 0, 1), fails(ESRCH));
  EXPECT_EQ(show(by_pid, CMA_HIDE_PAGES, 0, 1), gives(0));
}

/* Threads fault all the time; after each hiding nobody reaches the page. */
TEST_F(Show, NobodySeesAPageThatWasJustHidden)
{
  start_numbered();
  const Mapping mapping = whole();
  std::atomic<bool> done = false;
  std::atomic<long> seen = 0;
  const Fd sink(memfd_create("cma-test", MFD_CLOEXEC));
  const auto reaches = [&](size_t index) {
    return pwrite(sink.get(), reinterpret_cast<void *>(mapping.at(index * page)), 1, 0) ==
           1;
  };
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int i = 0; i < 3; i++)
    readers.emplace_back([&] {
      while (!done)
        for (size_t index = 0; index < size / page; index++)
          seen += reaches(index);
    });
  for (const int round : Rounds(200, 5000, std::chrono::seconds(10))) {
    const auto first = static_cast<size_t>(round) % 7;
    ASSERT_EQ(show(mapping, CMA_HIDE_PAGES, first, 2), gives(0));
    ASSERT_FALSE(reaches(first)) << round;
    ASSERT_FALSE(reaches(first + 1)) << round;
    ASSERT_EQ(show(mapping, CMA_SHOW_PAGES, first, 2), gives(0));
    ASSERT_TRUE(reaches(first)) << round;
  }
  done = true;
  for (std::thread &reader : readers)
    reader.join();
  EXPECT_GT(seen, 0);
}

} // namespace
} // namespace cma_test
