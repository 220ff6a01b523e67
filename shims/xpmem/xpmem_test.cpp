// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * libxpmem's own part, with a fake device: arguments and errno, numbers, which memory
 * detaching may touch, fork. That bytes arrive is for tests/xpmem, with the real one.
 */
#include "xpmem.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cma.h>

#include "extents.hpp"
#include "fake_device.hpp"

namespace xpmem {
namespace {

const auto page = static_cast<size_t>(getpagesize());
const auto mode = [](uintptr_t bits) { return reinterpret_cast<void *>(bits); };
void *const base = reinterpret_cast<void *>(0x10000000);
void *const failed = MAP_FAILED;

/* Calls must fail with an errno. */
#define EXPECT_FAILS(call, number)                                                       \
  do {                                                                                   \
    errno = 0;                                                                           \
    EXPECT_EQ((intptr_t)(call), -1);                                                     \
    EXPECT_STREQ(strerrorname_np(errno), strerrorname_np(number)) << #call;              \
  } while (0)

class Xpmem : public testing::Test {
protected:
  ~Xpmem() override
  {
    for (Range range : std::vector(fake().mapped))
      fake().unmap(range);
    fake().opening = 0;
    fake().showing = 0;
  }

  static xpmem_segid_t make(size_t pages = 16, uintptr_t bits = 0600)
  {
    return xpmem_make(base, pages * page, XPMEM_PERMIT_MODE, mode(bits));
  }

  static xpmem_apid_t get(xpmem_segid_t segment, int flags = XPMEM_RDWR)
  {
    return xpmem_get(segment, flags, XPMEM_PERMIT_MODE, nullptr);
  }

  static char *attach(xpmem_apid_t permit, size_t size, size_t offset = 0,
                      void *where = nullptr)
  {
    return static_cast<char *>(
        xpmem_attach({permit, static_cast<off_t>(offset)}, size, where));
  }

  static bool is_mapped(const void *address)
  {
    unsigned char resident;
    return mincore(const_cast<void *>(address), page, &resident) == 0;
  }

  static bool is_reachable(const char *address)
  {
    char byte;
    const iovec here = {&byte, 1};
    const iovec there = {const_cast<char *>(address), 1};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
  }

  /** How many mappings there are of those that were ever asked for. */
  static size_t mappings()
  {
    return static_cast<size_t>(std::ranges::count_if(fake().mapped, [](Range range) {
      return is_mapped(reinterpret_cast<void *>(range.begin));
    }));
  }

  static Range range(const char *begin, size_t pages)
  {
    const auto at = reinterpret_cast<uintptr_t>(begin);
    return {at, at + pages * page};
  }

