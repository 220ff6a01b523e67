// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Populating a mapping: touches of what the peer has take no page fault, what it
 * does not have costs nothing, however much, and nothing but the caller's own
 * mappings is touched.
 */
#include "support/helper.hpp"
#include "support/map_fixture.hpp"

#include <algorithm>
#include <cma.h>
#include <iterator>
#include <memory>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

/// A call that goes on for longer goes on for ever.
constexpr unsigned patience_s = 60;

class Populate : public Map {
protected:
  static constexpr size_t length = 4 * huge_page;

  /// The owner stores to all of it, page by page.
  void start_filled()
  {
    start(Kind::Anonymous, length);
    const uintptr_t at = base;
    owner->call([=] {
      // Nobody shall gather the pages into huge ones between the mapping and the touch.
      madvise(reinterpret_cast<void *>(at), length, MADV_NOHUGEPAGE);
      for (size_t i = 0; i < length; i += page)
        *reinterpret_cast<volatile uint8_t *>(at + i) = 5;
      return 0L;
    });
  }
  /// In the owner, from here on; some bits of PROT_* for a part of its memory.
  void protect_owners(size_t offset, size_t bytes, int protection)
  {
    const uintptr_t at = base + offset;
    owner->call([=] {
      protect(at, bytes, protection);
      return 0L;
    });
  }

  /// How many faults it takes to touch the pages; each of them holds a 5.
  static long faults(uintptr_t from, size_t bytes)
  {
    touch(from, 0); // by code that has run before
    std::array<rusage, 2> usage{};
    getrusage(RUSAGE_THREAD, usage.data());
    const long sum = touch(from, bytes);
    getrusage(RUSAGE_THREAD, &usage[1]);
    EXPECT_EQ(sum, static_cast<long>(5 * bytes / page));
    return usage[1].ru_minflt + usage[1].ru_majflt - usage[0].ru_minflt -
           usage[0].ru_majflt;
  }

