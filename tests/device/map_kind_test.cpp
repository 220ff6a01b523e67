// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Mappings of pages that are not like others: the huge zero page, which is
 * nobody's, and hugetlb pages, which are touched as a whole.
 */
#include "support/huge.hpp"
#include "support/map_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace cma_test {
namespace {

/// In a peer: a touch that takes longer never ends.
constexpr unsigned patience_s = 20;

/// The kernel's flags of the page at an address of a process, KPF_*; 0: none.
uint64_t flags_of(pid_t pid, uintptr_t address)
{
  const auto word = [](const std::string &path, uint64_t index) {
    const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    uint64_t value = 0;
    const ssize_t got =
        pread(fd.get(), &value, sizeof(value), static_cast<off_t>(index * sizeof(value)));
    return got == sizeof(value) ? value : 0;
  };
  const uint64_t entry =
      word("/proc/" + std::to_string(pid) + "/pagemap", address / page);
  const uint64_t frame = entry & ((1UL << 55) - 1);
  return (entry >> 63) != 0 ? word("/proc/kpageflags", frame) : 0;
}

class MapKind : public Map {
protected:
  bool shows_huge_zero_page(size_t offset) const
  {
    constexpr uint64_t huge = 1UL << 22;
    constexpr uint64_t zero = 1UL << 24;
    const uint64_t flags = flags_of(owner->pid(), base + offset);
    return (flags & huge) != 0 && (flags & zero) != 0;
  }
};

TEST_F(MapKind, TheHugeZeroPageIsShownAndTakenAway)
{
  const size_t huge = std::max(huge_page, size_of_huge_pages());
  for (const bool owner_stores : {true, false}) {
    start(Kind::TransparentHuge, 2 * huge);
    if (IsSkipped())
      return;
    const Mapping mapping = whole(PROT_READ | PROT_WRITE, 2 * huge);
    for (const size_t at : {size_t{0}, huge}) {
      ASSERT_EQ(owner_byte(at), 0);
      if (!shows_huge_zero_page(at))
        GTEST_SKIP() << "this kernel gave the owner no huge zero page";
      EXPECT_EQ(mapping.load(at + page), 0);
      EXPECT_EQ(mapping.load(at + huge - 1), 0);
      EXPECT_TRUE(shows_huge_zero_page(at));
    }
    // A store takes one away, the end of the mapping the other.
    if (owner_stores)
      owner_byte(page, 5);
    else
      EXPECT_TRUE(mapping.store(page, 5));
    EXPECT_EQ(mapping.load(page), 5);
    EXPECT_EQ(owner_byte(page), 5);
    EXPECT_EQ(mapping.load(0), 0);
  }
}

class MapHugetlb : public MapKind {
protected:
  enum class How { Touched, Populated };
  static inline const size_t where = 5 * page;

  void SetUp() override
  {
    start(Kind::Hugetlb, huge_page);
    if (IsSkipped())
      return;
    // A page more in the pool, for a copy of the owner's.
    unmap(make_memory(Kind::Hugetlb, 2 * huge_page), 2 * huge_page);
  }
  /// Makes a child of the owner's, which has its memory, too.
  void fork_owner()
  {
    owner->call([]() -> long {
      const pid_t child = fork();
      if (child == 0) {
        alarm(2 * patience_s);
        pause();
        _exit(0);
      }
      return child;
    });
  }
  /// A byte at @where as another process's mapping, just made, has it; or it stores.
  long other(How how, int value = -1) const
  {
    Peer mapper;
    const pid_t pid = owner->pid();
    const uintptr_t from = base;
    return mapper.call([=]() -> long {
      alarm(patience_s);
      const OwnMapping mapping(pid, from, huge_page);
      if (how == How::Populated)
        mapping.populate(huge_page);
      if (value >= 0)
        *mapping.at(where) = static_cast<uint8_t>(value);
      return *mapping.at(where);
    });
  }
};

TEST_F(MapHugetlb, TheFirstTouchMayBeInTheMiddle)
{
  EXPECT_EQ(other(How::Touched), 0);
  EXPECT_EQ(owner_byte(where), 0);
}

TEST_F(MapHugetlb, TheFirstStoreMayBeInTheMiddle)
{
  EXPECT_EQ(other(How::Touched, 7), 7);
  EXPECT_EQ(owner_byte(where), 7);
}

TEST_F(MapHugetlb, IsPopulated)
{
  EXPECT_EQ(other(How::Populated), 0);
  owner_byte(where, 7);
  EXPECT_EQ(other(How::Populated), 7);
}

TEST_F(MapHugetlb, IsStoredToAfterFork)
{
  owner_byte(where, 1);
  fork_owner();
  EXPECT_EQ(other(How::Touched), 1);
  EXPECT_EQ(other(How::Touched, 2), 2);
  EXPECT_EQ(owner_byte(where), 2);
}

TEST_F(MapHugetlb, IsPopulatedAndStoredToAfterFork)
{
  owner_byte(where, 1);
  fork_owner();
  EXPECT_EQ(other(How::Populated, 2), 2);
  EXPECT_EQ(owner_byte(where), 2);
}

} // namespace
} // namespace cma_test
