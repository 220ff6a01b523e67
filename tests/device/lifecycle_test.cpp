// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * An open file through its life: duplicated, inherited, passed on, closed
 * under a copy; peers that go in the middle of a long one; copiers that are
 * killed or get signals; many threads at once. Long copies are the same
 * megabyte many times over.
 */
#include "support/helper.hpp"
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr size_t mib = 1UL << 20;

class LifeCycle : public testing::Test {
protected:
  // The sides differ in alignment, because an emulated machine is quicker at that.
  Twin twin{mib, mib + page};
  const int handle = twin.target().handle;

  std::vector<iovec> mine(size_t count) const
  {
    return std::vector<iovec>(count, segment(twin.local().base(), mib));
  }
  std::vector<iovec> theirs(size_t count) const
  {
    return std::vector<iovec>(count, segment(twin.remote().at(page / 2), mib));
  }
  Request gigabyte(bool write = false) const
  {
    return {write, mine(1024), theirs(1024), 0};
  }
  Outcome copy(const Device &device, Route route, const Request &request) const
  {
    return run(device, route, twin.target(), request.call());
  }
  Request word() const
  {
    return {
        false, {segment(twin.local().base(), 8)}, {segment(twin.remote().base(), 8)}, 0};
  }

  /// Runs a long copy and, once its first bytes have arrived, something else beside it.
  template<class Meanwhile>
  static Outcome copy_while(const Device &device, Route route, const Target &target,
                            const Request &request, const Meanwhile &meanwhile)
  {
    const iovec &sink = request.write ? request.remote.front() : request.local.front();
    const Arena arrival(request.write ? target.pid : getpid(),
                        reinterpret_cast<uintptr_t>(sink.iov_base), sizeof(uint64_t));
    const auto before = arrival.bytes();
    Outcome outcome;
    std::atomic<bool> done = false;
    auto ioctl = as_ioctl(route, target, request.call());
    std::thread copier([&, fd = device.fd()] {
      if (route == Route::Syscall)
        outcome = run(device, route, target, request.call());
      else
        outcome = Outcome::of(::ioctl(fd, CMA_IOC_COPY, &ioctl));
      done = true;
    });
    while (arrival.bytes() == before && !done)
      std::this_thread::sleep_for(1ms);
    EXPECT_FALSE(done) << "the copy was over before anything happened to it";
    meanwhile();
    copier.join();
    return outcome.error != 0 || route == Route::Syscall
               ? outcome
               : gives(static_cast<int64_t>(ioctl.copied));
  }

  void SetUp() override
  {
    twin.local().fill(1);
    twin.remote().fill(2);
  }
};

TEST_F(LifeCycle, Duplicated)
{
  Device first{Fd(dup(twin.device().fd()))};
  const Device second{Fd(dup(first.fd()))};
  EXPECT_EQ(copy(second, Route::Handle, word()), gives(8));
  first.shut();
  EXPECT_EQ(copy(second, Route::Handle, word()), gives(8));
  EXPECT_EQ(second.close(handle), gives(0));
  EXPECT_EQ(copy(twin.device(), Route::Handle, word()), fails(ENOENT));
}

TEST_F(LifeCycle, InheritedOverFork)
{
  // Who holds the file can use its handles; local addresses are the user's own.
  const int fd = twin.device().fd();
  const Target target = twin.target();
  const uintptr_t here = twin.local().base();
  const uintptr_t there = twin.remote().base();
  Peer child([] { become(bob); });
  const auto read_in_child = [=](Route route) -> long {
    const Device inherited{Fd(dup(fd))};
    const iovec local = segment(here, 8);
    const iovec remote = segment(there, 8);
    const Outcome outcome =
        run(inherited, route, target, {false, &local, 1, &remote, 1, 0});
    return outcome.error != 0 ? -outcome.error : outcome.result;
  };
  EXPECT_EQ(child.call([=] { return read_in_child(Route::Handle); }), 8);
  EXPECT_EQ(child.call([=] { return read_in_child(Route::HandleStrict); }), -EPERM);
  EXPECT_EQ(child.call([=] { return read_in_child(Route::Pid); }), -EPERM);
  const Arena childs(child.pid(), here, 8);
  EXPECT_EQ(childs.bytes(), pattern(8, 2));
  EXPECT_EQ(twin.local().bytes(), pattern(mib, 1));
  // The child's end is no end for the parent.
  child.call([=]() -> long { return ::close(fd); });
  child.kill(SIGKILL);
  child.wait();
  EXPECT_EQ(copy(twin.device(), Route::Handle, word()), gives(8));
}