  /** Whether a closure is true in a child; no assertion can fail there. */
  template<class Closure>
  static bool in_child(const Closure &closure)
  {
    const pid_t child = fork();
    if (child == 0)
      _exit(closure() ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
};

TEST_F(Xpmem, VersionIsTheOriginals)
{
  EXPECT_EQ(xpmem_version(), 0x00027004);
  EXPECT_EQ(xpmem_init(), 0);
}

TEST_F(Xpmem, MakeIsAWindow)
{
  const auto segment = make(4, 0751);
  ASSERT_GT(segment, 0);
  const auto &window = fake().windows.at(static_cast<uint64_t>(segment));
  EXPECT_EQ(window.base, reinterpret_cast<uintptr_t>(base));
  EXPECT_EQ(window.length, 4 * page);
  EXPECT_EQ(window.mode, 0640U);
  EXPECT_EQ(xpmem_remove(segment), 0);
  EXPECT_TRUE(fake().windows.empty());
}

TEST_F(Xpmem, MakeOfAllMemory)
{
  const auto segment =
      xpmem_make(nullptr, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE, mode(0600));
  ASSERT_GT(segment, 0);
  EXPECT_EQ(fake().windows.at(static_cast<uint64_t>(segment)).base, 0U);
  EXPECT_EQ(fake().windows.at(static_cast<uint64_t>(segment)).length, size_t{INTPTR_MAX});
  EXPECT_EQ(xpmem_remove(segment), 0);
}

TEST_F(Xpmem, MakeRefuses)
{
  auto *unaligned = static_cast<char *>(base) + 1;
  EXPECT_FAILS(xpmem_make(base, page, 0, mode(0600)), EINVAL);
  EXPECT_FAILS(xpmem_make(base, page, 2, mode(0600)), EINVAL);
  EXPECT_FAILS(xpmem_make(base, page, XPMEM_PERMIT_MODE, mode(01600)), EINVAL);
  EXPECT_FAILS(xpmem_make(base, 0, XPMEM_PERMIT_MODE, mode(0600)), EINVAL);
  EXPECT_FAILS(xpmem_make(unaligned, page, XPMEM_PERMIT_MODE, mode(0600)), EINVAL);
  EXPECT_FAILS(xpmem_make(base, page + 1, XPMEM_PERMIT_MODE, mode(0600)), EINVAL);
  EXPECT_FAILS(xpmem_make(base, SIZE_MAX - page + 1, XPMEM_PERMIT_MODE, mode(0600)),
               EINVAL);
  EXPECT_TRUE(fake().windows.empty());
}

TEST_F(Xpmem, RemoveRefuses)
{
  EXPECT_FAILS(xpmem_remove(0), EINVAL);
  EXPECT_FAILS(xpmem_remove(-5), EINVAL);
  EXPECT_FAILS(xpmem_remove(4711), ENOENT);
  fake().windows[4712] = {0, page, 0600, CMA_ACCESS_READ};
  fake().windows[4713] = {0, page, 0600, 0};
  EXPECT_FAILS(xpmem_remove(4712), EACCES);
  EXPECT_FAILS(xpmem_remove(4713), EACCES);
  EXPECT_TRUE(fake().handles.empty());
  fake().windows.clear();
}

TEST_F(Xpmem, GetAsksForWhatItsFlagsSay)
{
  const auto segment = make();
  for (const auto &[flags, access] : {std::pair{XPMEM_RDONLY, CMA_ACCESS_READ},
                                      {0, CMA_ACCESS_READ},
                                      {XPMEM_RDWR, CMA_ACCESS_READ | CMA_ACCESS_WRITE}}) {
    const auto permit = get(segment, flags);
    ASSERT_GT(permit, 0);
    EXPECT_EQ(fake().handles.begin()->second.access, access);
    EXPECT_EQ(xpmem_release(permit), 0);
    EXPECT_TRUE(fake().handles.empty());
  }
  xpmem_remove(segment);
}

TEST_F(Xpmem, GetRefuses)
{
  const auto segment = make();
  EXPECT_FAILS(get(0), EINVAL);
  EXPECT_FAILS(get(-1), EINVAL);
  EXPECT_FAILS(get(segment, XPMEM_RDONLY | XPMEM_RDWR), EINVAL);
  EXPECT_FAILS(get(segment, 4), EINVAL);
  EXPECT_FAILS(xpmem_get(segment, XPMEM_RDWR, 0, nullptr), EINVAL);
  EXPECT_FAILS(get(4711), ENOENT);
  fake().windows.at(static_cast<uint64_t>(segment)).allowed = CMA_ACCESS_READ;
  EXPECT_FAILS(get(segment, XPMEM_RDWR), EACCES);
  const auto permit = xpmem_get(segment, XPMEM_RDONLY, XPMEM_PERMIT_MODE, mode(0666));
  EXPECT_GT(permit, 0) << "the value is ignored";
  xpmem_release(permit);
  xpmem_remove(segment);
}

TEST_F(Xpmem, ReleaseRefuses)
{
  EXPECT_FAILS(xpmem_release(0), EINVAL);
  EXPECT_FAILS(xpmem_release(-1), EINVAL);
  EXPECT_FAILS(xpmem_release(4711), ENOENT);
  EXPECT_FAILS(xpmem_release(static_cast<xpmem_apid_t>(getpid()) << 32 | 999), ENOENT);
  EXPECT_FAILS(xpmem_release(static_cast<xpmem_apid_t>(getpid() + 1) << 32 | 1), EACCES);
}

TEST_F(Xpmem, AttachRoundsItsSize)
{
  const auto segment = make(4);
  const auto permit = get(segment);
  char *const place = attach(permit, page + 1, page);
  ASSERT_NE(place, failed);
  EXPECT_EQ(fake().mapped, std::vector{range(place, 2)});
  xpmem_release(permit);
  xpmem_remove(segment);
}

TEST_F(Xpmem, AttachRefuses)
{
  const auto segment = make(4);
  const auto permit = get(segment);
  auto *const odd = reinterpret_cast<void *>(0x1001);
  EXPECT_FAILS(attach(0, page), EINVAL);
  EXPECT_FAILS(attach(-1, page), EINVAL);
  EXPECT_FAILS(attach(4711, page), ENOENT);
  EXPECT_FAILS(attach(permit, 0), EINVAL);
  EXPECT_FAILS(attach(permit, SIZE_MAX), EINVAL);
  EXPECT_FAILS(attach(permit, page, 1), EINVAL);
  EXPECT_FAILS(attach(permit, page, 0, odd), EINVAL);
  EXPECT_FAILS(xpmem_attach({permit, -static_cast<off_t>(page)}, page, nullptr), EINVAL);
  EXPECT_FAILS(attach(permit, 5 * page), EINVAL);
  EXPECT_FAILS(attach(permit, page, 4 * page), EINVAL);
  EXPECT_FAILS(attach(permit, page, 0, base), EINVAL); /* on top of itself */
  xpmem_remove(segment);
  EXPECT_FAILS(attach(permit, page), ENOENT);
  EXPECT_TRUE(fake().mapped.empty());
  xpmem_release(permit);
}

TEST_F(Xpmem, AttachAtAPlace)
{
  const auto segment = make();
  const auto permit = get(segment);
  auto *const room = static_cast<char *>(
      mmap(nullptr, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_EQ(attach(permit, 2 * page, 0, room + page), room + page);
  EXPECT_FAILS(attach(permit, 2 * page, 0, room + 2 * page), EINVAL);
  EXPECT_FAILS(attach(permit, 2 * page, 0, room), EINVAL);
  EXPECT_EQ(attach(permit, page, 0, room + 3 * page), room + 3 * page);
  fake().unmap(range(room + page, 1));
  EXPECT_EQ(attach(permit, page, 0, room + page), room + page) << "it is free again";
  xpmem_release(permit);
  EXPECT_FALSE(is_mapped(room + page));
  EXPECT_FALSE(is_mapped(room + 3 * page));
  munmap(room, 4 * page);
  xpmem_remove(segment);
}

TEST_F(Xpmem, DetachByAnyAddress)
{
  const auto segment = make();
  const auto permit = get(segment);
  for (size_t inside : {size_t{0}, page - 1, 2 * page + 7, 3 * page - 1}) {
    char *const place = attach(permit, 3 * page);
    EXPECT_EQ(xpmem_detach(place + inside), 0);
    for (size_t i = 0; i < 3; i++)
      EXPECT_FALSE(is_reachable(place + i * page));
    EXPECT_EQ(xpmem_detach(place + inside), 0) << "nothing is there";
  }
  EXPECT_EQ(xpmem_detach(nullptr), 0);
  EXPECT_FAILS(xpmem_detach(__builtin_frame_address(0)), EINVAL);
  xpmem_release(permit);
  xpmem_remove(segment);
}

/* A program may unmap an attachment itself, and what comes there is no attachment. */
TEST_F(Xpmem, WhatTookAnAttachmentsPlaceStays)
{
  const auto segment = make();
  const auto permit = get(segment);
  char *const place = attach(permit, 4 * page);
  fake().unmap(range(place + page, 2));
  void *stranger = mmap(place + page, 2 * page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  ASSERT_EQ(stranger, place + page);
  place[page] = 'x';
  EXPECT_FAILS(xpmem_detach(place + page), EINVAL);
  EXPECT_TRUE(is_mapped(place));
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_FALSE(is_mapped(place));
  EXPECT_FALSE(is_mapped(place + 3 * page));
  EXPECT_EQ(place[page], 'x');
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(place[page], 'x');
  munmap(stranger, 2 * page);
  xpmem_remove(segment);
}

TEST_F(Xpmem, DetachingEndsWhatTheProgramLeftOfIt)
{
  const auto segment = make();
  const auto permit = get(segment);
  char *const place = attach(permit, 3 * page);
  fake().unmap(range(place, 1));
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_FALSE(is_reachable(place + page));
  EXPECT_FALSE(is_reachable(place + 2 * page));
  xpmem_release(permit);
  xpmem_remove(segment);
}

TEST_F(Xpmem, ReleaseDetachesAllOfItsOwn)
{
  const auto segment = make();
  const auto one = get(segment);
  const auto other = get(segment);
  EXPECT_NE(one, other);
  char *const first = attach(one, page);
  char *const second = attach(one, 2 * page);
  char *const kept = attach(other, page);
  EXPECT_EQ(xpmem_release(one), 0);
  EXPECT_FALSE(is_mapped(first));
  EXPECT_FALSE(is_mapped(second));
  EXPECT_TRUE(is_mapped(kept));
  EXPECT_FAILS(xpmem_release(one), ENOENT);
  EXPECT_FAILS(attach(one, page), ENOENT);
  xpmem_release(other);
  EXPECT_TRUE(fake().handles.empty());
  xpmem_remove(segment);
}

/* Of a large segment: where attachments are carved out of one mapping. */
class Carved : public Xpmem {
protected:
  static constexpr size_t pages = size_t{1} << 30 >> 12;

  /* A few that are near. They are kept, which the fake device does not tell. */
  Carved()
  {
    for (size_t i = 1; i <= Extents::few; i++)
      EXPECT_EQ(xpmem_detach(attach(permit, page, Extents::arena_size - i * page)), 0);
    fake().mapped.clear();
  }
  ~Carved() override
  {
    EXPECT_EQ(xpmem_release(permit), 0);
    EXPECT_EQ(mappings(), 0U) << "nothing outlives its permit";
    EXPECT_EQ(xpmem_remove(segment), 0);
  }

  xpmem_segid_t segment = make(pages);
  xpmem_apid_t permit = get(segment);
};

TEST_F(Xpmem, AFewAreMappingsOfTheirOwn)
{
  const auto segment = make(size_t{1} << 30 >> 12);
  const auto permit = get(segment);
  for (size_t i = 1; i <= Extents::few; i++) {
    char *const place = attach(permit, page, i * page);
    EXPECT_EQ(fake().mapped.back(), range(place, 1));
  }
  attach(permit, page, 0);
  EXPECT_EQ(fake().mapped.back().end - fake().mapped.back().begin, Extents::arena_size);
  xpmem_release(permit);
  xpmem_remove(segment);
}

TEST_F(Carved, WhatIsNearSharesAMapping)
{
  char *const one = attach(permit, page, 3 * page);
  char *const other = attach(permit, 2 * page, 4 * page);
  EXPECT_EQ(other, one + page);
  EXPECT_EQ(fake().mapped.size(), 1U);
  EXPECT_TRUE(is_reachable(one));
  EXPECT_TRUE(is_reachable(other + page));
  EXPECT_FALSE(is_reachable(one - page)) << "nobody attached that";
  EXPECT_FALSE(is_reachable(other + 2 * page));
  EXPECT_EQ(xpmem_detach(other), 0);
  EXPECT_TRUE(is_reachable(one));
  EXPECT_FALSE(is_reachable(other));
  EXPECT_FALSE(is_reachable(other + page));
  EXPECT_EQ(xpmem_detach(one + 7), 0);
  EXPECT_FALSE(is_reachable(one));
  EXPECT_EQ(attach(permit, page, 3 * page), one) << "the mapping was kept";
  EXPECT_TRUE(is_reachable(one));
  EXPECT_EQ(fake().mapped.size(), 1U);
}

TEST_F(Carved, AttachmentsNeverOverlap)
{
  char *const one = attach(permit, 8 * page, 3 * page);
  char *const same = attach(permit, 8 * page, 3 * page);
  char *const inside = attach(permit, page, 5 * page);
  EXPECT_EQ(xpmem_detach(same + 2 * page), 0);
  EXPECT_TRUE(is_reachable(one + 2 * page));
  EXPECT_TRUE(is_reachable(inside));
  EXPECT_EQ(xpmem_detach(one), 0);
  EXPECT_FALSE(is_reachable(one + 2 * page));
  EXPECT_FALSE(is_reachable(same));
  EXPECT_TRUE(is_reachable(inside));
}

TEST_F(Carved, WhatCrossesIsAlone)
{
  const size_t border = Extents::arena_size;
  char *const crossing = attach(permit, 2 * page, border - page);
  EXPECT_EQ(fake().mapped, std::vector{range(crossing, 2)});
  char *const large = attach(permit, Extents::largest_carved + page, 0);
  EXPECT_EQ(fake().mapped.back(), range(large, Extents::largest_carved / page + 1));
  EXPECT_NE(attach(permit, Extents::largest_carved, 0), failed);
  EXPECT_EQ(fake().mapped.size(), 3U);
}

/* Kept, and used again by those who attach the very same. */
TEST_F(Carved, WhatIsAloneIsKeptToo)
{
  const size_t border = Extents::arena_size;
  char *const place = attach(permit, 2 * page, border - page);
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_FALSE(is_reachable(place));
  EXPECT_EQ(attach(permit, 2 * page, border - page), place);
  EXPECT_TRUE(is_reachable(place + page));
  EXPECT_NE(attach(permit, 2 * page, border - page), place) << "it is taken";
  EXPECT_EQ(xpmem_detach(place), 0);
}

/* Not even for the moment before it is unmapped. */
TEST_F(Carved, WhatIsHiddenIsNotShownAgain)
{
  char *const near = attach(permit, page, 4 * page);
  fake().most_shown = 0;
  EXPECT_EQ(attach(permit, page, 0, near + 8 * page), near + 8 * page);
  EXPECT_EQ(xpmem_detach(near), 0);
  EXPECT_EQ(xpmem_detach(near + 8 * page), 0);
  EXPECT_EQ(attach(permit, page, 4 * page, nullptr) == failed, false);
  EXPECT_LE(fake().most_shown, page);
}

TEST_F(Carved, WhatIsKeptIsBounded)
{
  std::vector<char *> places;
  for (size_t i = 0; i < 3 * Extents::most_kept; i++)
    places.push_back(attach(permit, (1 + i) * page, Extents::arena_size - page));
  for (char *place : places)
    EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_EQ(mappings(), Extents::most_kept);
  char *const large = attach(permit, Extents::largest_kept + page, 0);
  EXPECT_EQ(xpmem_detach(large), 0);
  EXPECT_FALSE(is_mapped(large));
}

TEST_F(Carved, WhenTheSegmentIsGoneNothingIsKept)
{
  char *const place = attach(permit, page);
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_EQ(mappings(), 1U);
  for (const int error : {-EIDRM, -ESRCH}) {
    fake().showing = error;
    EXPECT_FAILS(attach(permit, page), ENOENT);
    EXPECT_EQ(mappings(), 0U);
    fake().showing = 0;
    for (unsigned i = 0; i <= Extents::few; i++)
      EXPECT_EQ(xpmem_detach(attach(permit, page)), 0);
    EXPECT_EQ(mappings(), 1U);
  }
}

/* A place that the program chose is the program's again after the detach. */
TEST_F(Carved, AChosenPlaceIsGivenBack)
{
  char *const near = attach(permit, page, page);
  char *const hidden = near + page;
  EXPECT_EQ(attach(permit, page, 7 * page, hidden), hidden) << "nobody's attachment";
  EXPECT_TRUE(is_reachable(near));
  EXPECT_EQ(xpmem_detach(hidden), 0);
  EXPECT_FALSE(is_mapped(hidden));
  EXPECT_TRUE(is_reachable(near));
  EXPECT_FAILS(attach(permit, page, 0, near), EINVAL);
  EXPECT_EQ(xpmem_detach(near), 0);
  EXPECT_FALSE(is_mapped(near)) << "its mapping was cut, and is not kept";
}

/* What the program unmapped itself is nobody's, whoever comes there. */
TEST_F(Carved, WhatTheProgramUnmappedStaysItsOwn)
{
  char *const one = attach(permit, 2 * page, 0);
  char *const other = attach(permit, 2 * page, 2 * page);
  fake().unmap(range(one, 2));
  void *stranger = mmap(one, 2 * page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  ASSERT_EQ(stranger, one);
  one[page] = 'x';
  EXPECT_FAILS(xpmem_detach(one), EINVAL);
  EXPECT_EQ(xpmem_detach(other), 0);
  EXPECT_NE(attach(permit, 2 * page, 0), one);
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(one[page], 'x');
  munmap(stranger, 2 * page);
  permit = get(segment);
}

TEST_F(Xpmem, SuccessLeavesErrnoAlone)
{
  errno = 4711;
  const auto segment = make();
  const auto permit = get(segment);
  char *const place = attach(permit, page);
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(xpmem_remove(segment), 0);
  EXPECT_EQ(errno, 4711);
}

TEST_F(Xpmem, AForkBeginsAnew)
{
  const auto segment = make();
  const auto permit = get(segment);
  const auto refused = [](intptr_t result, int error) {
    return result == -1 && errno == error;
  };
  EXPECT_TRUE(in_child([&] {
    const auto own = get(segment);
    return refused(xpmem_release(permit), EACCES) &&
           refused(reinterpret_cast<intptr_t>(attach(permit, page)), EACCES) &&
           refused(xpmem_remove(segment), EACCES) && own > 0 && own != permit &&
           attach(own, page) != failed && make() > 0;
  }));
  EXPECT_NE(attach(permit, page), failed) << "the parent's is as it was";
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(xpmem_remove(segment), 0);
}

/* Its memory is its parent's, and the device is open: it acts for its parent. */
TEST_F(Xpmem, AProcessInAnothersMemory)
{
  const auto segment = make();
  static xpmem_apid_t childs;
  const pid_t child = vfork();
  if (child == 0) {
    childs = get(segment);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(xpmem_release(childs), 0);
  EXPECT_EQ(xpmem_remove(segment), 0);
}

TEST_F(Xpmem, WithoutTheDevice)
{
  ASSERT_EQ(xpmem_init(), 0);
  EXPECT_TRUE(in_child([] {
    fake().opening = -ENOENT;
    const bool refused = xpmem_version() == -1 && errno == ENOENT && make() == -1 &&
                         errno == ENOENT && xpmem_detach(nullptr) == -1;
    fake().opening = 0;
    return refused && xpmem_version() > 0;
  }));
}

} // namespace
} // namespace xpmem
