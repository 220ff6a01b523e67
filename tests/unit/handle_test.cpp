// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Handles of the system-call backend: what they are bound to, and when they end.
#include "hooks.hpp"
#include "support.hpp"
#include <algorithm>
#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace {

// Another limit of open files, as long as it lives.
class DescriptorLimit {
public:
  explicit DescriptorLimit(rlim_t count)
  {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit limit = {count, std::max(before_.rlim_max, count)};
    set_ = ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
  }
  DescriptorLimit(const DescriptorLimit &) = delete;
  DescriptorLimit &operator=(const DescriptorLimit &) = delete;
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

  [[nodiscard]] bool set() const { return set_; }

private:
  rlimit before_ = {};
  bool set_;
};

class HandleTest : public testing::Test {
protected:
  int open(cma_peer peer) const { return cma_handle_open(context.get(), peer); }
  int open(const Peer &peer) const { return open(cma_pid(peer.pid())); }
  int close(int handle) const { return cma_handle_close(context.get(), handle); }

  ssize_t read(int handle) const
  {
    char byte;
    return cma_read(context.get(), cma_handle(handle), &byte, address_of(memory.data()),
                    1);
  }

  Pages memory{1};
  Context context = open_context(CMA_OPEN_SYSCALL);
};

TEST_F(HandleTest, EndsWithExit)
{
  Peer process;
  const int handle = open(process);
  ASSERT_GT(handle, 0);
  EXPECT_EQ(read(handle), 1);
  process.kill();
  EXPECT_EQ(read(handle), -ESRCH) << "of a zombie";
  process.reap();
  EXPECT_EQ(read(handle), -ESRCH);
  EXPECT_EQ(close(handle), 0);
}

// Becomes another program when told to, with the same pid.
class Chameleon {
public:
  Chameleon()
  {
    EXPECT_EQ(::pipe2(alive_, O_CLOEXEC), 0);
    process_.emplace([] {
      ::signal(SIGUSR1, [](int) {
        ::execl("/bin/sleep", "sleep", "1000", nullptr);
        ::_exit(127);
      });
    });
    ::close(alive_[1]);
  }
  ~Chameleon() { ::close(alive_[0]); }

  [[nodiscard]] pid_t pid() const { return process_->pid(); }

  void change() const
  {
    ::kill(pid(), SIGUSR1);
    char byte;
    EXPECT_EQ(::read(alive_[0], &byte, 1), 0); // execve closed the other end
  }

private:
  int alive_[2] = {};
  std::optional<Peer> process_;
};

TEST_F(HandleTest, EndsWithExecve)
{
  const Chameleon process;
  const int handle = open(cma_pid(process.pid()));
  ASSERT_GT(handle, 0);
  EXPECT_EQ(read(handle), 1);
  process.change();
  hooks::process_vm = [&](bool, pid_t pid) {
    EXPECT_NE(pid, process.pid()) << "what it is now was touched";
    return hooks::Result();
  };
  EXPECT_EQ(read(handle), -ESRCH);
  hooks::process_vm = nullptr;

  // The process is there, and can be had again as what it is now.
  const int again = open(cma_pid(process.pid()));
  ASSERT_GT(again, 0);
  EXPECT_NE(again, handle);
  EXPECT_EQ(read(again), -EFAULT) << "our pages are not its pages";
  EXPECT_EQ(close(handle), 0);
  EXPECT_EQ(close(again), 0);
}

// The address space ends after it was looked at and before the copy: the copy, which
// reaches what the process is now, must not count.
TEST_F(HandleTest, ExecveInTheMiddle)
{
  const Chameleon process;
  const int handle = open(cma_pid(process.pid()));
  ASSERT_GT(handle, 0);
  hooks::process_vm = [&](bool, pid_t pid) -> hooks::Result {
    if (pid != process.pid())
      return {};
    process.change();
    return 1;
  };
  EXPECT_EQ(read(handle), -ESRCH);
}

TEST_F(HandleTest, OfAPidfd)
{
  const Peer process;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0));
  const int handle = open(cma_pidfd(pidfd));
  ASSERT_GT(handle, 0);
  ::close(pidfd);
  EXPECT_EQ(read(handle), 1);
}

TEST_F(HandleTest, OfAThread)
{
  std::atomic<pid_t> tid = 0;
  std::atomic<bool> stop = false;
  std::thread thread([&] {
    tid = ::gettid();
    tid.notify_all();
    stop.wait(false);
  });
  tid.wait(0);
  const int handle = open(cma_pid(tid));
  EXPECT_GT(handle, 0);
  EXPECT_EQ(read(handle), 1);
  stop = true;
  stop.notify_all();
  thread.join();
}

