// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Verdicts that may be remembered: whatever changes on either side is judged
 * anew at once, and what the module cannot see is forgotten in time. The exec
 * race: a process that alternates between its user and root gives no secret.
 */
#include "support/flip.hpp"
#include "support/helper.hpp"
#include "support/judgement.hpp"
#include "support/persona.hpp"
#include "support/word.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

using namespace std::chrono_literals;

/// In a caller: the target's word, or -errno; by the caller's one open file. The system
/// call must say the same, unless the test is about what may be remembered.
long ask(pid_t pid, Route route = Route::Pid)
{
  static const Device device;
  return as_returned(read_word(device, route, {pid, -1, 0}));
}

/// In a caller: what a naive open file would have remembered, asked again by each route.
long ask_all(pid_t pid)
{
  const long reference = ask(pid, Route::Syscall);
  for (const Route route : {Route::Pid, Route::PidStrict, Route::Pid})
    if (ask(pid, route) != reference)
      return -1000;
  return reference;
}

class VerdictCache : public testing::Test {
protected:
  /// Alice's process with a word of its own.
  Peer target{[] {
    become(alice);
    word = 42;
  }};
  const pid_t pid = target.pid();
};

TEST_F(VerdictCache, CallerChangesUser)
{
  Peer caller([] { become_with(alice, {CAP_SETUID, CAP_SETGID}); });
  const auto answer = [&] { return caller.call([pid = pid] { return ask_all(pid); }); };
  const auto change = [&](uid_t user) {
    return caller.call([=] { return syscall(SYS_setresuid, user, user, user); });
  };
  EXPECT_EQ(answer(), 42);
  EXPECT_EQ(change(bob), 0);
  EXPECT_EQ(answer(), -EPERM);
  EXPECT_EQ(change(alice), 0);
  EXPECT_EQ(answer(), 42);
}

TEST_F(VerdictCache, CallerGivesUpRoot)
{
  Peer caller;
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  EXPECT_EQ(caller.call([pid = pid] {
    become(bob);
    return ask_all(pid);
  }),
            -EPERM);
}

TEST_F(VerdictCache, CallerGivesUpACapability)
{
  Peer caller;
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  EXPECT_EQ(caller.call([pid = pid] {
    drop_capability(CAP_SYS_PTRACE);
    return ask_all(pid);
  }),
            -EPERM);
}

TEST_F(VerdictCache, CallerEntersAUserNamespace)
{
  Peer caller([] { become(alice); });
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  if (caller.call([]() -> long { return unshare(CLONE_NEWUSER); }) != 0)
    GTEST_SKIP() << "no user namespaces for users";
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -EPERM);
}

TEST_F(VerdictCache, TargetChangesUser)
{
  Peer changing([] {
    become_with(alice, {CAP_SETUID});
    word = 43;
  });
  Peer caller([] { become_with(alice, {CAP_SETUID}); });
  const auto answer = [&, whom = changing.pid()] {
    return caller.call([=] { return ask_all(whom); });
  };
  EXPECT_EQ(answer(), 43);
  changing.call([] {
    syscall(SYS_setresuid, bob, bob, bob);
    return prctl(PR_SET_DUMPABLE, 1);
  });
  EXPECT_EQ(answer(), -EPERM);
  changing.call([] {
    syscall(SYS_setresuid, alice, alice, alice);
    return prctl(PR_SET_DUMPABLE, 1);
  });
  EXPECT_EQ(answer(), 43);
}

TEST_F(VerdictCache, TargetIsNoLongerDumpable)
{
  Peer caller([] { become(alice); });
  for (int round = 0; round < 20; round++) {
    target.call([] { return prctl(PR_SET_DUMPABLE, 1); });
    ASSERT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
    target.call([] { return prctl(PR_SET_DUMPABLE, 0); });
    ASSERT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -EPERM);
  }
}

/// A copy of the test binary with these mode bits, for as long as the object lives.
class Program {
public:
  explicit Program(const std::string &source, mode_t mode)
  {
    std::filesystem::copy_file(source, path_,
                               std::filesystem::copy_options::overwrite_existing);
    chmod(path_.c_str(), mode);
  }
  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;
  ~Program() { unlink(path_.c_str()); }

  const std::string &path() const { return path_; }

private:
  static int number()
  {
    static int last = 0;
    return ++last;
  }
  std::string path_ =
      "/tmp/cma-program-" + std::to_string(getpid()) + "-" + std::to_string(number());
};