TEST_F(LifeCycle, InheritedByAnotherProgram)
{
  const Fd plain(open("/dev/cma", O_RDWR)); // stays open over execve(2)
  const int in_file = static_cast<int>(
      Device{Fd(dup(plain.get()))}.open(CMA_PEER_PID, twin.target().pid).result);
  const uintptr_t there = twin.remote().base();
  twin.peer().call([=]() -> long { return *reinterpret_cast<uint64_t *>(there) = 77; });
  const auto run_program = [&](uint32_t type, int peer) {
    const std::string command = "exec " + own_path() + " --helper use-fd " +
                                std::to_string(plain.get()) + " " + std::to_string(type) +
                                " " + std::to_string(peer) + " " + std::to_string(there);
    FILE *program = popen(command.c_str(), "r");
    return program != nullptr ? WEXITSTATUS(pclose(program)) : -1;
  };
  EXPECT_EQ(run_program(CMA_PEER_HANDLE, in_file), 77);
  EXPECT_EQ(run_program(CMA_PEER_PID, twin.target().pid), 77);
  EXPECT_EQ(run_program(CMA_PEER_HANDLE, in_file + 1), 200 + ENOENT);
  // As somebody else: the handle still is good, the pid is not.
  const Persona other(bob, bob);
  EXPECT_EQ(run_program(CMA_PEER_HANDLE, in_file), 77);
  EXPECT_EQ(run_program(CMA_PEER_PID, twin.target().pid), 200 + EPERM);
}

