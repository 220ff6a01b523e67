// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Who gets into a cache that is full: what is copied from again and again, whatever
 * else is copied from meanwhile, and hardly anything that is not.
 */
#include "system.hpp"
#include "traffic.hpp"
#include "use.hpp"

#include "../device/support/memory.hpp"
#include "../device/support/peer.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t bound = 64;
constexpr size_t all = 8 * bound;
constexpr size_t hot = bound / 2;
constexpr int64_t bytes = 64;
constexpr size_t fill = 2; ///< rounds: what is copied from twice is cached

/// Beyond what the tests before have filled the cache with, too.
class Admission : public testing::Test {
protected:
  ~Admission() override { unmap(base_, all * chunk); }

  /// Copies from all of them, `rounds` times, and each time from one of the last `some`.
  /// @return how many of the copies went wrong
  long scan(size_t rounds, size_t some = 0)
  {
    const pid_t owner = getpid();
    const uintptr_t base = base_;
    return reader_.call([=]() -> long {
      const Device device;
      const Buffer mine(page);
      const int32_t handle = handle_of(device, owner);
      long wrong = 0;
      for (size_t i = 0; i < rounds * all; i++) {
        const auto read = [&](size_t number) {
          return read_by_handle(device, handle, mine.address(), base + number * chunk,
                                bytes) == bytes;
        };
        wrong += read(i % all) ? 0 : 1;
        if (some > 0)
          wrong += read(all - 1 - i % some) ? 0 : 1;
      }
      return wrong;
    });
  }

  /// Of the last `some`: their owner counts whom it tells of a change.
  size_t cached(size_t some) const
  {
    const uint64_t before = counter("invalidations").value_or(0);
    for (size_t i = 0; i < some; i++)
      madvise(reinterpret_cast<void *>(base_ + (all - 1 - i) * chunk), page,
              MADV_DONTNEED);
    return counter("invalidations").value_or(0) - before;
  }

private:
  const Setting limit_ = module_parameter("max_chunks", std::to_string(bound));
  const uintptr_t base_ = make_sparse(all);
  Peer reader_;
  const Device device_; ///< keeps what is known between two scans
  const int32_t handle_ = handle_of(device_, getpid());
};

TEST_F(Admission, AScanMakesHardlyAnyChunks)
{
  constexpr size_t rounds = 8;
  EXPECT_EQ(scan(fill), 0);
  const uint64_t before = counter("evictions").value_or(0);
  EXPECT_EQ(scan(rounds), 0);
  EXPECT_LT(counter("evictions").value_or(0) - before, rounds * all / 64)
      << "chunks come and go";
}

TEST_F(Admission, WhatIsUsedGetsInBesideAScan)
{
  EXPECT_EQ(scan(fill), 0);
  EXPECT_LE(cached(hot), hot / 4) << "there was room";
  EXPECT_EQ(scan(160, hot), 0);
  EXPECT_GE(cached(hot), hot * 9 / 10) << "kept out";
}

} // namespace
} // namespace cma_test
