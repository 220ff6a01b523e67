// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Published windows: found by the pid of the process that published, whatever the rules
 * of ptrace say, and judged by their mode. Who finds one, and who does not; that it ends
 * with its owner's word, file and memory, and that nobody is taken for another who has,
 * or had, the same pid or the same memory.
 */
#include "support/judgement.hpp"
#include "support/persona.hpp"
#include "support/rounds.hpp"
#include "support/window.hpp"
#include "support/word.hpp"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr Route routes[] = {Route::Published, Route::Published, Route::PublishedStrict,
                            Route::Published};

Outcome open_published(const Device &device, pid_t pid, uint32_t access = 0)
{
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_PUBLISHED;
  open.peer = pid;
  open.access = access;
  const Outcome outcome = device.call(CMA_IOC_OPEN, &open);
  return outcome.error != 0 ? outcome : gives(open.handle);
}

/// In the owner: its published window's.
int64_t published_name = 0;

/// In the owner: publishes, its word being `value`; 0 or an errno.
long publish(uint64_t value, uint32_t mode = 0600, uint32_t access = read_and_write)
{
  word = value;
  const Outcome made = publish_all(mode, access);
  if (made.error == 0)
    published_name = made.result;
  return made.error;
}

class Published : public testing::Test {
protected:
  void start(uint32_t mode = 0600, uint32_t access = read_and_write)
  {
    ASSERT_EQ(owner.call([=] { return publish(42, mode, access); }), 0);
  }
  long withdraw()
  {
    return owner.call(
        [] { return long{destroy_window(publishing_device(), published_name).error}; });
  }
  Outcome read(Route route = Route::Published) const
  {
    return read_word(device, route, {owner.pid(), -1, 0});
  }
  void expect_read(const Outcome &expected) const
  {
    for (const Route route : routes)
      EXPECT_EQ(read(route), expected) << name_of(route);
  }
  Outcome write(uint64_t value) const
  {
    const iovec here = segment(reinterpret_cast<uintptr_t>(&value), sizeof(value));
    const iovec there = segment(reinterpret_cast<uintptr_t>(&word), sizeof(word));
    return run(device, Route::Published, {owner.pid(), -1, 0},
               {true, &here, 1, &there, 1, 0});
  }
  long owners_word()
  {
    return owner.call([] { return static_cast<long>(word); });
  }

  Device device;
  Peer owner;
};

TEST_F(Published, IsReachedByItsPidAtItsOwnAddresses)
{
  start();
  expect_read(gives(42));
  EXPECT_EQ(write(43), gives(8));
  EXPECT_EQ(owners_word(), 43);
  EXPECT_EQ(read_word(device, Route::Published, {owner.pid(), -1, 0}, CMA_COPY_KNOWN),
            gives(43));
  EXPECT_EQ(read_word(Device(), Route::Published, {owner.pid(), -1, 0}, CMA_COPY_KNOWN),
            fails(EAGAIN));

  const Outcome handle = open_published(device, owner.pid());
  ASSERT_GT(handle.result, 0) << handle;
  const Target target = {0, -1, static_cast<int>(handle.result)};
  EXPECT_EQ(read_word(device, Route::Handle, target), gives(43));
  EXPECT_EQ(read_word(device, Route::HandleStrict, target), gives(43));
}

TEST_F(Published, IsThatOfEachOfItsThreads)
{
  start();
  const auto tid = static_cast<pid_t>(owner.call([]() -> long {
    static std::atomic<pid_t> seen = 0;
    std::thread([] {
      seen = gettid();
      pause();
    }).detach();
    while (seen == 0)
      usleep(1000);
    return seen;
  }));
  ASSERT_NE(tid, owner.pid());
  EXPECT_EQ(read_word(device, Route::Published, {tid, -1, 0}), gives(42));
}

