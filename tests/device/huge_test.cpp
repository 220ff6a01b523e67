// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Huge pages, each of which the cache remembers by one entry: what becomes of that
 * when the owner changes a part of one, and how little memory it takes.
 */
#include "support/huge.hpp"
#include "support/map_fixture.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <unistd.h>

namespace cma_test {
namespace {

/// What this kernel makes transparent: 32 MB with pages of 16 KB, a part of which is as
/// large as what the module remembers at a time.
const size_t huge = std::max(huge_page, size_of_huge_pages());

/// Pages of a huge one.
struct Part {
  size_t first;
  size_t count;
};

/// What an owner does to a part.
enum class Change { Discards, Unmaps, ReplacesIt, ProtectsIt, HidesIt, StoresAfterFork };

const char *name_of(Change change)
{
  switch (change) {
  case Change::Discards:
    return "Discards";
  case Change::Unmaps:
    return "Unmaps";
  case Change::ReplacesIt:
    return "ReplacesIt";
  case Change::ProtectsIt:
    return "ProtectsIt";
  case Change::HidesIt:
    return "HidesIt";
  case Change::StoresAfterFork:
    return "StoresAfterFork";
  }
  return "";
}

void make_huge(uintptr_t base, size_t length, int advice = MADV_HUGEPAGE)
{
  renew(base, length);
  madvise(reinterpret_cast<void *>(base), length, advice);
  for (size_t at = 0; at < length; at += page)
    *reinterpret_cast<volatile uint8_t *>(base + at) =
        static_cast<uint8_t>(1 + at / page);
}

void change_part(Change change, uintptr_t address, size_t length)
{
  void *memory = reinterpret_cast<void *>(address);
  const pid_t self = getpid();
  switch (change) {
  case Change::Discards:
    madvise(memory, length, MADV_DONTNEED);
    break;
  case Change::Unmaps:
    unmap(address, length);
    break;
  case Change::ReplacesIt:
    renew(address, length);
    break;
  case Change::ProtectsIt:
    protect(address, length, PROT_READ);
    break;
  case Change::HidesIt:
    protect(address, length, PROT_NONE);
    break;
  case Change::StoresAfterFork:
    if (fork() == 0) {
      die_with(self);
      pause();
      _exit(0);
    }
    for (size_t at = 0; at < length; at += page) {
      auto *const byte = reinterpret_cast<volatile uint8_t *>(address + at);
      *byte = *byte ^ 0xa5;
    }
    break;
  }
}

class HugePage : public Map {
protected:
  void SetUp() override
  {
    if (!has_huge_pages())
      GTEST_SKIP() << "this system has no TransparentHuge memory";
  }
  /// Copies bytes between the test's and the owner's memory, by one way.
  Outcome by(Route route, bool write, uint8_t *bytes, size_t offset, size_t length) const
  {
    const iovec local = {bytes, length};
    const iovec remote = segment(base + offset, length);
    return run(device, route, {owner->pid(), -1, handle},
               {write, &local, 1, &remote, 1, 0});
  }
  /// Copies all of it, as often as it takes until the cache has it.
  void use_all(size_t length)
  {
    std::vector<uint8_t> bytes(length);
    for (const bool write : {false, true, false})
      ASSERT_EQ(by(Route::Handle, write, bytes.data(), 0, length),
                gives(static_cast<int64_t>(length)));
  }
};

class HugePart : public HugePage, public testing::WithParamInterface<Change> {
protected:
  /// What a page is to copies and to the mapping, compared with the system call.
  void compare(const Mapping &mapping, size_t offset) const
  {
    uint8_t expected = 0;
    uint8_t got = 0;
    const Outcome outcome = by(Route::Syscall, false, &expected, offset, 1);
    EXPECT_EQ(by(Route::Handle, false, &got, offset, 1), outcome);
    EXPECT_EQ(got, expected);
    EXPECT_EQ(mapping.load(offset), outcome == gives(1) ? expected : Mapping::bus);
  }
  /// The same of a store, which is left in place.
  void compare_store(const Mapping &mapping, size_t offset, uint8_t value) const
  {
    const Outcome outcome = by(Route::Syscall, true, &value, offset, 1);
    EXPECT_EQ(by(Route::Handle, true, &value, offset, 1), outcome);
    value++;
    EXPECT_EQ(mapping.store(offset, value), outcome == gives(1));
    if (outcome == gives(1)) {
      EXPECT_EQ(mapping.load(offset), value);
    }
    compare(mapping, offset);
  }
};

TEST_P(HugePart, IsWhatItIsToTheOwner)
{
  const size_t length = 2 * huge;
  const size_t pages = huge / page;
  start(Kind::TransparentHuge, length);
  const Mapping mapping = whole(PROT_READ | PROT_WRITE, length);
  for (const Part part :
       {Part{0, 1}, Part{pages - 1, 1}, Part{pages / 5, 24}, Part{pages / 2, pages / 2},
        Part{0, pages}, Part{pages - 1, 2}}) {
    SCOPED_TRACE(testing::Message() << part.count << " pages from " << part.first);
    owner->call([=, base = base]() -> long {
      make_huge(base, length);
      return 0;
    });
    if (!was_given_huge_pages(owner->pid()))
      GTEST_SKIP() << "the kernel gave no transparent huge page";
    use_all(length);
    for (size_t at = 0; at < length; at += 3 * page)
      ASSERT_GE(mapping.load(at), 0);

    owner->call([=, change = GetParam(), base = base]() -> long {
      change_part(change, base + part.first * page, part.count * page);
      return 0;
    });
    for (size_t i = 0; i < length / page; i++) {
      // Where the part begins and ends, and here and there.
      if (i + 2 - part.first >= 4 && i + 2 - part.first - part.count >= 4 && i % 13 != 0)
        continue;
      SCOPED_TRACE(testing::Message() << "page " << i);
      compare(mapping, i * page + 5);
      compare_store(mapping, i * page + 9, static_cast<uint8_t>(i));
      if (HasFailure())
        return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Owner, HugePart,
                         testing::Values(Change::Discards, Change::Unmaps,
                                         Change::ReplacesIt, Change::ProtectsIt,
                                         Change::HidesIt, Change::StoresAfterFork),
                         [](const auto &info) { return name_of(info.param); });

/// Objects, each with room for an address of every page of 2 MB, that the kernel has for
/// whoever asks; what CPUs keep at hand counts.
long objects()
{
  const size_t bytes = huge_page / page * sizeof(void *);
  const std::string size =
      bytes < 1024 ? std::to_string(bytes) : std::to_string(bytes / 1024) + "k";
  long count = 0;
  for (const std::string &name : {"kmalloc-" + size, "kmalloc-cg-" + size}) {
    std::ofstream("/sys/kernel/slab/" + name + "/shrink") << 1 << std::flush;
    std::ifstream slabs("/proc/slabinfo");
    for (std::string line; std::getline(slabs, line);)
      if (line.starts_with(name + " "))
        count += std::stol(line.substr(name.size()));
  }
  return count;
}

TEST_F(HugePage, TakesLittleMemoryToRemember)
{
  constexpr size_t chunks = 64;
  constexpr size_t length = chunks * huge_page;
  start(Kind::TransparentHuge, length);
  const auto grown_by = [&](int advice) {
    owner->call([=, base = base]() -> long {
      make_huge(base, length, advice);
      return 0;
    });
    const long before = objects();
    use_all(length);
    return objects() - before;
  };
  const long small = grown_by(MADV_NOHUGEPAGE);
  if (small < static_cast<long>(chunks) / 2)
    GTEST_SKIP() << "this kernel does not tell what it allocates: " << small;
  owner.reset();
  start(Kind::TransparentHuge, length);
  EXPECT_LT(grown_by(MADV_HUGEPAGE), static_cast<long>(chunks) / 4);
}

} // namespace
} // namespace cma_test
