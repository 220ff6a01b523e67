// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Hazard 9: an owner that changes its memory in a tight loop must not starve
 * those who copy from it. process_vm_readv() of the same time is the measure.
 */
#include "stage.hpp"
#include "system.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

using std::chrono::steady_clock;

constexpr size_t size = huge_page;

/// What one process asks of a thread of the other, and how far that one is.
struct Request {
  std::atomic<uint64_t> asked = 0;
  std::atomic<uint64_t> done = 0;
  std::atomic<uint64_t> rounds = 0;
};

/// A race goes on until there are so many copies by each road, and the owner made so
/// many rounds meanwhile: however long that takes a machine. Only starvation takes for
/// ever.
constexpr size_t enough_copies = 40;
constexpr uint64_t enough_rounds = 100;

/// Times of copies by both roads, made in turn.
struct Race {
  std::vector<double> system_call;
  std::vector<double> device;
  uint64_t wrong = 0;
};

/// The lower quartile. What starves, starves in every copy; a busy machine, which stops a
/// guest at will, shows in the others.
double typical(std::vector<double> times)
{
  const auto quarter = times.begin() + static_cast<ptrdiff_t>(times.size() / 4);
  std::nth_element(times.begin(), quarter, times.end());
  return *quarter;
}

class Starve : public testing::Test {
protected:
  ~Starve() override
  {
    unmap(address_, 3 * size);
    munmap(request_, sizeof(Request));
    owner_.kill(SIGKILL);
    owner_.wait();
    board_.release();
  }

  /// In the owner, until the board says stop: madvise() of that range, over and over.
  void post_loop(uintptr_t at, size_t bytes)
  {
    owner_.post([=, this, board = &board_]() -> long {
      std::thread servant([=, this] {
        while (board->running())
          serve();
      });
      for (; board->running(); request_->rounds++) {
        madvise(reinterpret_cast<void *>(at), bytes, MADV_DONTNEED);
        for (size_t i = 0; i < bytes; i += page)
          *reinterpret_cast<volatile uint64_t *>(at + i) = 7;
      }
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

  Race race(bool invalidating)
  {
    Race race;
    while (race.device.size() < enough_copies || request_->rounds < enough_rounds) {
      race.system_call.push_back(copy(Route::Syscall, invalidating, race.wrong));
      race.device.push_back(copy(Route::Handle, invalidating, race.wrong));
    }
    board_.stop();
    return race;
  }

  /// Right bytes, and at least that share of the system call's speed.
  void expect_speed(const Race &race, double share)
  {
    EXPECT_EQ(owner_.answer(), 0);
    const double ratio = typical(race.system_call) / typical(race.device);
    printf("  %zu copies each, %lu rounds of the owner; %.2f times as fast as the system "
           "call\n",
           race.device.size(), request_->rounds.load(), ratio);
    EXPECT_EQ(race.wrong, 0U);
    EXPECT_GE(ratio, share);
  }

  const uintptr_t address_ = make_memory(Kind::Anonymous, 3 * size);

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

  double copy(Route route, bool invalidating, uint64_t &wrong)
  {
    if (invalidating)
      invalidate();
    const iovec local = segment(buffer_.address(), size);
    const iovec remote = segment(address_, size);
    const auto start = steady_clock::now();
    const Outcome outcome =
        run(device_, route, target_, {false, &local, 1, &remote, 1, 0});
    const std::chrono::duration<double> time = steady_clock::now() - start;
    wrong += outcome != gives(size) || !values_fit();
    return time.count();
  }

  bool values_fit() const
  {
    for (size_t i = 0; i < size / sizeof(uint64_t); i += words_per_page)
      if (buffer_.words()[i] != 7 && buffer_.words()[i] != 0)
        return false;
    return true;
  }

  Board &board_ = Board::fresh(1, 60000);
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
  expect_speed(race(false), 1);
}

/// The chunk beside the range changes, at its very edge.
TEST_F(Starve, TheOwnerChangesTheNextPage)
{
  post_loop(address_ + size, page);
  expect_speed(race(false), 1);
}

/// Every copy has to translate the range again, meanwhile.
TEST_F(Starve, FillsWhileTheOwnerChangesElsewhere)
{
  post_loop(address_ + 2 * size, 4 * page);
  expect_speed(race(true), 1);
}

/// Nothing to win there: right bytes, progress, and no collapse.
TEST_F(Starve, TheOwnerChangesTheVeryRange)
{
  post_loop(address_ + size / 2, 4 * page);
  expect_speed(race(false), 0.4);
}

} // namespace
} // namespace cma_test
