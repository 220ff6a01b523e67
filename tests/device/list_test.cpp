// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Lists of many short segments: what they name is translated together, and
 * nothing else of the peer's memory is touched.
 */
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace cma_test {
namespace {

class List : public testing::Test {
protected:
  static constexpr size_t pages = 240;
  static constexpr size_t stride = 4; ///< a segment on every fourth page
  static constexpr size_t count = pages / stride;
  static constexpr size_t bytes = 64;

  Peer peer;
  /// Nobody has touched it; within one chunk where pages have 4 KB, so that all segments
  /// are one look away.
  uintptr_t memory = static_cast<uintptr_t>(peer.call([]() -> long {
    const size_t size = std::max(huge_page, pages * page);
    const auto base = reinterpret_cast<uintptr_t>(
        mmap(nullptr, size + huge_page, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const uintptr_t chunk = (base + huge_page - 1) & ~(huge_page - 1);
    madvise(reinterpret_cast<void *>(chunk), size, MADV_NOHUGEPAGE);
    return static_cast<long>(chunk);
  }));
  Device device;
  Target target{peer.pid(), peer.pidfd(),
                static_cast<int>(device.open(CMA_PEER_PID, peer.pid()).result)};
  std::vector<uint8_t> buffer = std::vector<uint8_t>(count * bytes, 7);

  Outcome copy(bool write, size_t local_bytes = count * bytes)
  {
    const iovec local = {buffer.data(), local_bytes};
    std::vector<iovec> remote;
    for (size_t i = 0; i < count; i++)
      remote.push_back(segment(memory + i * stride * page, bytes));
    return run(device, Route::Handle, target,
               {write, &local, 1, remote.data(), remote.size(), 0});
  }
  /// Of the first pages of the memory, those that are not there as they should be.
  long misplaced(size_t touched)
  {
    return peer.call([at = memory, touched]() -> long {
      std::array<unsigned char, pages> there{};
      mincore(reinterpret_cast<void *>(at), pages * page, there.data());
      long wrong = 0;
      for (size_t i = 0; i < pages; i++)
        wrong += (there[i] & 1) != (i % stride == 0 && i / stride < touched);
      return wrong;
    });
  }
  long damage(size_t at_page)
  {
    return peer.call([at = memory + at_page * page]() -> long {
      return munmap(reinterpret_cast<void *>(at), page);
    });
  }
};

TEST_F(List, PagesBetweenAreLeftAlone)
{
  for (const bool write : {false, true}) {
    EXPECT_EQ(copy(write), gives(count * bytes));
    EXPECT_EQ(misplaced(count), 0);
    EXPECT_EQ(copy(write), gives(count * bytes));
    EXPECT_EQ(misplaced(count), 0);
  }
}

TEST_F(List, PagesPastTheShorterSideAreLeftAlone)
{
  EXPECT_EQ(copy(false, 30 * bytes), gives(30 * bytes));
  EXPECT_EQ(misplaced(30), 0);
  EXPECT_EQ(copy(true, 31 * bytes), gives(31 * bytes));
  EXPECT_EQ(misplaced(31), 0);
}

TEST_F(List, AHoleBetweenSegmentsIsNone)
{
  damage(2);
  damage(101);
  EXPECT_EQ(copy(false), gives(count * bytes));
  EXPECT_EQ(std::ranges::count(buffer, 0), static_cast<long>(count * bytes));
}

TEST_F(List, AHoleInASegmentEndsTheCopyThere)
{
  damage(40 * stride);
  for (const bool write : {false, true, false, true})
    EXPECT_EQ(copy(write), gives(40 * bytes));
}

TEST_F(List, SegmentsInAnyOrderMoreThanOnce)
{
  std::vector<iovec> remote;
  for (size_t i = 0; i < 500; i++)
    remote.push_back(segment(memory + i * 7919 % (pages * page - bytes), 1 + i % bytes));
  std::vector<uint8_t> expected;
  peer.call([at = memory]() -> long {
    for (size_t i = 0; i < pages * page; i++)
      reinterpret_cast<uint8_t *>(at)[i] = static_cast<uint8_t>(i * 31 / 13);
    return 0;
  });
  for (const iovec &one : remote)
    for (size_t i = 0; i < one.iov_len; i++) {
      const size_t at = reinterpret_cast<uintptr_t>(one.iov_base) - memory + i;
      expected.push_back(static_cast<uint8_t>(at * 31 / 13));
    }
  for (int round = 0; round < 3; round++) {
    std::vector<uint8_t> seen(expected.size());
    const iovec local = {seen.data(), seen.size()};
    EXPECT_EQ(run(device, Route::Handle, target,
                  {false, &local, 1, remote.data(), remote.size(), 0}),
              gives(static_cast<int64_t>(expected.size())));
    EXPECT_EQ(seen, expected);
  }
}

} // namespace
} // namespace cma_test