TEST_F(VerdictCache, TargetExecs)
{
  Peer caller([] { become(alice); });
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  target.post([]() -> long {
    execl("/proc/self/exe", "cma-device-tests", "--helper", "sleep", nullptr);
    return 0;
  });
  target.wait_closed();
  // Other memory: the old address is a hole there.
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -EFAULT);
}

TEST_F(VerdictCache, TargetExecsAsRoot)
{
  const Program program(own_path(), 04755);
  std::array<char, 64> path{};
  program.path().copy(path.data(), path.size() - 1);
  Peer caller([] { become(alice); });
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  target.post([=]() -> long {
    execl(path.data(), "cma-device-tests", "--helper", "sleep", nullptr);
    return 0;
  });
  target.wait_closed();
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -EPERM);
}

TEST_F(VerdictCache, TargetDies)
{
  Peer caller([] { become(alice); });
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  target.kill(SIGKILL);
  target.wait_exited();
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -ESRCH) << "a zombie";
  target.wait();
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -ESRCH);
}

TEST_F(VerdictCache, TargetDiesAndItsMemoryLivesOn)
{
  // The sibling of the target is a zombie; the target keeps the memory that they shared.
  const auto sibling =
      static_cast<pid_t>(target.call([]() -> long { return clone_sibling(alice); }));
  Peer caller([] { become(alice); });
  EXPECT_EQ(caller.call([=] { return ask_all(sibling); }), 42);
  kill(sibling, SIGKILL);
  target.call([=]() -> long {
    siginfo_t info;
    return waitid(P_PID, static_cast<id_t>(sibling), &info, WEXITED | WNOWAIT);
  });
  EXPECT_EQ(caller.call([=] { return ask_all(sibling); }), -ESRCH);
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
}

/// A process of root's with a certain pid, or -1; which dies with the caller or by hand.
pid_t clone_with_pid(pid_t pid)
{
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uintptr_t>(&pid);
  arguments.set_tid_size = 1;
  const pid_t parent = getpid();
  const long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0) {
    die_with(parent);
    while (true)
      pause();
  }
  return static_cast<pid_t>(child);
}

TEST_F(VerdictCache, PidIsUsedAgain)
{
  Peer caller([] { become(alice); });
  const auto by_handle = [&] {
    return caller.call([pid = pid]() -> long {
      static const Device device;
      static const Outcome handle = device.open(CMA_PEER_PID, pid);
      return as_returned(
          read_word(device, Route::Handle, {pid, -1, static_cast<int>(handle.result)}));
    });
  };
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), 42);
  EXPECT_EQ(by_handle(), 42);
  target.kill(SIGKILL);
  target.wait();
  const pid_t again = clone_with_pid(pid);
  if (again != pid)
    GTEST_SKIP() << "a pid cannot be chosen here: " << strerror(errno);
  EXPECT_EQ(caller.call([pid = pid] { return ask_all(pid); }), -EPERM);
  EXPECT_EQ(by_handle(), -ESRCH);
  kill(again, SIGKILL);
  waitpid(again, nullptr, 0);
}

TEST_F(VerdictCache, TracerIsWithdrawn)
{
  const Yama yama(1);
  if (!yama.in_force())
    GTEST_SKIP() << "Yama is not there, or cannot be set so";
  Peer caller([] { become(alice); });
  const pid_t asking = caller.pid();
  const auto answer = [&](Route route) {
    return caller.call([=, pid = pid] { return ask(pid, route); });
  };
  EXPECT_EQ(answer(Route::Pid), -EPERM);
  target.call([=] { return prctl(PR_SET_PTRACER, asking, 0, 0, 0); });
  EXPECT_EQ(answer(Route::Pid), 42) << "a no is never remembered";
  target.call([] { return prctl(PR_SET_PTRACER, 0, 0, 0, 0); });
  EXPECT_EQ(answer(Route::PidStrict), -EPERM);
  // What was remembered before is void by now; the jiffies may be 10 ms long.
  outlast_verdicts();
  EXPECT_EQ(answer(Route::Pid), -EPERM);
}

TEST_F(VerdictCache, YamaIsTightened)
{
  Peer caller([] { become(alice); });
  const auto answer = [&](Route route) {
    return caller.call([=, pid = pid] { return ask(pid, route); });
  };
  EXPECT_EQ(answer(Route::Pid), 42);
  const Yama yama(2);
  if (!yama.in_force())
    GTEST_SKIP() << "Yama is not there, or cannot be set so";
  EXPECT_EQ(answer(Route::PidStrict), -EPERM);
  outlast_verdicts();
  EXPECT_EQ(answer(Route::Pid), -EPERM);
}