  /// Where nothing is, at the owner's place within 2 MB.
  uintptr_t free_place_like_base() const
  {
    void *const room = mmap(nullptr, length + huge_page, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(room != MAP_FAILED, "mmap of room");
    munmap(room, length + huge_page);
    const auto begin = reinterpret_cast<uintptr_t>(room);
    return begin + (base - begin) % huge_page;
  }

private:
  static long touch(uintptr_t from, size_t bytes)
  {
    long sum = 0;
    for (size_t i = 0; i < bytes; i += page)
      sum += *reinterpret_cast<volatile uint8_t *>(from + i);
    return sum;
  }
};

TEST_F(Populate, SparesTheFaults)
{
  start_filled();
  for (const int protection : {PROT_READ, PROT_READ | PROT_WRITE}) {
    const Mapping plain = whole(protection, length);
    EXPECT_GT(faults(plain.at(0), length), 0);
    const Mapping mapping = whole(protection, length);
    ASSERT_EQ(mapping.error(), 0);
    EXPECT_EQ(device.populate(mapping.at(0), length), gives(0));
    EXPECT_EQ(faults(mapping.at(0), length), 0);
    // Once more changes nothing.
    EXPECT_EQ(device.populate(mapping.at(0), length), gives(0));
    EXPECT_EQ(faults(mapping.at(0), length), 0);
  }
}

TEST_F(Populate, GoesOnBehindPagesThatAreHidden)
{
  constexpr size_t hidden = 100;
  start_filled();
  const Mapping mapping = whole(PROT_READ, length);
  ASSERT_EQ(device.show(CMA_HIDE_PAGES, mapping.at(hidden * page), page), gives(0));
  EXPECT_EQ(device.populate(mapping.at(0), length), gives(0));
  EXPECT_EQ(mapping.load(hidden * page), Mapping::segv);
  EXPECT_EQ(faults(mapping.at(0), hidden * page), 0);
  const size_t behind = (hidden + 1) * page;
  EXPECT_EQ(faults(mapping.at(behind), length - behind), 0);
}

TEST_F(Populate, IsNotDoneByMmap)
{
  start_filled();
  const Mapping mapping(device.fd(), handle, base, length, PROT_READ,
                        MAP_SHARED | MAP_POPULATE);
  ASSERT_EQ(mapping.error(), 0);
  EXPECT_GT(faults(mapping.at(0), length), 0);
}

TEST_F(Populate, IsDoneByTheLibraryWhenAsked)
{
  start_filled();
  cma_context *context = nullptr;
  ASSERT_EQ(cma_open(&context, CMA_OPEN_DEVICE), 0);
  const std::unique_ptr<cma_context, decltype(&cma_close)> closer(context, cma_close);
  const int own = cma_handle_open(context, cma_pid(owner->pid()));
  for (const bool populate : {false, true}) {
    void *at = nullptr;
    ASSERT_EQ(cma_map(context, own, base + 100, length - 200, PROT_READ,
                      populate ? CMA_MAP_POPULATE : 0, &at),
              0);
    const auto first = reinterpret_cast<uintptr_t>(at) - 100;
    EXPECT_EQ(faults(first, length) == 0, populate);
    EXPECT_EQ(cma_unmap(at, length - 200), 0);
  }
}

TEST_F(Populate, GoesThroughAllOfThePeersMappings)
{
  // One fault shows what one VMA of the peer's has.
  start_filled();
  for (size_t i = 0; i < length; i += 64 * page)
    protect_owners(i + 8 * page, 8 * page, PROT_READ);
  const Mapping mapping = whole(PROT_READ, length);
  EXPECT_EQ(device.populate(mapping.at(0), length), gives(0));
  EXPECT_EQ(faults(mapping.at(0), length), 0);
}

TEST_F(Populate, PassesHolesOver)
{
  start_filled();
  const uintptr_t at = base;
  owner->call([=] {
    unmap(at, page);                         // at the beginning
    unmap(at + huge_page - page, 2 * page);  // across two touches
    protect(at + 3 * page, page, PROT_NONE); // as good as one
    unmap(at + 2 * huge_page, huge_page);    // a whole one
    unmap(at + length - page, page);         // at the end
    return 0L;
  });
  const Mapping mapping = whole(PROT_READ, length);
  EXPECT_EQ(device.populate(mapping.at(0), length), gives(0));
  EXPECT_EQ(faults(mapping.at(page), 2 * page), 0);
  EXPECT_EQ(faults(mapping.at(4 * page), huge_page - 5 * page), 0);
  EXPECT_EQ(faults(mapping.at(huge_page + page), huge_page - page), 0);
  EXPECT_EQ(faults(mapping.at(3 * huge_page), huge_page - page), 0);
  for (const size_t hole : {size_t{0}, 3 * page, huge_page - page, huge_page,
                            2 * huge_page, 3 * huge_page - page, length - page})
    EXPECT_EQ(mapping.load(hole), Mapping::bus) << hole;
}

TEST_F(Populate, PassesAFileOverThatIsTooShort)
{
  start(Kind::FileShared, size);
  const uintptr_t at = base;
  EXPECT_EQ(owner->call([=]() -> long {
    const Fd file(memfd_create("cma-test", MFD_CLOEXEC));
    require(ftruncate(file.get(), 2 * page) == 0, "ftruncate");
    return mmap(reinterpret_cast<void *>(at), size, PROT_READ, MAP_SHARED | MAP_FIXED,
                file.get(), 0) == MAP_FAILED;
  }),
            0);
  const Mapping mapping = whole(PROT_READ);
  EXPECT_EQ(device.populate(mapping.at(0), size), gives(0));
  EXPECT_EQ(device.populate(mapping.at(2 * page), size - 2 * page), gives(0));
  EXPECT_EQ(mapping.load(0), 0);
  EXPECT_EQ(mapping.load(2 * page), Mapping::bus);
}

TEST_F(Populate, TakesNoTimeForHolesAsLargeAsAllMemory)
{
  start_filled();
  constexpr size_t all = 1UL << 46;
  const uintptr_t from = std::min(base & ~(huge_page - 1), (1UL << 47) - page - all);
  Peer mapper;
  const pid_t pid = owner->pid();
  EXPECT_EQ(mapper.call([=]() -> long {
    alarm(patience_s);
    const OwnMapping mapping(pid, from, all, PROT_READ);
    mapping.populate(all);
    return 5;
  }),
            5);
}

TEST_F(Populate, TouchesTheBytesPages)
{
  start_filled();
  // As kernels place it by themselves that know huge pages of files.
  const Mapping mapping(device.fd(), handle, base, length, PROT_READ,
                        MAP_SHARED | MAP_FIXED_NOREPLACE, free_place_like_base());
  ASSERT_EQ(mapping.error(), 0);
  // Where the owner's first whole 2 MB begin: one touch shows them, and nothing else.
  const size_t first = huge_page - base % huge_page;
  EXPECT_EQ((mapping.at(0) - base) % huge_page, 0U);
  EXPECT_EQ(device.populate(mapping.at(first + 5 * page + 100), 1), gives(0));
  EXPECT_EQ(faults(mapping.at(first), page), 0);
  EXPECT_GT(faults(mapping.at(first - page), page), 0);
  // Two bytes, of two pages that no one touch shows.
  EXPECT_EQ(device.populate(mapping.at(first + 2 * huge_page - 1), 2), gives(0));
  EXPECT_EQ(faults(mapping.at(first + huge_page), 2 * huge_page), 0);
}

TEST_F(Populate, RefusesARangeThatIsNone)
{
  start();
  const Mapping mapping = whole(PROT_READ);
  EXPECT_EQ(device.populate(mapping.at(0), 0), fails(EINVAL));
  EXPECT_EQ(device.populate(mapping.at(0), 0 - mapping.at(0) + 1), fails(EINVAL));
  EXPECT_EQ(device.populate(mapping.at(0), ~0ULL), fails(EINVAL));
  EXPECT_EQ(device.populate(~0ULL, 2), fails(EINVAL));
}

TEST_F(Populate, RefusesWhatIsNoMapping)
{
  start();
  const Mapping mapping = whole(PROT_READ);
  const uintptr_t plain = make_memory(Kind::Anonymous, 2 * page);
  for (const uint64_t address :
       {uint64_t{0}, uint64_t{plain}, uint64_t{plain} + 2 * page, 0x7ffffffff000UL,
        0x800000000000UL, 0xffff800000000000UL, ~0UL - page, ~0UL})
    EXPECT_EQ(device.populate(address, 1), fails(EFAULT)) << std::hex << address;
  EXPECT_EQ(device.populate(mapping.at(0), 0 - mapping.at(0)), fails(EFAULT));
  EXPECT_EQ(device.populate(mapping.at(0) - 1, 2), fails(EFAULT));
  EXPECT_EQ(device.populate(mapping.at(0), size + 1), fails(EFAULT));
  EXPECT_EQ(device.populate(mapping.at(0), size), gives(0));
  // Plain memory that is refused has not been touched.
  std::array<unsigned char, 2> resident{};
  ASSERT_EQ(mincore(reinterpret_cast<void *>(plain), 2 * page, resident.data()), 0);
  EXPECT_EQ(resident[0] & 1, 0);
  unmap(plain, 2 * page);
}

TEST_F(Populate, RefusesAMappingThatCannotBeRead)
{
  start();
  const Mapping mapping = whole(PROT_READ);
  protect(mapping.at(page), page, PROT_NONE);
  EXPECT_EQ(device.populate(mapping.at(page), page), fails(EFAULT));
  EXPECT_EQ(device.populate(mapping.at(0), size), fails(EFAULT));
  EXPECT_EQ(device.populate(mapping.at(0), page), gives(0));
  EXPECT_EQ(device.populate(mapping.at(2 * page), size - 2 * page), gives(0));
}

TEST_F(Populate, TakesMappingsOfOtherHandlesAndFiles)
{
  start();
  const Mapping mapping = whole(PROT_READ);
  EXPECT_EQ(device.close(handle), gives(0));
  EXPECT_EQ(Device().populate(mapping.at(0), size), gives(0));
}

TEST_F(Populate, SaysThatThePeerIsGone)
{
  start();
  const Mapping mapping = whole(PROT_READ);
  owner->kill(SIGKILL);
  owner->wait();
  EXPECT_EQ(device.populate(mapping.at(0), size), fails(ESRCH));
}

TEST_F(Populate, SaysThatTheWindowWasDestroyed)
{
  start();
  const uintptr_t mine = make_memory(Kind::Anonymous, size);
  auto window = sized<cma_ioc_window_create>();
  window.base = mine;
  window.length = size;
  window.access = CMA_ACCESS_READ;
  window.mode = 0600;
  ASSERT_EQ(device.call(CMA_IOC_WINDOW_CREATE, &window), gives(0));
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = window.window;
  ASSERT_EQ(device.call(CMA_IOC_OPEN, &open), gives(0));
  const Mapping mapping(device.fd(), open.handle, 0, size, PROT_READ);
  ASSERT_EQ(mapping.error(), 0);
  EXPECT_EQ(device.populate(mapping.at(0), size), gives(0));
  auto destroy = sized<cma_ioc_window_destroy>();
  destroy.window = window.window;
  ASSERT_EQ(device.call(CMA_IOC_WINDOW_DESTROY, &destroy), gives(0));
  EXPECT_EQ(device.populate(mapping.at(0), size), fails(EIDRM));
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  unmap(mine, size);
}

} // namespace
} // namespace cma_test
