// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * 32 bits meet 64: a 32-bit program calls the device and compares it with its
 * own system call (narrow.cpp), and a 64-bit caller copies from and to a
 * 32-bit process.
 */
#include "support/helper.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_test {
namespace {

const size_t size = 4 * page;

class Narrow : public testing::Test {
protected:
  const std::string program = beside("cma-device-narrow");

  void SetUp() override
  {
    if (access(program.c_str(), X_OK) < 0)
      GTEST_SKIP() << program << " was not built: no 32-bit compiler (g++-multilib)";
    if (output_of("version").first != 0)
      GTEST_SKIP() << "this kernel does not run 32-bit programs";
  }
  /// Exit status and output of the 32-bit program.
  std::pair<int, std::string> output_of(const std::string &arguments) const
  {
    FILE *pipe = popen((program + " " + arguments + " 2>&1").c_str(), "re");
    std::string text;
    std::array<char, 256> line{};
    while (fgets(line.data(), line.size(), pipe) != nullptr)
      text += line.data();
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
  }
};

/// Memory below 4 GiB in a 64-bit peer, and a hole behind it.
uintptr_t low_memory(Peer &peer)
{
  return static_cast<uintptr_t>(peer.call([]() -> long {
    void *memory =
        mmap(reinterpret_cast<void *>(0x20000000), 2 * size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (memory == MAP_FAILED)
      return 0;
    munmap(static_cast<uint8_t *>(memory) + size, size);
    return reinterpret_cast<long>(memory);
  }));
}

TEST_F(Narrow, CallerComparesWithItsOwnSystemCall)
{
  Peer peer;
  const uintptr_t low = low_memory(peer);
  ASSERT_NE(low, 0);
  const auto high = static_cast<uintptr_t>(peer.call(
      []() -> long { return static_cast<long>(make_memory(Kind::Anonymous, size)); }));
  ASSERT_GT(high, 1UL << 32);
  peer.call([=]() -> long { return *reinterpret_cast<uint8_t *>(high) = 99; });
  const auto [status, text] =
      output_of("compare " + std::to_string(peer.pid()) + " " + std::to_string(low) +
                " " + std::to_string(size) + " " + std::to_string(high));
  EXPECT_EQ(status, 0) << text;
}

TEST_F(Narrow, TargetIsRead)
{
  std::array<int, 2> pipes{};
  ASSERT_EQ(pipe(pipes.data()), 0);
  const int out = pipes[1];
  std::array<char, 128> path{};
  ASSERT_LT(program.size(), path.size());
  program.copy(path.data(), path.size() - 1);
  Peer target;
  target.post([=]() -> long {
    dup2(out, STDOUT_FILENO);
    return execl(path.data(), "narrow", "serve", nullptr);
  });
  target.wait_closed();
  ::close(pipes[1]);
  std::array<char, 64> line{};
  ASSERT_GT(read(pipes[0], line.data(), line.size() - 1), 0);
  ::close(pipes[0]);
  const uintptr_t base = strtoul(line.data(), nullptr, 0);
  ASSERT_GT(base, 0);
  ASSERT_LT(base, 1UL << 32);

  const Arena remote(target.pid(), base, size);
  const Arena local(getpid(), make_memory(Kind::Anonymous, size), size);
  const Device device;
  const Target names = {target.pid(), target.pidfd(),
                        static_cast<int>(device.open(CMA_PEER_PID, target.pid()).result)};
  for (const bool write : {false, true})
    for (const size_t length : {8UL, 3 * page, 2 * size}) {
      const iovec here = segment(local.at(3), std::min(length, size - 3));
      const iovec there = segment(remote.at(5), length);
      const Call call = {write, &here, 1, &there, 1, 0};
      std::vector<uint8_t> expected_here;
      std::vector<uint8_t> expected_there;
      Outcome expected;
      for (const Route route :
           {Route::Syscall, Route::Pid, Route::Pidfd, Route::Handle}) {
        SCOPED_TRACE(testing::Message() << (write ? "write " : "read ") << length
                                        << " by " << name_of(route));
        local.fill(1);
        remote.fill(2);
        const Outcome outcome = run(device, route, names, call);
        if (route == Route::Syscall) {
          EXPECT_EQ(outcome, gives(static_cast<int64_t>(std::min(length, size - 5))));
          expected = outcome;
          expected_here = local.bytes();
          expected_there = remote.bytes();
        }
        EXPECT_EQ(outcome, expected);
        EXPECT_TRUE(local.bytes() == expected_here);
        EXPECT_TRUE(remote.bytes() == expected_there);
      }
    }
}

} // namespace
} // namespace cma_test