TEST_F(VerdictCache, AVerdictIsNotRenewedByItsUse)
{
  const Yama yama(1);
  if (!yama.in_force())
    GTEST_SKIP() << "Yama is not there, or cannot be set so";
  Peer caller([] { become(alice); });
  const pid_t asking = caller.pid();
  target.call([=] { return prctl(PR_SET_PTRACER, asking, 0, 0, 0); });
  EXPECT_EQ(caller.call([pid = pid] { return ask(pid); }), 42);
  target.call([] { return prctl(PR_SET_PTRACER, 0, 0, 0, 0); });
  const auto end =
      std::chrono::steady_clock::now() + Device().info().verdict_ms * 1ms + 30ms;
  while (std::chrono::steady_clock::now() < end) {
    caller.call([pid = pid] { return ask(pid); });
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(caller.call([pid = pid] { return ask(pid); }), -EPERM);
}

TEST_F(VerdictCache, TargetChangesItsCredentialsAllTheTime)
{
  // They stay equivalent, so that every answer is yes, and never "no such process".
  constexpr uint64_t enough = 100; // of either, for as long as that takes a machine
  void *shared =
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto *changes = new (shared) std::atomic<uint64_t>(0);
  Peer restless;
  const pid_t busy = restless.pid();
  restless.post([=]() -> long {
    for (;; ++*changes)
      drop_capability(CAP_NET_RAW);
  });
  Peer caller;
  EXPECT_EQ(caller.call([=]() -> long {
    const auto end = std::chrono::steady_clock::now() + 3s;
    uint64_t rounds = 0;
    for (; std::chrono::steady_clock::now() < end || rounds < enough || *changes < enough;
         rounds++)
      for (const Route route : {Route::PidStrict, Route::Pid})
        if (const long answer = ask(busy, route); answer != 7)
          return answer;
    return 0;
  }),
            0);
  munmap(shared, page);
}

TEST_F(VerdictCache, OneFileInTwoProcesses)
{
  // The parent's verdict is remembered in the file that the child inherits.
  const Device shared;
  EXPECT_EQ(read_word(shared, Route::Pid, {pid, -1, 0}), gives(42));
  const int fd = shared.fd();
  Peer child([] { become(bob); });
  const long seen = child.call([=, pid = pid]() -> long {
    const Device inherited{Fd(fd)};
    const Outcome outcome = read_word(inherited, Route::Pid, {pid, -1, 0});
    return outcome.error != 0 ? -outcome.error : outcome.result;
  });
  EXPECT_EQ(seen, -EPERM);
  EXPECT_EQ(read_word(shared, Route::Pid, {pid, -1, 0}), gives(42));
}

TEST_F(VerdictCache, OneFileInThreadsOfTwoUsers)
{
  Peer caller;
  const long wrong = caller.call([pid = pid]() -> long {
    const Device shared;
    std::atomic<long> mistakes = 0;
    const auto watch = [&](uid_t user, const Outcome &expected) {
      if (user != 0)
        require(syscall(SYS_setresuid, user, user, user) == 0, "setresuid of a thread");
      for (int i = 0; i < 300; i++)
        for (const Route route : {Route::Pid, Route::PidStrict})
          if (read_word(shared, route, {pid, -1, 0}) != expected)
            mistakes++;
    };
    std::thread root(watch, 0, gives(42));
    std::thread user(watch, bob, fails(EPERM));
    root.join();
    user.join();
    return mistakes;
  });
  EXPECT_EQ(wrong, 0);
}

TEST_F(VerdictCache, MoreTargetsThanAreRemembered)
{
  // Every third belongs to bob; each has a word of its own.
  std::vector<std::unique_ptr<Peer>> targets;
  for (uint64_t i = 0; i < 40; i++)
    targets.push_back(std::make_unique<Peer>([i] {
      become(i % 3 == 2 ? bob : alice);
      word = 100 + i;
    }));
  Peer caller([] { become(alice); });
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < targets.size(); i++) {
      const pid_t one = targets[i]->pid();
      const long answer = caller.call([=] { return ask(one); });
      ASSERT_EQ(answer, i % 3 == 2 ? -EPERM : static_cast<long>(100 + i));
    }
}

/// mm_structs of the whole guest; -1 where the kernel does not say.
long mm_structs()
{
  // Free ones that a CPU keeps at hand count as used until they are given back.
  std::ofstream("/sys/kernel/slab/mm_struct/shrink") << 1 << std::flush;
  std::ifstream slabs("/proc/slabinfo");
  for (std::string line; std::getline(slabs, line);)
    if (line.starts_with("mm_struct "))
      return std::stol(line.substr(strlen("mm_struct ")));
  return -1;
}