TEST_F(HandleTest, OfNobody)
{
  EXPECT_EQ(open(cma_pid(0)), -ESRCH);
  EXPECT_EQ(open(cma_pid(-1)), -ESRCH);
  EXPECT_EQ(open(cma_pid(2)), -ESRCH) << "a kernel thread";
  EXPECT_EQ(open(cma_pidfd(-1)), -EBADF);
  EXPECT_EQ(open(cma_pidfd(0)), -EBADF);
  EXPECT_EQ(open(cma_handle(1)), -EOPNOTSUPP);
  EXPECT_EQ(open(cma_peer{0, ::getpid()}), -EINVAL);
  EXPECT_EQ(open(cma_peer{4, ::getpid()}), -EINVAL);

  Peer process;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0));
  process.kill();
  EXPECT_EQ(open(process), -ESRCH) << "a zombie";
  EXPECT_EQ(open(cma_pidfd(pidfd)), -ESRCH);
  process.reap();
  EXPECT_EQ(open(cma_pidfd(pidfd)), -ESRCH);
  ::close(pidfd);
}

TEST_F(HandleTest, IsJudged)
{
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become somebody else";
  const Peer process;
  EXPECT_EQ(in_child([&] {
              become_nobody();
              context = open_context(CMA_OPEN_SYSCALL);
              EXPECT_EQ(open(process), -EPERM);
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
}

// /proc/PID/mem goes by the effective ids, the system calls by the real ones; so do
// handles.
TEST_F(HandleTest, IsJudgedByRealIds)
{
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become somebody else";
  const Peer process(drop_capabilities);
  EXPECT_EQ(in_child([&] {
              context = open_context(CMA_OPEN_SYSCALL);
              EXPECT_EQ(::setresuid(65534, 0, 0), 0);
              drop_capabilities();
              EXPECT_EQ(open(process), -EPERM);
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
}

TEST_F(HandleTest, IsClosedOnce)
{
  const size_t before = open_descriptors();
  const int handle = open(cma_pid(::getpid()));
  ASSERT_GT(handle, 0);
  EXPECT_EQ(open_descriptors(), before + 1);
  EXPECT_EQ(close(handle), 0);
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(close(handle), -ENOENT);
  EXPECT_EQ(read(handle), -ENOENT);
  for (const int none : {-1, 0, 4097})
    EXPECT_EQ(close(none), -ENOENT) << none;
}

TEST_F(HandleTest, EndWithTheirContext)
{
  const size_t before = open_descriptors();
  for (int i = 0; i < 20; i++)
    ASSERT_GT(open(cma_pid(::getpid())), 0);
  context.reset();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(HandleTest, AsManyAsPromised)
{
  const DescriptorLimit limit(4200);
  if (!limit.set())
    GTEST_SKIP() << "may not open 4200 files";
  cma_limits limits = {};
  limits.size = sizeof(limits);
  ASSERT_EQ(cma_query(context.get(), &limits), 0);
  for (std::uint32_t i = 0; i < limits.max_handles; i++)
    ASSERT_GT(open(cma_pid(::getpid())), 0) << i;
  const size_t before = open_descriptors();
  EXPECT_EQ(open(cma_pid(::getpid())), -ENOSPC);
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(close(77), 0);
  EXPECT_EQ(open(cma_pid(::getpid())), 77);
}

TEST_F(HandleTest, NoDescriptorsLeft)
{
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  const DescriptorLimit limit(lowest_free);
  ASSERT_TRUE(limit.set());
  EXPECT_EQ(open(cma_pid(::getpid())), -EMFILE);
}

// A copy under way comes to its end; nobody else can begin one, and the descriptor goes
// with the last.
TEST_F(HandleTest, ClosedByACopy)
{
  const size_t before = open_descriptors();
  const int handle = open(cma_pid(::getpid()));
  bool first = true;
  hooks::process_vm = [&](bool, pid_t) {
    if (std::exchange(first, false)) {
      EXPECT_EQ(close(handle), 0);
      EXPECT_EQ(read(handle), -ENOENT);
      EXPECT_EQ(close(handle), -ENOENT);
      EXPECT_EQ(open_descriptors(), before + 1);
    }
    return hooks::Result();
  };
  EXPECT_EQ(read(handle), 1);
  EXPECT_EQ(open_descriptors(), before);
}

// Two threads copy through a handle that a third closes and opens: every copy is done
// or finds no handle, and no descriptor is lost or closed twice.
TEST_F(HandleTest, ClosedWhileInUse)
{
  const size_t before = open_descriptors();
  std::atomic<bool> stop = false;
  std::atomic<int> copies = 0;
  std::vector<std::thread> threads;
  threads.reserve(2);
  for (int i = 0; i < 2; i++)
    threads.emplace_back([&] {
      while (!stop) {
        const ssize_t moved = read(1);
        ASSERT_TRUE(moved == 1 || moved == -ENOENT) << moved;
        copies += moved == 1 ? 1 : 0;
      }
    });
  int closed = 0;
  for (int round = 0; round < 3000 || copies < 100; round++) {
    const int handle = open(cma_pid(::getpid()));
    ASSERT_GT(handle, 0);
    closed += close(handle) == 0 ? 1 : 0;
  }
  stop = true;
  for (auto &thread : threads)
    thread.join();
  EXPECT_GE(closed, 3000);
  EXPECT_EQ(open_descriptors(), before);
}

} // namespace