/// Sends a descriptor through a socket; receives one.
void send_fd(int socket, int fd)
{
  char byte = 0;
  iovec data = {&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  require(sendmsg(socket, &message, 0) == 1, "sendmsg");
}
int receive_fd(int socket)
{
  char byte = 0;
  iovec data = {&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  require(recvmsg(socket, &message, 0) == 1, "recvmsg");
  int fd = -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

TEST_F(LifeCycle, PassedOverASocket)
{
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Peer receiver([] { become(bob); });
  Device sent;
  const Target target = {
      twin.target().pid, -1,
      static_cast<int>(sent.open(CMA_PEER_PID, twin.target().pid).result)};
  send_fd(ends[0], sent.fd());
  sent.shut(); // the only reference now is in the socket
  const int end = ends[1];
  const uintptr_t there = twin.remote().base();
  const auto read_there = [=](Route route) -> long {
    static const Device received{Fd(receive_fd(end))};
    uint64_t word = 0;
    const iovec local = {&word, sizeof(word)};
    const iovec remote = segment(there, sizeof(word));
    const Outcome outcome =
        run(received, route, target, {false, &local, 1, &remote, 1, 0});
    return outcome.error != 0 ? -outcome.error : outcome.result;
  };
  EXPECT_EQ(receiver.call([=] { return read_there(Route::Handle); }), 8);
  EXPECT_EQ(receiver.call([=] { return read_there(Route::Pid); }), -EPERM);
  // A file that is never taken out of its socket goes with it.
  const Device lost;
  send_fd(ends[0], lost.fd());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LifeCycle, FileClosedUnderACopy)
{
  Device device;
  const auto in_file =
      static_cast<int>(device.open(CMA_PEER_PID, twin.target().pid).result);
  const int fd = device.fd();
  const auto close_it = [&] {
    device.shut();
    char byte = 0;
    EXPECT_EQ(Outcome::of(read(fd, &byte, 1)), fails(EBADF));
  };
  EXPECT_EQ(copy_while(device, Route::Handle, {0, -1, in_file}, gigabyte(), close_it),
            gives(1024 * mib));
}

TEST_F(LifeCycle, HandleClosedUnderACopy)
{
  const auto close_it = [&] {
    EXPECT_EQ(twin.device().close(handle), gives(0));
    EXPECT_EQ(copy(twin.device(), Route::Handle, word()), fails(ENOENT));
  };
  EXPECT_EQ(
      copy_while(twin.device(), Route::Handle, twin.target(), gigabyte(true), close_it),
      gives(1024 * mib));
}

/// The system call keeps a dead peer's memory until it is done; the device lets go of it
/// and tells how far it came.
void expect_cut_short(const Outcome &outcome)
{
  EXPECT_GT(outcome.result, 0) << outcome;
  EXPECT_LT(outcome.result, static_cast<int64_t>(1024 * mib)) << outcome;
}

TEST_F(LifeCycle, TargetKilledUnderACopy)
{
  Twin doomed(mib, mib + page);
  doomed.local().fill(1);
  doomed.remote().fill(2);
  const Request request = {
      false, std::vector<iovec>(1024, segment(doomed.local().base(), mib)),
      std::vector<iovec>(1024, segment(doomed.remote().at(page / 2), mib)), 0};
  const auto kill_it = [&] {
    doomed.peer().kill(SIGKILL);
    doomed.peer().wait();
  };
  expect_cut_short(
      copy_while(doomed.device(), Route::Handle, doomed.target(), request, kill_it));
  for (const Route afterwards : {Route::Syscall, Route::Pid, Route::Handle})
    EXPECT_EQ(run(doomed.device(), afterwards, doomed.target(), request.call()),
              fails(ESRCH));
}

TEST_F(LifeCycle, TargetExitsUnderACopy)
{
  const auto let_it_exit = [&] {
    twin.peer().post([]() -> long { _exit(3); });
    EXPECT_EQ(WEXITSTATUS(twin.peer().wait()), 3);
  };
  expect_cut_short(
      copy_while(twin.device(), Route::Pid, twin.target(), gigabyte(true), let_it_exit));
  EXPECT_EQ(copy(twin.device(), Route::Handle, word()), fails(ESRCH));
}

TEST_F(LifeCycle, TargetExecsUnderACopy)
{
  const auto let_it_exec = [&] {
    twin.peer().post([]() -> long {
      return execl("/proc/self/exe", "cma-device-tests", "--helper", "sleep", nullptr);
    });
    twin.peer().wait_closed();
    EXPECT_EQ(copy(twin.device(), Route::Pid, word()), fails(EFAULT)) << "the new memory";
  };
  expect_cut_short(
      copy_while(twin.device(), Route::Handle, twin.target(), gigabyte(), let_it_exec));
  EXPECT_EQ(copy(twin.device(), Route::Handle, word()), fails(ESRCH));
}

TEST_F(LifeCycle, CopierKilledUnderACopy)
{
  // 64 GiB would take minutes: who is killed must not stay for them.
  const uintptr_t here = twin.local().base();
  const uintptr_t there = twin.remote().at(page / 2);
  const pid_t pid = twin.target().pid;
  Peer copier;
  copier.post([=]() -> long {
    const Device device;
    const std::vector<iovec> local(65536, segment(here, mib));
    const std::vector<iovec> remote(65536, segment(there, mib));
    const Target target = {pid, -1, 0};
    return run(device, Route::Pid, target,
               {false, local.data(), local.size(), remote.data(), remote.size(),
                CMA_COPY_MANY | CMA_COPY_LARGE})
        .result;
  });
  std::this_thread::sleep_for(300ms);
  const auto start = Clock::now();
  copier.kill(SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(copier.wait()));
  EXPECT_LT(Clock::now() - start, 2s);
  EXPECT_EQ(copy(twin.device(), Route::Handle, word()), gives(8));
}

TEST_F(LifeCycle, OtherThreadsEndWithTheirProcess)
{
  // One thread copies without end, another calls exit_group(2).
  const uintptr_t here = twin.local().base();
  const uintptr_t there = twin.remote().at(page / 2);
  const pid_t pid = twin.target().pid;
  Peer copier;
  copier.post([=]() -> long {
    std::thread([=] {
      const Device device;
      const std::vector<iovec> local(65536, segment(here, mib));
      const std::vector<iovec> remote(65536, segment(there, mib));
      run(device, Route::Pid, {pid, -1, 0},
          {true, local.data(), local.size(), remote.data(), remote.size(),
           CMA_COPY_MANY | CMA_COPY_LARGE});
    }).detach();
    usleep(200'000);
    _exit(5);
  });
  std::this_thread::sleep_for(150ms);
  const auto start = Clock::now();
  EXPECT_EQ(WEXITSTATUS(copier.wait()), 5);
  EXPECT_LT(Clock::now() - start, 3s);
}

std::atomic<int> alarms = 0;

TEST_F(LifeCycle, OrdinarySignalsDoNotDisturb)
{
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { alarms++; };
  sigaction(SIGPROF, &action, &before);
  const itimerval often = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_PROF, &often, nullptr);
  const Request request = {false, mine(64), theirs(64), 0};
  alarms = 0;
  for (int i = 0; i < 8; i++)
    for (const Route route : {Route::Pid, Route::Handle})
      EXPECT_EQ(copy(twin.device(), route, request), gives(64 * mib));
  const itimerval never{};
  setitimer(ITIMER_PROF, &never, nullptr);
  sigaction(SIGPROF, &before, nullptr);
  EXPECT_GT(alarms, 5);
}

TEST_F(LifeCycle, ManyThreadsOnOneFile)
{
  // Handles that any thread opens, uses and closes at any time: a copy succeeds, or there
  // is no such handle.
  const Device device;
  std::array<std::atomic<int>, 8> handles{};
  std::atomic<long> copies = 0;
  std::atomic<long> missed = 0;
  std::atomic<long> mistakes = 0;
  const auto work = [&](unsigned seed) {
    std::minstd_rand random(seed);
    uint64_t word = 0;
    const iovec local = {&word, sizeof(word)};
    const iovec remote = segment(twin.remote().base(), sizeof(word));
    const Call call = {false, &local, 1, &remote, 1, 0};
    for (int i = 0; i < 2500; i++) {
      auto &slot = handles.at(random() % handles.size());
      const unsigned what = random() % 8;
      if (what == 0) {
        const int fresh =
            static_cast<int>(device.open(CMA_PEER_PID, twin.target().pid).result);
        const int old = slot.exchange(fresh);
        if (old != 0 && device.close(old) != gives(0))
          mistakes++;
      } else {
        const Route route = what == 1 ? Route::Pid : Route::Handle;
        const Target target = {twin.target().pid, -1, slot};
        const Outcome outcome = run(device, route, target, call);
        if (outcome == gives(8))
          copies++;
        else if (outcome == fails(ENOENT) && route == Route::Handle)
          missed++;
        else
          mistakes++;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i <= 6; i++)
    threads.emplace_back(work, i);
  for (int i = 0; i < 100; i++) { // others come and go beside them
    const Device passing;
    passing.open(CMA_PEER_PID, twin.target().pid);
  }
  for (auto &thread : threads)
    thread.join();
  EXPECT_EQ(mistakes, 0);
  EXPECT_GT(copies, 6 * 1000);
}

TEST_F(LifeCycle, AProcessEndsWithEverythingOpen)
{
  const pid_t pid = twin.target().pid;
  for (int i = 0; i < 20; i++) {
    Peer untidy;
    EXPECT_EQ(untidy.call([=]() -> long {
      static std::vector<Device> files(10);
      for (const Device &file : files)
        for (int j = 0; j < 10; j++)
          if (file.open(CMA_PEER_PID, j % 2 == 0 ? pid : getpid()).error != 0)
            return -1;
      return 0;
    }),
              0);
  }
  EXPECT_EQ(copy(twin.device(), Route::Handle, word()), gives(8));
}

} // namespace
} // namespace cma_test
