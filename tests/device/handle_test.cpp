// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Handles and descriptors as names of peers: which are accepted, how many,
 * whose they are, and what becomes of them when the peer goes.
 */
#include "support/parameter.hpp"
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <sched.h>
#include <set>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

class Handle : public testing::Test {
protected:
  static inline const size_t size = page;
  Twin twin{size, size};
  const iovec local = segment(twin.local().base(), 64);
  const iovec remote = segment(twin.remote().base(), 64);

  Outcome copy_by_handle(const Device &device, int handle) const
  {
    return run(device, Route::Handle, {0, -1, handle}, {false, &local, 1, &remote, 1, 0});
  }
  Outcome copy_by_pidfd(int pidfd) const
  {
    return run(twin.device(), Route::Pidfd, {0, pidfd, 0},
               {false, &local, 1, &remote, 1, 0});
  }
};

TEST_F(Handle, OnlyOpenHandlesOfThisFileAreKnown)
{
  const int known = twin.target().handle;
  EXPECT_GT(known, 0);
  EXPECT_EQ(copy_by_handle(twin.device(), known), gives(64));
  const Device other;
  for (const int handle : {0, -1, INT_MIN, INT_MAX, known + 1, known + 1000}) {
    EXPECT_EQ(copy_by_handle(twin.device(), handle), fails(ENOENT)) << handle;
    EXPECT_EQ(twin.device().close(handle), fails(ENOENT)) << handle;
  }
  EXPECT_EQ(copy_by_handle(other, known), fails(ENOENT));
  EXPECT_EQ(other.close(known), fails(ENOENT));
  EXPECT_EQ(copy_by_handle(twin.device(), known), gives(64));
  EXPECT_EQ(twin.device().close(known), gives(0));
  EXPECT_EQ(copy_by_handle(twin.device(), known), fails(ENOENT));
  EXPECT_EQ(twin.device().close(known), fails(ENOENT));
}

TEST_F(Handle, AStrictCopyDoesNoMoreThanTheHandleWasOpenedFor)
{
  const auto strict = [&](uint32_t access, bool write) {
    auto open = sized<cma_ioc_open>();
    open.peer_type = CMA_PEER_PID;
    open.peer = twin.target().pid;
    open.access = access;
    EXPECT_EQ(twin.device().call(CMA_IOC_OPEN, &open), gives(0));
    return run(twin.device(), Route::HandleStrict, {0, -1, open.handle},
               {write, &local, 1, &remote, 1, 0});
  };
  EXPECT_EQ(strict(CMA_ACCESS_READ, false), gives(64));
  EXPECT_EQ(strict(CMA_ACCESS_READ, true), fails(EACCES));
  EXPECT_EQ(strict(CMA_ACCESS_WRITE, false), fails(EACCES));
  EXPECT_EQ(strict(CMA_ACCESS_WRITE, true), gives(64));
  EXPECT_EQ(strict(CMA_ACCESS_READ | CMA_ACCESS_WRITE, true), gives(64));
}

TEST_F(Handle, EachHandleIsItsOwnPeers)
{
  std::vector<std::unique_ptr<Peer>> peers;
  std::vector<int> handles;
  const uintptr_t address = twin.local().base(); // there before the forks
  for (uint8_t i = 0; i < 5; i++) {
    peers.push_back(std::make_unique<Peer>(
        [=] { std::fill_n(reinterpret_cast<uint8_t *>(address), size, i + 1); }));
    handles.push_back(static_cast<int>(
        i % 2 == 0 ? twin.device().open(CMA_PEER_PID, peers.back()->pid()).result
                   : twin.device().open(CMA_PEER_PIDFD, peers.back()->pidfd()).result));
  }
  EXPECT_EQ(std::set<int>(handles.begin(), handles.end()).size(), 5);
  for (size_t i = 0; i < 5; i++) {
    uint8_t byte = 0;
    const iovec here = {&byte, 1};
    const iovec there = segment(address, 1);
    EXPECT_EQ(run(twin.device(), Route::Handle, {0, -1, handles[i]},
                  {false, &here, 1, &there, 1, 0}),
              gives(1));
    EXPECT_EQ(byte, i + 1);
  }
  // The same peer twice: two handles, each closed for itself.
  const auto twice =
      static_cast<int>(twin.device().open(CMA_PEER_PID, peers[0]->pid()).result);
  EXPECT_NE(twice, handles[0]);
  EXPECT_EQ(twin.device().close(handles[0]), gives(0));
  EXPECT_EQ(copy_by_handle(twin.device(), handles[0]), fails(ENOENT));
  uint8_t byte = 0;
  const iovec here = {&byte, 1};
  const iovec there = segment(address, 1);
  EXPECT_EQ(
      run(twin.device(), Route::Handle, {0, -1, twice}, {false, &here, 1, &there, 1, 0}),
      gives(1));
}