TEST_F(Published, IsNotWhatWasNotPublished)
{
  expect_read(fails(ENOENT));
  EXPECT_EQ(open_published(device, owner.pid()), fails(ENOENT));
  ASSERT_EQ(owner.call([] {
    static const Device own;
    return long{create_window(own, 0, INT64_MAX, 0666).error};
  }),
            0);
  expect_read(fails(ENOENT));
  EXPECT_EQ(open_published(device, owner.pid()), fails(ENOENT));
  for (const pid_t nobody_there : {0, -1, INT32_MAX, 2 /* the kernel's own */}) {
    EXPECT_EQ(read_word(device, Route::Published, {nobody_there, -1, 0}), fails(ESRCH));
    EXPECT_EQ(open_published(device, nobody_there), fails(ESRCH));
  }
}

TEST_F(Published, IsOneOfEachProcess)
{
  start();
  const int64_t before = module_counter("windows");
  for (int i = 0; i < 100; i++)
    ASSERT_EQ(owner.call([] { return publish(42); }), EEXIST);
  EXPECT_EQ(module_counter("windows"), before) << "what was refused is there";
  expect_read(gives(42));
  ASSERT_EQ(withdraw(), 0);
  expect_read(fails(ENOENT));
  ASSERT_EQ(owner.call([] { return publish(44, 0400); }), 0);
  expect_read(gives(44));
}

TEST_F(Published, EndsWithItsOwnersWord)
{
  start();
  expect_read(gives(42));
  const Outcome handle = open_published(device, owner.pid());
  ASSERT_GT(handle.result, 0);
  ASSERT_EQ(withdraw(), 0);
  expect_read(fails(ENOENT));
  EXPECT_EQ(open_published(device, owner.pid()), fails(ENOENT));
  EXPECT_EQ(read_word(device, Route::Handle, {0, -1, static_cast<int>(handle.result)}),
            fails(EIDRM));
}

TEST_F(Published, EndsWithItsFile)
{
  start();
  expect_read(gives(42));
  owner.call([] { return publishing_device().shut(), 0L; });
  expect_read(fails(ENOENT));
}

/// What runs there now has published nothing, whoever still holds the file.
TEST_F(Published, EndsWithExec)
{
  start();
  expect_read(gives(42));
  owner.post([]() -> long {
    const pid_t self = getpid();
    if (fork() == 0) { // it keeps the file open
      die_with(self);
      pause();
      _exit(0);
    }
    execl("/proc/self/exe", "cma-device-tests", "--helper", "sleep", nullptr);
    return 0;
  });
  for (int i = 0; i < 1000 && read().error == 0; i++)
    usleep(10'000);
  expect_read(fails(ENOENT));
  EXPECT_EQ(open_published(device, owner.pid()), fails(ENOENT));
}

TEST_F(Published, EndsWithExit)
{
  start();
  expect_read(gives(42));
  const auto child = static_cast<pid_t>(owner.call([]() -> long {
    const pid_t keeps_the_file_open = fork();
    if (keeps_the_file_open == 0) {
      pause();
      _exit(0);
    }
    return keeps_the_file_open;
  }));
  owner.kill(SIGKILL);
  owner.wait_exited();
  expect_read(fails(ESRCH));
  owner.wait();
  expect_read(fails(ESRCH));
  EXPECT_EQ(read_word(device, Route::Published, {child, -1, 0}), fails(ENOENT));
  kill(child, SIGKILL);
}

TEST_F(Published, IsNotAForkedChilds)
{
  start();
  expect_read(gives(42));
  const auto child = static_cast<pid_t>(owner.call([]() -> long {
    const pid_t self = getpid();
    const pid_t child = fork();
    if (child == 0) {
      die_with(self);
      pause();
    }
    return child;
  }));
  EXPECT_EQ(read_word(device, Route::Published, {child, -1, 0}), fails(ENOENT));
  kill(child, SIGKILL);

  const auto own = static_cast<pid_t>(owner.call([]() -> long {
    std::array<int, 2> ready{};
    require(pipe(ready.data()) == 0, "pipe");
    const pid_t self = getpid();
    const pid_t child = fork();
    if (child == 0) {
      die_with(self);
      publishing_device() = Device(); // what is its parent's ends with that
      const auto failed = static_cast<char>(publish(100));
      (void)!::write(ready[1], &failed, 1);
      pause();
    }
    char failed = 1;
    require(::read(ready[0], &failed, 1) == 1 && failed == 0, "CMA_WINDOW_PUBLISH");
    return child;
  }));
  for (const Route route : routes) {
    EXPECT_EQ(read_word(device, route, {own, -1, 0}), gives(100));
    EXPECT_EQ(read(route), gives(42));
  }
  kill(own, SIGKILL);
}

/// A child that has this pid, or -1.
pid_t fork_as(pid_t pid)
{
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uintptr_t>(&pid);
  arguments.set_tid_size = 1;
  const auto child =
      static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    word = 66;
    pause();
    _exit(0);
  }
  return child;
}

