// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Hazard 9: an owner that changes its memory in a tight loop must not starve
 * those who copy from it. Times would tell of all that a machine is busy with,
 * so that here the module's own counters do.
 */
#include "scenario.hpp"
#include "system.hpp"

#include <algorithm>
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t size = huge_page;

/// What one process asks of a thread of the other, and how far that one is.
struct Request {
  std::atomic<uint64_t> asked = 0;
  std::atomic<uint64_t> done = 0;
  std::atomic<uint64_t> rounds = 0;
};

/// There are so many copies, and the owner made so many rounds meanwhile, however long
/// that takes a machine.
constexpr uint64_t enough_copies = 40;
constexpr uint64_t enough_rounds = 2000;

class Starve : public testing::Test {
protected:
  ~Starve() override
  {
    unmap(address_, 3 * size);
    munmap(request_, sizeof(Request));
    owner_.kill(SIGKILL);
    owner_.wait();
    oracle_.release();
  }

  /// In the owner, until it is told to stop: madvise() of that range, over and over.
  void post_loop(uintptr_t at, size_t bytes)
  {
    owner_.post([=, this, oracle = &oracle_]() -> long {
      std::thread servant([=, this] {
        while (oracle->running())
          serve();
      });
      for (; oracle->running(); request_->rounds++)
        madvise(reinterpret_cast<void *>(at), bytes, MADV_DONTNEED);
      servant.join();
      return 0;
    });
  }

  /// Has the owner change the range's protection and back, so that nothing of it is
  /// cached.
  void invalidate()
  {
    const uint64_t mine = ++request_->asked;
    while (request_->done < mine)
      std::this_thread::yield();
  }

  /// An action, which copies, again and again while the loop goes on.
  void repeat(
      const std::function<void()> &action,
      const std::function<bool()> &enough = [] { return true; })
  {
    copy(Route::Handle); // what is cached is so from the beginning
    const uint64_t fills = counter("fills").value_or(0);
    const uint64_t invalidations = counter("invalidations").value_or(0);
    const uint64_t rounds = request_->rounds;
    while (copies_ < enough_copies || request_->rounds < rounds + enough_rounds ||
           !enough()) {
      action();
      copies_++;
    }
    fills_ = counter("fills").value_or(0) - fills;
    invalidations_ = counter("invalidations").value_or(0) - invalidations;
    printf("  %lu copies, %lu fills; %lu rounds of the owner, %lu invalidations\n",
           copies_, fills_, request_->rounds - rounds, invalidations_);
    oracle_.stop();
    EXPECT_EQ(owner_.answer(), 0);
  }

  void copy(Route route)
  {
    const iovec local = segment(buffer_.address(), size);
    const iovec remote = segment(address_, size);
    EXPECT_EQ(run(device_, route, target_, {false, &local, 1, &remote, 1, 0}),
              gives(size));
    EXPECT_TRUE(values_fit());
  }

  const uintptr_t address_ = make_memory(Kind::Anonymous, 3 * size);
  uint64_t copies_ = 0;
  uint64_t fills_ = 0;
  uint64_t invalidations_ = 0;

private:
  void serve()
  {
    if (request_->asked == request_->done) {
      usleep(50);
      return;
    }
    protect(address_, size, PROT_READ);
    protect(address_, size, PROT_READ | PROT_WRITE);
    request_->done++;
  }

  bool values_fit() const
  {
    for (size_t i = 0; i < size / sizeof(uint64_t); i += words_per_page)
      if (buffer_.words()[i] != 7 && buffer_.words()[i] != 0)
        return false;
    return true;
  }

  Oracle &oracle_ = Oracle::fresh(1, 60000);
  Request *request_ = new (mmap(nullptr, sizeof(Request), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Request;
  Peer owner_{[this] {
    madvise(reinterpret_cast<void *>(address_), 3 * size, MADV_NOHUGEPAGE);
    std::fill_n(reinterpret_cast<uint64_t *>(address_), 3 * size / sizeof(uint64_t), 7);
  }};
  Device device_;
  Fd pidfd_{pidfd_open(owner_.pid())};
  Target target_ = names_of(device_, owner_.pid(), pidfd_);
  Buffer buffer_{size};
};

TEST_F(Starve, TheOwnerChangesElsewhere)
{
  post_loop(address_ + 2 * size, 4 * page);
  repeat([this] { copy(Route::Handle); });
  EXPECT_LT(invalidations_, enough_rounds / 20) << "told of what it does not hold";
  EXPECT_LT(fills_, copies_ / 5);
}

/// The chunk beside the range changes, at its very edge.
TEST_F(Starve, TheOwnerChangesTheNextPage)
{
  post_loop(address_ + size, page);
  repeat([this] { copy(Route::Handle); });
  EXPECT_LT(invalidations_, enough_rounds / 20) << "told of what it does not hold";
  EXPECT_LT(fills_, copies_ / 5);
}

/// Every copy has to translate the range again, meanwhile: what it is told of is that.
TEST_F(Starve, FillsWhileTheOwnerChangesElsewhere)
{
  post_loop(address_ + 2 * size, 4 * page);
  repeat([this] {
    invalidate();
    copy(Route::Handle);
  });
  EXPECT_LT(invalidations_, 2 * copies_ + enough_rounds / 20)
      << "told of what it does not hold";
  EXPECT_GE(fills_, copies_ * 4 / 5);
}

/// Nothing to win there: right bytes, and progress. A fill that was tried three times is
/// given up, and pages are pinned: a copy without a fill. What can be cached at once is
/// half of the range.
TEST_F(Starve, TheOwnerChangesTheVeryRange)
{
  constexpr uint64_t tries = 3;
  constexpr uint64_t enough_losers = 5;
  uint64_t losers = 0; // copies that may have had to give up
  uint64_t given_up = 0;
  uint64_t most = 0;
  post_loop(address_, size);
  repeat(
      [&] {
        const uint64_t fills = counter("fills").value_or(0);
        const uint64_t before = counter("collisions").value_or(0);
        copy(Route::Handle);
        const uint64_t collisions = counter("collisions").value_or(0) - before;
        most = std::max(most, collisions);
        losers += collisions >= tries;
        given_up += collisions >= tries && counter("fills").value_or(0) == fills;
      },
      [&] { return losers >= enough_losers; });
  printf("  %lu copies lost thrice, %lu gave up, after %lu collisions at the most\n",
         losers, given_up, most);
  EXPECT_GT(given_up, 0U) << "starved";
  EXPECT_LE(most, 2 * tries) << "starved";
}

} // namespace
} // namespace cma_test