TEST_F(Handle, AsManyAsInfoSaysAndNoMore)
{
  const Device device;
  const uint32_t limit = device.info().max_handles;
  const Parameter user("max_user_handles", 3 * limit); // a small machine has fewer
  std::vector<int> handles;
  for (uint32_t i = 0; i < limit; i++) {
    const Outcome outcome = device.open(CMA_PEER_PID, twin.target().pid);
    ASSERT_EQ(outcome.error, 0) << "handle number " << i;
    handles.push_back(static_cast<int>(outcome.result));
  }
  EXPECT_EQ(std::set<int>(handles.begin(), handles.end()).size(), limit);
  EXPECT_EQ(device.open(CMA_PEER_PID, twin.target().pid), fails(ENOSPC));
  EXPECT_EQ(copy_by_handle(device, handles.front()), gives(64));
  EXPECT_EQ(copy_by_handle(device, handles.back()), gives(64));
  // Another file has a count of its own; a closed handle makes room.
  EXPECT_EQ(twin.device().open(CMA_PEER_PID, twin.target().pid).error, 0);
  EXPECT_EQ(device.close(handles[limit / 2]), gives(0));
  EXPECT_EQ(device.open(CMA_PEER_PID, twin.target().pid).error, 0);
  EXPECT_EQ(device.open(CMA_PEER_PID, twin.target().pid), fails(ENOSPC));

  // They count until they are freed: leave them to no other test.
  for (const int handle : handles)
    device.close(handle);
  const Parameter few("max_user_handles", 1000);
  while (device.open(CMA_PEER_PID, twin.target().pid).error == ENOSPC)
    usleep(1000);
}

TEST_F(Handle, EndsWithThePeersExit)
{
  const int handle = twin.target().handle;
  EXPECT_EQ(copy_by_handle(twin.device(), handle), gives(64));
  twin.peer().kill(SIGKILL);
  twin.peer().wait_exited();
  EXPECT_EQ(copy_by_handle(twin.device(), handle), fails(ESRCH));
  EXPECT_EQ(copy_by_pidfd(twin.target().pidfd), fails(ESRCH));
  twin.peer().wait();
  EXPECT_EQ(copy_by_handle(twin.device(), handle), fails(ESRCH));
  EXPECT_EQ(copy_by_pidfd(twin.target().pidfd), fails(ESRCH));
  EXPECT_EQ(twin.device().open(CMA_PEER_PIDFD, twin.target().pidfd), fails(ESRCH));
  EXPECT_EQ(twin.device().close(handle), gives(0));
}

TEST_F(Handle, EndsWithThePeersExec)
{
  const int handle = twin.target().handle;
  twin.peer().post([]() -> long {
    execl("/proc/self/exe", "cma-device-tests", "--helper", "sleep", nullptr);
    return 0;
  });
  twin.peer().wait_closed();
  EXPECT_EQ(copy_by_handle(twin.device(), handle), fails(ESRCH));
  auto strict =
      as_ioctl(Route::HandleStrict, twin.target(), {false, &local, 1, &remote, 1, 0});
  EXPECT_EQ(twin.device().copy(strict), fails(ESRCH));
  // The pidfd still is the process; its new memory has no such address.
  EXPECT_EQ(copy_by_pidfd(twin.target().pidfd), fails(EFAULT));
  EXPECT_EQ(twin.device().open(CMA_PEER_PIDFD, twin.target().pidfd).error, 0);
}

TEST_F(Handle, OutlivesTheThreadThatItWasOpenedFor)
{
  // A handle is the address space's, whichever thread's pid was named.
  const auto tid = static_cast<pid_t>(twin.peer().call([]() -> long {
    static std::atomic<pid_t> seen = 0;
    static std::atomic<bool> stop = false;
    static std::thread thread([] {
      seen = gettid();
      while (!stop)
        usleep(1000);
    });
    while (seen == 0)
      usleep(1000);
    return seen;
  }));
  const Outcome opened = twin.device().open(CMA_PEER_PID, tid);
  ASSERT_EQ(opened.error, 0);
  EXPECT_EQ(copy_by_handle(twin.device(), static_cast<int>(opened.result)), gives(64));
}

