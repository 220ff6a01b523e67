// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Signals. A copy that process_vm_readv() takes, too, ends by one that kills, as there;
 * one beyond that ends at any, with what it has moved, and can be stopped and frozen. The
 * library goes on by itself, unless its caller asked to see it.
 */
#include "support/rounds.hpp"
#include "support/stall.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <chrono>
#include <cma.h>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t piece = 16 << 20;
constexpr size_t few = 1000;
constexpr size_t many = 40000; ///< pieces, in all hundreds of gigabytes

char state_of(pid_t pid)
{
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const size_t end = line.rfind(") ");
  return end == std::string::npos ? '?' : line[end + 2];
}

template<class Condition>
bool comes_true(const Condition &condition)
{
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && std::chrono::steady_clock::now() < end)
    usleep(10000);
  return condition();
}

volatile sig_atomic_t handled;

void handle_alarm()
{
  struct sigaction action = {};
  action.sa_handler = [](int) { handled = handled + 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
}

/// A copy from the caller to itself, over and over the same memory.
struct Long {
  explicit Long(size_t count, size_t length = piece)
      : length_(length), from(make_memory(Kind::Anonymous, length)),
        into(make_memory(Kind::Anonymous, length)), local(count, segment(into, length)),
        remote(count, segment(from, length))
  {
    std::fill_n(reinterpret_cast<uint8_t *>(from), length, 7);
  }
  Outcome run(const Device &device, uint32_t flags)
  {
    auto request = sized<cma_ioc_copy>();
    request.flags = flags;
    request.peer_type = CMA_PEER_PID;
    request.peer = getpid();
    request.local_iov = reinterpret_cast<uintptr_t>(local.data());
    request.remote_iov = reinterpret_cast<uintptr_t>(remote.data());
    request.local_cnt = request.remote_cnt = local.size();
    return device.copy(request);
  }
  size_t bytes() const { return local.size() * length_; }

  const size_t length_;
  const uintptr_t from;
  const uintptr_t into;
  std::vector<iovec> local;
  std::vector<iovec> remote;
};

/// A child that copies for hours.
pid_t start_long_copy()
{
  const pid_t child = fork();
  if (child == 0) {
    Long copy(many);
    copy.run(Device(), CMA_COPY_LARGE | CMA_COPY_MANY);
    while (true) // it was stopped and went on
      copy.run(Device(), CMA_COPY_LARGE | CMA_COPY_MANY);
  }
  sleep(1);
  return child;
}

void finish(pid_t child)
{
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST(Signal, StopsACopyBeyondTheLimits)
{
  const pid_t child = start_long_copy();
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(state_of(child), 'R');
    kill(child, SIGSTOP);
    EXPECT_TRUE(comes_true([=] { return state_of(child) == 'T'; })) << state_of(child);
    kill(child, SIGCONT);
    EXPECT_TRUE(comes_true([=] { return state_of(child) == 'R'; })) << state_of(child);
  }
  finish(child);
}

TEST(Signal, ACopyBeyondTheLimitsCanBeFrozen)
{
  const std::string group = "/sys/fs/cgroup/cma-frozen";
  mkdir(group.c_str(), 0755);
  if (!std::ifstream(group + "/cgroup.freeze"))
    GTEST_SKIP() << "no cgroup that freezes";
  const auto frozen = [&] {
    std::ifstream events(group + "/cgroup.events");
    const std::string text(std::istreambuf_iterator<char>(events), {});
    return text.find("frozen 1") != std::string::npos;
  };
  const pid_t child = start_long_copy();
  std::ofstream(group + "/cgroup.procs") << child;
  std::ofstream(group + "/cgroup.freeze") << 1;
  EXPECT_TRUE(comes_true(frozen)) << state_of(child);
  std::ofstream(group + "/cgroup.freeze") << 0;
  finish(child);
  rmdir(group.c_str());
}

TEST(Signal, EndsACopyBeyondTheLimitsShort)
{
  handle_alarm();
  Long copy(many);
  const Device device;
  const itimerval soon = {{0, 0}, {1, 0}};
  handled = 0;
  setitimer(ITIMER_REAL, &soon, nullptr);
  const Outcome outcome = copy.run(device, CMA_COPY_LARGE | CMA_COPY_MANY);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(outcome.error, 0);
  EXPECT_GT(outcome.result, 0);
  EXPECT_LT(outcome.result, static_cast<int64_t>(copy.bytes()));
}

TEST(Signal, BeforeTheFirstByteIsAnInterruption)
{
  // The copier waits for memory of its own when the signal comes.
  handle_alarm();
  for (const size_t count : {few, few * 2}) {
    Long copy(count, page);
    const Stall stall(copy.into, page);
    if (!stall.works())
      GTEST_SKIP() << "no userfaultfd: " << strerror(errno);
    const Device device;
    Outcome outcome;
    const pthread_t copier = pthread_self();
    std::thread other([&] {
      stall.wait();
      pthread_kill(copier, SIGALRM);
      stall.resume(std::vector<uint8_t>(page, 3));
    });
    outcome = copy.run(device, CMA_COPY_LARGE | CMA_COPY_MANY);
    other.join();
    if (count <= 1024)
      EXPECT_EQ(outcome, gives(static_cast<int64_t>(copy.bytes())));
    else
      EXPECT_EQ(outcome, fails(EINTR));
  }
}

/// Signals without end, while it lives.
class Storm {
public:
  Storm()
  {
    handle_alarm();
    const itimerval often = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Storm()
  {
    const itimerval none = {};
    setitimer(ITIMER_REAL, &none, nullptr);
  }
};

TEST(Signal, IsNotSeenWithinTheLimits)
{
  Long copy(few, 4 * page);
  const Device device;
  const Storm storm;
  for (const uint32_t flags : {0U, uint32_t{CMA_COPY_LARGE | CMA_COPY_MANY}})
    for (int i = 0; i < 20; i++)
      EXPECT_EQ(copy.run(device, flags), gives(static_cast<int64_t>(copy.bytes())));
}

TEST(Signal, TheLibraryGoesOn)
{
  Long copy(6000, 16 * page);
  cma_context *context = nullptr;
  ASSERT_EQ(cma_open(&context, CMA_OPEN_DEVICE), 0);
  const Storm storm;
  const auto all = static_cast<ssize_t>(copy.bytes());
  const unsigned int flags = CMA_LARGE | CMA_MANY;
  const auto read = [&](unsigned int more) {
    return cma_readv(context, cma_pid(getpid()), copy.local.data(), copy.local.size(),
                     copy.remote.data(), copy.remote.size(), flags | more);
  };
  int interrupted = 0;
  for ([[maybe_unused]] const int round : Rounds(3, 20, std::chrono::seconds(4))) {
    EXPECT_EQ(read(0), all);
    const ssize_t moved = read(CMA_INTERRUPTIBLE);
    EXPECT_TRUE(moved == -EINTR || (moved > 0 && moved <= all)) << moved;
    interrupted += moved != all;
  }
  EXPECT_GT(interrupted, 0);
  cma_close(context);
}

TEST(Signal, DoesNotDisturbTheFirstCopies)
{
  // The first translation of a process takes all of its locks: a signal meanwhile is
  // nobody's error.
  for ([[maybe_unused]] const int round : Rounds(5, 100, std::chrono::seconds(5))) {
    Twin twin(64 * page, 64 * page);
    const iovec local = segment(twin.local().base(), 64 * page);
    const iovec remote = segment(twin.remote().base(), 64 * page);
    const Storm storm;
    for (int i = 0; i < 4; i++)
      EXPECT_EQ(run(twin.device(), Route::Pid, twin.target(),
                    Call{i == 2, &local, 1, &remote, 1, 0}),
                gives(64 * page));
  }
}

} // namespace
} // namespace cma_test