TEST_F(VerdictCache, IdleFilesDoNotKeepTheDead)
{
  constexpr size_t dead = 200;
  const Device device;
  EXPECT_EQ(read_word(device, Route::Pid, {pid, -1, 0}), gives(42));
  const long before = mm_structs();
  if (before < 0)
    GTEST_SKIP() << "the kernel does not count its mm_structs";
  for (size_t i = 0; i < dead; i++) {
    const Peer one;
    ASSERT_EQ(read_word(device, Route::Pid, {one.pid(), -1, 0}), gives(7));
  }
  // Nobody touches the file any more, and it stays open.
  long after = mm_structs();
  for (int i = 0; i < 40 && after > before + static_cast<long>(dead) / 10; i++) {
    std::this_thread::sleep_for(250ms);
    after = mm_structs();
  }
  EXPECT_LE(after, before + static_cast<long>(dead) / 10) << "address spaces of the dead";
  EXPECT_EQ(read_word(device, Route::Pid, {pid, -1, 0}), gives(42));
}

TEST_F(VerdictCache, AHandleWasJudgedWhenItWasOpened)
{
  Peer caller([] { become(alice); });
  const auto answer = [&](Route route) {
    return caller.call([=, pid = pid]() -> long {
      static const Device device;
      static const Outcome handle = device.open(CMA_PEER_PID, pid);
      if (handle.error != 0)
        return -handle.error;
      const Outcome outcome =
          read_word(device, route, {pid, -1, static_cast<int>(handle.result)});
      return outcome.error != 0 ? -outcome.error : outcome.result;
    });
  };
  EXPECT_EQ(answer(Route::Handle), 42);
  target.call([] { return prctl(PR_SET_DUMPABLE, 0); });
  EXPECT_EQ(answer(Route::Handle), 42) << "as an open /proc/PID/mem";
  EXPECT_EQ(answer(Route::HandleStrict), -EPERM);
  target.call([] { return prctl(PR_SET_DUMPABLE, 1); });
  EXPECT_EQ(answer(Route::HandleStrict), 42);
}

/// What a reader saw of a process that alternates.
struct Sightings {
  long words = 0;
  long secrets = 0;
  long refusals = 0;
  long others = 0;
};

Sightings watch(pid_t pid, std::chrono::seconds duration)
{
  const Device device;
  Sightings seen;
  const Fd pidfd(pidfd_open(pid));
  Target target = {pid, pidfd.get(), 0};
  const auto end = std::chrono::steady_clock::now() + duration;
  const iovec remote = segment(flip_address, sizeof(uint64_t));
  while (std::chrono::steady_clock::now() < end)
    for (const Route route : {Route::Pid, Route::PidStrict, Route::Pidfd, Route::Handle,
                              Route::HandleStrict}) {
      if (route == Route::Handle) {
        device.close(target.handle);
        target.handle = static_cast<int>(device.open(CMA_PEER_PID, pid).result);
      }
      uint64_t found = 0;
      const iovec local = {&found, sizeof(found)};
      const Outcome outcome =
          run(device, route, target, {false, &local, 1, &remote, 1, 0});
      if (found == flip_secret)
        seen.secrets++;
      else if (outcome.error == EPERM)
        seen.refusals++;
      else if (found == flip_public)
        seen.words++;
      else
        seen.others++;
    }
  return seen;
}

TEST(ExecRace, NoSecretIsRead)
{
  const Program plain(beside("cma-device-flip"), 0755);
  const Program setuid(beside("cma-device-flip"), 04755);
  std::array<char, 64> a{};
  std::array<char, 64> b{};
  plain.path().copy(a.data(), a.size() - 1);
  setuid.path().copy(b.data(), b.size() - 1);
  Peer flipping([] { become(alice); });
  flipping.post(
      [=]() -> long { return execl(a.data(), "flip", a.data(), b.data(), nullptr); });
  flipping.wait_closed();
  const pid_t pid = flipping.pid();

  auto *seen =
      new (mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
          Sightings;
  Peer reader([] { become(alice); });
  reader.call([=]() -> long {
    *seen = watch(pid, 8s);
    return 0;
  });
  EXPECT_EQ(seen->secrets, 0);
  // Else the test has seen nothing.
  EXPECT_GT(seen->words, 50);
  EXPECT_GT(seen->refusals, 50);
  RecordProperty("words", static_cast<int>(seen->words));
  RecordProperty("refusals", static_cast<int>(seen->refusals));
  std::cout << seen->words << " words, " << seen->refusals << " refusals, "
            << seen->others << " others, " << seen->secrets << " secrets\n";
  munmap(seen, page);
}

} // namespace
} // namespace cma_test