TEST_F(Handle, OneAddressSpaceInTwoProcesses)
{
  const auto sibling =
      static_cast<pid_t>(twin.peer().call([]() -> long { return clone_sibling(0); }));
  const Outcome opened = twin.device().open(CMA_PEER_PID, sibling);
  ASSERT_EQ(opened.error, 0);
  const auto handle = static_cast<int>(opened.result);
  auto strict =
      as_ioctl(Route::HandleStrict, {0, -1, handle}, {false, &local, 1, &remote, 1, 0});
  // What is written by the handle of one is read by that of the other.
  std::memset(local.iov_base, 0x5a, local.iov_len);
  EXPECT_EQ(run(twin.device(), Route::Handle, {0, -1, handle},
                {true, &local, 1, &remote, 1, 0}),
            gives(64));
  std::memset(local.iov_base, 0, local.iov_len);
  EXPECT_EQ(copy_by_handle(twin.device(), twin.target().handle), gives(64));
  EXPECT_EQ(*static_cast<uint8_t *>(local.iov_base), 0x5a);
  EXPECT_EQ(twin.device().copy(strict), gives(64));

  // The one goes, and the memory stays the other's; only to judge it is too late.
  kill(sibling, SIGKILL);
  twin.peer().call([=]() -> long { return waitpid(sibling, nullptr, 0); });
  EXPECT_EQ(copy_by_handle(twin.device(), handle), gives(64));
  EXPECT_EQ(twin.device().copy(strict), fails(ESRCH));
  twin.peer().kill(SIGKILL);
  twin.peer().wait();
  EXPECT_EQ(copy_by_handle(twin.device(), handle), fails(ESRCH));
}

/// The pid that is second among the words of some memory, once it is there.
pid_t pid_in(const Arena &memory)
{
  for (int i = 0; i < 1000; i++) {
    uint64_t pid = 0;
    std::memcpy(&pid, memory.bytes().data() + sizeof(pid), sizeof(pid));
    if (pid != 0)
      return static_cast<pid_t>(pid);
    usleep(10'000);
  }
  return -1;
}

TEST_F(Handle, OfAVforkChildIsItsParents)
{
  // In the parent's memory; the child execs when it is no longer 0.
  volatile auto *const word = reinterpret_cast<volatile uint64_t *>(twin.remote().base());
  twin.peer().call([=]() -> long {
    word[0] = 0;
    word[1] = 0;
    return 0;
  });
  twin.peer().post([=]() -> long {
    const pid_t child = vfork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      word[1] = static_cast<uint64_t>(getpid());
      while (*word == 0)
        usleep(1000);
      execl("/proc/self/exe", "cma-device-tests", "--helper", "sleep", nullptr);
      _exit(1);
    }
    return child;
  });
  const pid_t child = pid_in(twin.remote());
  ASSERT_GT(child, 0);
  const Outcome opened = twin.device().open(CMA_PEER_PID, child);
  ASSERT_EQ(opened.error, 0);
  const auto handle = static_cast<int>(opened.result);
  std::memset(local.iov_base, 1, local.iov_len);
  const Call write = {true, &local, 1, &remote, 1, 0};
  EXPECT_EQ(run(twin.device(), Route::Handle, {0, -1, handle}, write), gives(64));
  EXPECT_EQ(twin.peer().answer(), child);

  // The parent goes on a moment before the child has memory of its own. Then the handle
  // still is the parent's.
  const Call read = {false, &local, 1, &remote, 1, 0};
  for (int i = 0; i < 1000 && run(twin.device(), Route::PidStrict, {child, -1, 0},
                                  read) != fails(EFAULT);
       i++)
    usleep(10'000);
  EXPECT_EQ(run(twin.device(), Route::PidStrict, {child, -1, 0}, read), fails(EFAULT));
  EXPECT_EQ(copy_by_handle(twin.device(), handle), gives(64));
  auto strict = as_ioctl(Route::HandleStrict, {0, -1, handle}, read);
  EXPECT_EQ(twin.device().copy(strict), fails(ESRCH));
}

/// MemAvailable, in bytes.
size_t available()
{
  std::ifstream meminfo("/proc/meminfo");
  for (std::string word; meminfo >> word;) {
    size_t kib = 0;
    if (word == "MemAvailable:" && meminfo >> kib)
      return kib * 1024;
  }
  return 0;
}

TEST_F(Handle, DoesNotKeepADeadPeersMemory)
{
  constexpr size_t much = 96UL << 20;
  Peer rich;
  const auto address = static_cast<uintptr_t>(rich.call([]() -> long {
    const uintptr_t base = make_memory(Kind::Anonymous, much);
    for (size_t i = 0; i < much; i += page)
      *reinterpret_cast<volatile uint8_t *>(base + i) = 1;
    return static_cast<long>(base);
  }));
  const int handle =
      static_cast<int>(twin.device().open(CMA_PEER_PID, rich.pid()).result);
  const iovec there = segment(address, 64);
  const Call call = {false, &local, 1, &there, 1, 0};
  EXPECT_EQ(run(twin.device(), Route::Handle, {0, -1, handle}, call), gives(64));
  EXPECT_EQ(run(twin.device(), Route::Pid, {rich.pid(), -1, 0}, call), gives(64));
  // What was freed may lie in the CPUs' own lists, where it is not counted: since 6.7
  // these take tens of MB.
  const size_t enough = available() + much / 2;
  rich.kill(SIGKILL);
  rich.wait();
  for (int i = 0; i < 40 && available() < enough; i++)
    usleep(50'000);
  EXPECT_GE(available(), enough) << "the memory is still in use";
  EXPECT_EQ(run(twin.device(), Route::Handle, {0, -1, handle}, call), fails(ESRCH));
}

TEST_F(Handle, DescriptorsThatAreNoPidfd)
{
  sigset_t none;
  sigemptyset(&none);
  std::array<int, 2> pipes{};
  ASSERT_EQ(pipe2(pipes.data(), O_CLOEXEC), 0);
  const std::pair<const char *, int> kinds[] = {
      {"regular file", open("/proc/self/exe", O_RDONLY)},
      {"directory", open("/", O_RDONLY | O_DIRECTORY)},
      {"O_PATH", open("/", O_PATH)},
      {"own /proc directory", open("/proc/self", O_RDONLY | O_DIRECTORY)},
      {"/proc file", open("/proc/self/status", O_RDONLY)},
      {"own memory", open("/proc/self/mem", O_RDWR)},
      {"fdinfo", open("/proc/self/fdinfo/0", O_RDONLY)},
      {"device itself", dup(twin.device().fd())},
      {"null device", open("/dev/null", O_RDWR)},
      {"memfd", memfd_create("Pid:\t1\n", 0)},
      {"pipe", pipes[0]},
      {"pipe", pipes[1]},
      {"socket", socket(AF_UNIX, SOCK_STREAM, 0)},
      {"eventfd", eventfd(0, 0)},
      {"epoll", epoll_create1(0)},
      {"inotify", inotify_init1(0)},
      {"timerfd", timerfd_create(CLOCK_MONOTONIC, 0)},
      {"signalfd", signalfd(-1, &none, 0)},
      {"userfaultfd", static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC))},
      {"fanotify", static_cast<int>(syscall(SYS_fanotify_init, 0, 0))},
      {"namespace", open("/proc/self/ns/pid", O_RDONLY)},
      {"closed", 987},
      {"-1", -1},
      {"AT_FDCWD", AT_FDCWD},
      {"INT_MIN", INT_MIN},
      {"INT_MAX", INT_MAX},
  };
  for (const auto &[name, fd] : kinds) {
    SCOPED_TRACE(name);
    EXPECT_EQ(copy_by_pidfd(fd), fails(EBADF));
    EXPECT_EQ(twin.device().open(CMA_PEER_PIDFD, fd), fails(EBADF));
  }
  for (const auto &[name, fd] : kinds)
    if (fd >= 0)
      ::close(fd);
}

