// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The caller's own memory, which is fetched while nothing of the peer's is held: whatever
 * is not there, or comes and goes, a copy ends as the system call's does.
 */
#include "support/rounds.hpp"
#include "support/stall.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <initializer_list>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

class Local : public testing::Test {
protected:
  static inline const size_t size = 64 * page;
  Twin twin{size, size};

  Outcome by(Route route, bool write, uintptr_t local, uintptr_t remote, size_t length)
  {
    const iovec mine = segment(local, length);
    const iovec theirs = segment(remote, length);
    return run(twin.device(), route, twin.target(), Call{write, &mine, 1, &theirs, 1, 0});
  }
};

TEST_F(Local, EndsAtTheByteBeforeAHole)
{
  // In words, in lines, across pages: at the first try, and when all is cached.
  unmap(twin.local().at(2 * page), page);
  for ([[maybe_unused]] const int round : Rounds(2, 3, std::chrono::seconds(10)))
    for (const size_t before :
         std::initializer_list<size_t>{1, 2, 3, 5, 7, 8, 9, 15, 16, 31, 33, 63, 64, 65,
                                       page - 1, page, page + 1, 2 * page})
      for (const bool write : {false, true})
        EXPECT_EQ(
            twin.same(Request{write,
                              {segment(twin.local().at(2 * page - before), 4 * page)},
                              {segment(twin.remote().at(3), 5 * page)},
                              0}),
            gives(static_cast<int64_t>(before)));
}

TEST_F(Local, PagesThatNobodyTouched)
{
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle})
    for (const size_t offset : {0UL, 1UL, page - 1}) {
      twin.remote().fill(5);
      renew(twin.local().base(), size);
      EXPECT_EQ(
          by(route, false, twin.local().at(offset), twin.remote().base(), size - page),
          gives(size - page));
      const auto expected = pattern(size, 5);
      const auto got = twin.local().bytes();
      EXPECT_TRUE(std::equal(expected.begin(), expected.end() - page,
                             got.begin() + static_cast<long>(offset)));
      renew(twin.local().base(), size);
      EXPECT_EQ(
          by(route, true, twin.local().at(offset), twin.remote().base(), size - page),
          gives(size - page));
      EXPECT_EQ(twin.remote().bytes().front(), 0);
    }
}

TEST_F(Local, ThePagesPastTheCopysEndAreLeftAlone)
{
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle}) {
    renew(twin.local().base(), size);
    // With pages of 64 KB there is room for a huge one.
    madvise(reinterpret_cast<void *>(twin.local().base()), size, MADV_NOHUGEPAGE);
    EXPECT_EQ(
        by(route, false, twin.local().base(), twin.remote().at(size - 3 * page), size),
        gives(3 * page));
    std::vector<unsigned char> there(size / page);
    mincore(reinterpret_cast<void *>(twin.local().base()), size, there.data());
    EXPECT_EQ(std::count_if(there.begin(), there.end(),
                            [](unsigned char c) { return (c & 1) != 0; }),
              3)
        << name_of(route);
  }
}

/// The lowest address of the main thread's stack.
uintptr_t stack_begin()
{
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find("[stack]") != std::string::npos)
      return std::stoul(line, nullptr, 16);
  return 0;
}

TEST_F(Local, AStackGrowsAsItIsCopiedTo)
{
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle})
    for (const bool write : {false, true}) {
      const uintptr_t below = stack_begin() - 8 * page;
      EXPECT_EQ(by(route, write, below, twin.remote().base(), 8 * page), gives(8 * page))
          << name_of(route) << write;
      EXPECT_LE(stack_begin(), below);
    }
}

TEST_F(Local, PagesThatComeAndGo)
{
  // Another thread takes them away all the time. The count is that of all bytes.
  std::atomic<bool> over = false;
  std::thread taker([&, at = twin.local().base()] {
    while (!over)
      madvise(reinterpret_cast<void *>(at), size, MADV_DONTNEED);
  });
  for ([[maybe_unused]] const int round : Rounds(20, 500, std::chrono::seconds(4)))
    for (const Route route :
         {Route::Syscall, Route::Pid, Route::PidStrict, Route::Handle})
      for (const bool write : {false, true})
        EXPECT_EQ(by(route, write, twin.local().base(), twin.remote().base(), size),
                  gives(size))
            << name_of(route);
  over = true;
  taker.join();
}

TEST_F(Local, WhoWaitsForAPageCanBeKilled)
{
  for (const bool write : {false, true}) {
    renew(twin.local().base(), size);
    const pid_t child = fork();
    if (child == 0) {
      const Stall stall(twin.local().base(), size);
      if (!stall.works())
        _exit(77);
      std::thread([&] {
        const Device mine;
        const iovec here = segment(twin.local().base(), size);
        const iovec there = segment(twin.remote().base(), size);
        run(mine, Route::Pid, twin.target(), Call{write, &here, 1, &there, 1, 0});
      }).detach();
      stall.wait();
      kill(getpid(), SIGKILL);
      pause();
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
      GTEST_SKIP() << "no userfaultfd";
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  }
}

TEST_F(Local, TensOfThousandsOfEmptySegmentsAreNothing)
{
  std::vector<iovec> many(60000, segment(twin.local().base(), 0));
  many[30000].iov_len = 10;
  many.back() = segment(twin.local().at(page), 20);
  const iovec theirs = segment(twin.remote().base(), 30);
  for (const bool write : {false, true})
    for (int i = 0; i < 3; i++) {
      auto request = sized<cma_ioc_copy>();
      request.flags = CMA_COPY_MANY | (write ? CMA_COPY_WRITE : 0);
      request.peer_type = CMA_PEER_PID;
      request.peer = twin.target().pid;
      request.local_iov = reinterpret_cast<uintptr_t>(many.data());
      request.local_cnt = many.size();
      request.remote_iov = reinterpret_cast<uintptr_t>(&theirs);
      request.remote_cnt = 1;
      EXPECT_EQ(twin.device().copy(request), gives(30));
    }
}

} // namespace
} // namespace cma_test