TEST_F(Published, IsNotThatOfTheNextOneWithThePid)
{
  start();
  expect_read(gives(42));
  owner.kill(SIGKILL);
  owner.wait();
  pid_t next = -1;
  for (int i = 0; i < 200 && next < 0; i++, usleep(10'000))
    next = fork_as(owner.pid()); // it may take a moment until it is free
  ASSERT_EQ(next, owner.pid()) << "the pid could not be had again";
  EXPECT_EQ(read_word(device, Route::Pid, {next, -1, 0}).error, 0);
  expect_read(fails(ENOENT));
  EXPECT_EQ(open_published(device, next), fails(ENOENT));
  end_all(std::array{next});
}

struct Somebody {
  uint32_t mode; ///< of what alice published
  uint32_t access;
  uid_t user;
  gid_t group;
  uint32_t allowed;
};
void PrintTo(const Somebody &who, std::ostream *out)
{
  *out << std::oct << who.mode << std::dec << " with " << who.access << " for "
       << who.user << ':' << who.group;
}

class PublishedFor : public Published, public testing::WithParamInterface<Somebody> {};

/// By pid the answer would be another: alice is not dumpable.
TEST_P(PublishedFor, ItsModeDecides)
{
  const Somebody who = GetParam();
  owner.call([] { return become(alice), 0L; });
  start(who.mode, who.access);
  owner.call([] { return long{prctl(PR_SET_DUMPABLE, 0)}; });
  const Persona persona(who.user, who.group);
  EXPECT_EQ(read_word(device, owner.pid()), fails(EPERM));
  const bool reads = (who.allowed & CMA_ACCESS_READ) != 0;
  const bool writes = (who.allowed & CMA_ACCESS_WRITE) != 0;
  expect_read(reads ? gives(42) : fails(EACCES));
  EXPECT_EQ(write(43), writes ? gives(8) : fails(EACCES));
  for (const uint32_t wanted :
       {uint32_t{CMA_ACCESS_READ}, uint32_t{CMA_ACCESS_WRITE}, read_and_write})
    EXPECT_EQ(open_published(device, owner.pid(), wanted).error,
              (wanted & ~who.allowed) != 0 ? EACCES : 0);
  EXPECT_EQ(owners_word(), writes ? 43 : 42);
}

INSTANTIATE_TEST_SUITE_P(
    All, PublishedFor,
    testing::Values(Somebody{0600, read_and_write, alice, alice, read_and_write},
                    Somebody{0600, CMA_ACCESS_READ, alice, alice, CMA_ACCESS_READ},
                    Somebody{0400, read_and_write, alice, alice, CMA_ACCESS_READ},
                    Somebody{0200, read_and_write, alice, alice, CMA_ACCESS_WRITE},
                    Somebody{0600, read_and_write, bob, alice, 0},
                    Somebody{0600, read_and_write, bob, bob, 0},
                    Somebody{0660, read_and_write, bob, alice, read_and_write},
                    Somebody{0066, read_and_write, alice, alice, 0},
                    Somebody{0604, read_and_write, bob, bob, CMA_ACCESS_READ}));

TEST_F(Published, IsRootsToo)
{
  owner.call([] { return become(alice), 0L; });
  start(0000);
  expect_read(gives(42));
}

TEST_F(Published, IsJudgedAnewForWhoTheCallerBecomes)
{
  owner.call([] { return become(alice), 0L; });
  start();
  Peer heir([] { become(bob); }); // with the same open file
  const Persona persona(alice, alice);
  expect_read(gives(42));
  const Outcome handle = open_published(device, owner.pid());
  const pid_t pid = owner.pid();
  const int number = static_cast<int>(handle.result);
  for (const bool strict : {false, true})
    EXPECT_EQ(heir.call([this, pid, strict]() -> long {
      return read_word(device, strict ? Route::PublishedStrict : Route::Published,
                       {pid, -1, 0})
          .error;
    }),
              EACCES);
  EXPECT_EQ(heir.call([this, number]() -> long {
    return read_word(device, Route::HandleStrict, {0, -1, number}).error;
  }),
            EACCES);
  expect_read(gives(42));
}

/// As a peer by pid is, but for the rules of ptrace.
TEST_F(Published, IsReducedFrom)
{
  if ((device.info().features & CMA_FEATURE_REDUCE) == 0)
    GTEST_SKIP() << "the module computes nothing here";
  start();
  for (int i = 0; i < 5; i++)
    expect_read(gives(42));
  auto reduce = sized<cma_ioc_reduce>();
  uint64_t mine = 1;
  reduce.op = CMA_REDUCE_BOR;
  reduce.type = CMA_REDUCE_UINT64;
  reduce.local = reduce.out = reinterpret_cast<uintptr_t>(&mine);
  reduce.length = sizeof(mine);
  reduce.operand_cnt = 1;
  reduce.operand[0] = {CMA_PEER_PUBLISHED, owner.pid(),
                       reinterpret_cast<uintptr_t>(&word)};
  EXPECT_EQ(device.call(CMA_IOC_REDUCE, &reduce), gives(0));
  EXPECT_EQ(mine, 43U);
  reduce.operand[0].peer = getpid();
  EXPECT_EQ(device.call(CMA_IOC_REDUCE, &reduce), fails(ENOENT));
}

class PublishedPastYama : public Published {
protected:
  void expect_past(int scope)
  {
    const Yama yama(scope);
    if (!yama.in_force())
      GTEST_SKIP() << "this kernel has no Yama";
    owner.call([] { return become(alice), 0L; });
    start();
    Peer sibling([] { become(alice); });
    const pid_t pid = owner.pid();
    EXPECT_EQ(sibling.call([pid] { return read_word(Device(), pid).result; }), -1);
    EXPECT_EQ(sibling.call([pid] {
      return read_word(Device(), Route::Published, {pid, -1, 0}).result;
    }),
              42);
    Peer stranger([] { become(bob); });
    EXPECT_EQ(stranger.call([pid]() -> long {
      return read_word(Device(), Route::Published, {pid, -1, 0}).error;
    }),
              EACCES);
  }
};

TEST_F(PublishedPastYama, OfScopeOne)
{
  expect_past(1);
}

TEST_F(PublishedPastYama, OfScopeTwo)
{
  expect_past(2);
}

/// It stays until the next boot: a run that goes on needs this last.
using YamaForeverPublished = PublishedPastYama;

TEST_F(YamaForeverPublished, OfScopeThree)
{
  expect_past(3);
}

TEST_F(Published, ReachesOutOfUserNamespaces)
{
  owner.call([] {
    become(alice);
    return long{unshare(CLONE_NEWUSER)};
  });
  start();
  Peer sibling([] {
    become(alice);
    require(unshare(CLONE_NEWUSER) == 0, "unshare");
  });
  const pid_t pid = owner.pid();
  EXPECT_EQ(sibling.call([pid] { return read_word(Device(), pid).result; }), -1);
  EXPECT_EQ(sibling.call([pid] {
    return read_word(Device(), Route::Published, {pid, -1, 0}).result;
  }),
            42);
}

/// A pid is one of the caller's namespace: there it names another process, or none.
TEST_F(Published, IsFoundByThePidThatTheCallerSees)
{
  Peer contained([] { require(publish(50) == 0, "CMA_WINDOW_PUBLISH"); }, CLONE_NEWPID);
  EXPECT_EQ(read_word(device, Route::Published, {contained.pid(), -1, 0}), gives(50));
  EXPECT_EQ(contained.call([] {
    return read_word(Device(), Route::Published, {getpid(), -1, 0}).result;
  }),
            50);
  const pid_t outside = owner.pid();
  start();
  EXPECT_EQ(contained.call([outside]() -> long {
    return read_word(Device(), Route::Published, {outside, -1, 0}).error;
  }),
            ESRCH);
}

TEST_F(Published, IsNoMoreThanTheCallersFileAllows)
{
  start();
  const Device reading(Fd(open("/dev/cma", O_RDONLY | O_CLOEXEC)));
  const Target target = {owner.pid(), -1, 0};
  for (int i = 0; i < 3; i++)
    EXPECT_EQ(read_word(reading, Route::Published, target), gives(42));
  uint64_t value = 1;
  const iovec here = segment(reinterpret_cast<uintptr_t>(&value), sizeof(value));
  const iovec there = segment(reinterpret_cast<uintptr_t>(&word), sizeof(word));
  EXPECT_EQ(run(reading, Route::Published, target, {true, &here, 1, &there, 1, 0}),
            fails(EBADF));
  EXPECT_EQ(open_published(reading, owner.pid(), CMA_ACCESS_WRITE), fails(EBADF));
}

/// In a child of the owner's: publishes its number, and takes it back, over and over, by
/// its word, by its file and by its exit.
[[noreturn]] void come_and_go(uint64_t number)
{
  word = number;
  for (int i = 0; i < 40; i++) {
    const Device own;
    const Outcome made =
        create_window(own, 0, INT64_MAX, 0600, read_and_write, CMA_WINDOW_PUBLISH);
    require(made.error == 0, "CMA_WINDOW_PUBLISH");
    if (i % 2 == 0)
      require(destroy_window(own, made.result).error == 0, "CMA_IOC_WINDOW_DESTROY");
  }
  const Device last;
  create_window(last, 0, INT64_MAX, 0600, read_and_write, CMA_WINDOW_PUBLISH);
  _exit(0);
}

/// Whoever is read from by a pid is who has it, though it comes and goes meanwhile.
TEST_F(Published, IsFoundWhileItComesAndGoes)
{
  struct Newest {
    pid_t pid;
    uint32_t number;
  };
  std::atomic<Newest> newest{};
  std::atomic<bool> over = false;
  std::atomic<long> reads = 0;
  const auto look = [&](const Device &own, Route route) {
    for (int round = 0; !over; round++) {
      const Newest now = newest;
      const Outcome outcome = read_word(own, route, {now.pid, -1, 0});
      if (outcome.error == 0) {
        EXPECT_EQ(outcome.result, now.number);
        reads++;
      } else {
        EXPECT_TRUE(outcome.error == ENOENT || outcome.error == ESRCH ||
                    outcome.error == EIDRM || outcome.error == EFAULT)
            << outcome;
      }
      if (round % 16 != 0)
        continue;
      const Outcome handle = open_published(own, now.pid);
      if (handle.error == 0) {
        EXPECT_EQ(own.close(static_cast<int32_t>(handle.result)), gives(0));
      } else {
        // What was closed counts until it is freed.
        EXPECT_TRUE(handle.error == ENOENT || handle.error == ESRCH ||
                    handle.error == ENOSPC)
            << handle;
      }
    }
  };
  const Device other;
  std::thread one(look, std::cref(device), Route::Published);
  std::thread two(look, std::cref(device), Route::PublishedStrict);
  std::thread three(look, std::cref(other), Route::Published);
  for (const int round : Rounds(20, 400, std::chrono::seconds(10))) {
    const auto number = static_cast<uint32_t>(1000 + round);
    const pid_t child = fork();
    if (child == 0)
      come_and_go(number);
    newest = {child, number};
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  over = true;
  for (std::thread *thread : {&one, &two, &three})
    thread->join();
  EXPECT_GT(reads, 0);
}

} // namespace
} // namespace cma_test