TEST_F(Handle, PidfdOfAProcessOutsideThePidNamespace)
{
  // No system call copies by pidfd; pidfd_getfd(2) asks the same permission of one.
  const int pidfd = twin.target().pidfd;
  if (!Fd(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, 0, 0))) && errno == ENOSYS)
    GTEST_SKIP() << "this kernel has no pidfd_getfd(2) to compare with";
  const uintptr_t there = twin.remote().base();
  Peer inside({}, CLONE_NEWPID);
  const auto agree = [=]() -> long {
    const Device device;
    uint64_t word = 0;
    const iovec mine = {&word, sizeof(word)};
    const iovec theirs = segment(there, sizeof(word));
    const Outcome copied =
        run(device, Route::Pidfd, {0, pidfd, 0}, {false, &mine, 1, &theirs, 1, 0});
    const Fd got(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, 0, 0)));
    const int refused = got ? 0 : errno;
    return copied.error == refused ? copied.error : -1;
  };
  EXPECT_EQ(inside.call(agree), 0);
  inside.call([] {
    become(bob);
    return 0L;
  });
  EXPECT_EQ(inside.call(agree), EPERM);
}

TEST_F(Handle, PidfdOfEveryOrigin)
{
  // clone(2) gives one, as to most of the other tests; dup(2) another, and pidfd_open(2).
  int pidfd = -1;
  const long child = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
  if (child == 0)
    while (true)
      pause();
  ASSERT_GT(child, 0);
  const iovec there = segment(twin.local().base(), 64);
  const Call call = {false, &local, 1, &there, 1, 0};
  EXPECT_EQ(run(twin.device(), Route::Pidfd, {0, pidfd, 0}, call), gives(64));
  const Fd second(dup(pidfd));
  EXPECT_EQ(run(twin.device(), Route::PidfdStrict, {0, second.get(), 0}, call),
            gives(64));
  kill(static_cast<pid_t>(child), SIGKILL);
  waitpid(static_cast<pid_t>(child), nullptr, 0);
  EXPECT_EQ(run(twin.device(), Route::Pidfd, {0, pidfd, 0}, call), fails(ESRCH));
  ::close(pidfd);
}

} // namespace
} // namespace cma_test
