// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Windows: what an owner lets others reach by name. Who may open one, what a
 * handle of one reaches, that it works where the rules of ptrace refuse, and
 * that it ends with its owner's word, file and memory.
 */
#include "support/helper.hpp"
#include "support/judgement.hpp"
#include "support/persona.hpp"
#include "support/rounds.hpp"
#include "support/window.hpp"

#include <algorithm>
#include <atomic>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <sched.h>
#include <set>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

const size_t size = 4 * page;
constexpr uint32_t both = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
constexpr uint32_t anybody = 0666;

/// In the owner: its open file, which lives as long as it does.
int owners_file()
{
  static const int fd = open("/dev/cma", O_RDWR | O_CLOEXEC);
  return fd;
}

/// In the owner: the new window's name, or a negative errno value.
long create(uintptr_t base, uint64_t length, uint32_t access, uint32_t mode)
{
  auto window = sized<cma_ioc_window_create>();
  window.base = base;
  window.length = length;
  window.access = access;
  window.mode = mode;
  const int rc = ioctl(owners_file(), CMA_IOC_WINDOW_CREATE, &window);
  return rc < 0 ? -errno : static_cast<long>(window.window);
}

long destroy(long name)
{
  auto window = sized<cma_ioc_window_destroy>();
  window.window = static_cast<uint64_t>(name);
  return ioctl(owners_file(), CMA_IOC_WINDOW_DESTROY, &window) < 0 ? -errno : 0;
}

class Window : public testing::Test {
protected:
  void SetUp() override
  {
    base = make_memory(Kind::Anonymous, size); // at the same place in the owner
    ASSERT_NE(base, 0U);
    owner.emplace();
    filled = pattern(size, 7);
    for (size_t i = 0; i < size; i += page)
      fill(i);
  }

  /// Has the owner hold its pattern in one page.
  void fill(size_t offset)
  {
    std::array<uint8_t, 200> part;
    for (size_t i = 0; i < page; i += part.size()) {
      const size_t n = std::min(part.size(), page - i);
      std::copy_n(filled.begin() + static_cast<long>(offset + i), n, part.begin());
      const uintptr_t to = base + offset + i;
      owner->call([=] {
        std::copy_n(part.begin(), n, reinterpret_cast<uint8_t *>(to));
        return 0L;
      });
    }
  }

  long window(uint32_t access = both, uint32_t mode = anybody)
  {
    const uintptr_t from = base;
    return owner->call([=] { return create(from, size, access, mode); });
  }

  Outcome copy(int64_t handle, bool write, uint64_t offset, uint64_t length,
               uint32_t flags = 0)
  {
    request = sized<cma_ioc_copy>();
    request.flags = flags | CMA_COPY_REPORT | (write ? CMA_COPY_WRITE : 0);
    request.peer_type = CMA_PEER_HANDLE;
    request.peer = static_cast<int32_t>(handle);
    const cma_iovec here = {reinterpret_cast<uintptr_t>(buffer.data()), length};
    const cma_iovec there = {offset, length};
    if ((flags & CMA_COPY_SINGLE) != 0) {
      request.local_iov = here.base;
      request.remote_iov = there.base;
      request.local_cnt = request.remote_cnt = length;
    } else {
      request.local_iov = reinterpret_cast<uintptr_t>(&here);
      request.remote_iov = reinterpret_cast<uintptr_t>(&there);
      request.local_cnt = request.remote_cnt = 1;
    }
    return device.copy(request);
  }

  /// A handle works, repeatedly, in both ways a request can be put.
  void expect_readable(int64_t handle)
  {
    for (const uint32_t flags : {0U, CMA_COPY_SINGLE, CMA_COPY_SINGLE, 0U}) {
      std::fill(buffer.begin(), buffer.end(), 0);
      EXPECT_EQ(copy(handle, false, 10, 100, flags), gives(100)) << flags;
      EXPECT_TRUE(std::equal(buffer.begin(), buffer.begin() + 100, filled.begin() + 10));
    }
  }
  void expect_all(int64_t handle, bool write, const Outcome &expected)
  {
    for (const uint32_t flags : {0U, CMA_COPY_SINGLE, CMA_COPY_STRICT})
      EXPECT_EQ(copy(handle, write, 0, 100, flags), expected) << flags;
  }

  uintptr_t base = 0;
  std::optional<Peer> owner;
  Device device;
  std::vector<uint8_t> filled;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(2 * size);
  cma_ioc_copy request;
};

TEST_F(Window, IsOfNobodyOnceItsOwnersMemoryIsGone)
{
  const long name = window();
  // A child keeps the file open, and the window with it.
  const long child = owner->call([]() -> long {
    owners_file();
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    return child;
  });
  ASSERT_GT(child, 0);
  EXPECT_GT(open_window(device, name).result, 0);
  owner->kill(SIGKILL);
  owner->wait();
  EXPECT_EQ(open_window(device, name), fails(ESRCH));
  kill(static_cast<pid_t>(child), SIGKILL);
}

TEST_F(Window, IsReachedAtOffsetsFromItsBeginning)
{
  const int64_t handle = open_window(device, window()).result;
  ASSERT_GT(handle, 0);
  expect_readable(handle);
  EXPECT_EQ(copy(handle, false, 0, size), gives(size));
  EXPECT_TRUE(std::equal(filled.begin(), filled.end(), buffer.begin()));

  std::fill(buffer.begin(), buffer.end(), 0x5a);
  EXPECT_EQ(copy(handle, true, page - 1, 2), gives(2));
  const uintptr_t at = base + page - 1;
  EXPECT_EQ(owner->call([=] { return long{*reinterpret_cast<uint16_t *>(at)}; }), 0x5a5a);
}

TEST_F(Window, ItsEndIsAHole)
{
  const int64_t handle = open_window(device, window()).result;
  EXPECT_EQ(copy(handle, false, size - 10, 100), gives(10));
  EXPECT_EQ(request.fault_side, static_cast<uint32_t>(CMA_FAULT_REMOTE));
  EXPECT_EQ(request.fault_addr, size);
  for (const uint64_t offset : {uint64_t{size}, uint64_t{size} + 1, UINT64_MAX - 50,
                                UINT64_MAX - base, uint64_t{1} << 63})
    for (const uint32_t flags : {0U, CMA_COPY_SINGLE})
      EXPECT_EQ(copy(handle, false, offset, 10, flags), fails(EFAULT)) << offset;
  EXPECT_EQ(copy(handle, true, size - 1, 2, CMA_COPY_SINGLE), gives(1));
}

TEST_F(Window, MayHaveHolesThatAreFilledLater)
{
  const uintptr_t hole = base + page;
  owner->call([=] { return unmap(hole, page), 0L; });
  const int64_t handle = open_window(device, window()).result;
  EXPECT_EQ(copy(handle, false, 0, size), gives(page));
  EXPECT_EQ(request.fault_addr, page);
  owner->call([=] { return renew(hole, page), 0L; });
  fill(page);
  EXPECT_EQ(copy(handle, false, 0, size), gives(size));
  EXPECT_TRUE(std::equal(filled.begin(), filled.end(), buffer.begin()));
}

TEST_F(Window, MayBeTheWholeAddressSpace)
{
  const long name = owner->call([] { return create(0, INT64_MAX, both, anybody); });
  const int64_t handle = open_window(device, name).result;
  EXPECT_EQ(copy(handle, false, base, size), gives(size));
  EXPECT_TRUE(std::equal(filled.begin(), filled.end(), buffer.begin()));
}

TEST_F(Window, NeverShowsWhatIsNoLongerThere)
{
  const int64_t handle = open_window(device, window()).result;
  expect_readable(handle);
  const uintptr_t from = base;
  for (int round = 1; round < 20; round++) {
    owner->call([=] {
      renew(from, page);
      *reinterpret_cast<int *>(from) = round;
      return 0L;
    });
    for (const uint32_t flags : {CMA_COPY_SINGLE, 0U}) {
      EXPECT_EQ(copy(handle, false, 0, 64, flags), gives(64));
      EXPECT_EQ(*reinterpret_cast<int *>(buffer.data()), round);
    }
  }
  owner->call([=] { return unmap(from, page), 0L; });
  expect_all(handle, false, fails(EFAULT));
}

TEST_F(Window, HasANameThatCannotBeGuessed)
{
  std::set<long> names;
  for (int i = 0; i < 64; i++) {
    const long name = window();
    EXPECT_GT(name, 0);
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 64U);
  // 64 random 63-bit numbers: none is small, but for bad luck of one in 2^23.
  EXPECT_GT(*names.begin(), 1L << 33);
  for (const long name : {0L, 1L, *names.begin() + 1, LONG_MAX, -1L})
    EXPECT_EQ(open_window(device, name), fails(ENOENT));
}

struct Mode {
  uint32_t mode;
  uid_t uid;
  gid_t gid;
  uint32_t allowed;
};
void PrintTo(const Mode &mode, std::ostream *out)
{
  *out << std::oct << mode.mode << " for " << std::dec << mode.uid << ':' << mode.gid;
}

class WindowMode : public Window, public testing::WithParamInterface<Mode> {};

TEST_P(WindowMode, IsAFilesMode)
{
  owner->call([] { return become(alice), 0L; });
  const long name = window(both, GetParam().mode);
  const Persona persona(GetParam().uid, GetParam().gid);
  for (const uint32_t wanted :
       {uint32_t{CMA_ACCESS_READ}, uint32_t{CMA_ACCESS_WRITE}, both}) {
    const Outcome outcome = open_window(device, name, wanted);
    if ((wanted & ~GetParam().allowed) != 0)
      EXPECT_EQ(outcome, fails(EACCES)) << wanted;
    else
      EXPECT_GT(outcome.result, 0) << wanted;
  }
  const Outcome any = open_window(device, name);
  if (GetParam().allowed == 0) {
    EXPECT_EQ(any, fails(EACCES));
    return;
  }
  ASSERT_GT(any.result, 0);
  const Outcome yes = gives(100);
  const Outcome no = fails(EACCES);
  expect_all(any.result, false, (GetParam().allowed & CMA_ACCESS_READ) != 0 ? yes : no);
  expect_all(any.result, true, (GetParam().allowed & CMA_ACCESS_WRITE) != 0 ? yes : no);
}

INSTANTIATE_TEST_SUITE_P(
    All, WindowMode,
    testing::Values(Mode{0600, alice, alice, both}, Mode{0600, bob, bob, 0},
                    Mode{0600, bob, alice, 0}, Mode{0060, bob, alice, both},
                    Mode{0060, alice, alice, 0}, Mode{0060, bob, bob, 0},
                    Mode{0006, bob, bob, both}, Mode{0006, bob, alice, 0},
                    Mode{0400, alice, alice, CMA_ACCESS_READ},
                    Mode{0200, alice, alice, CMA_ACCESS_WRITE},
                    Mode{0644, bob, bob, CMA_ACCESS_READ}, Mode{0000, alice, alice, 0},
                    Mode{0000, 0, 0, both}));

TEST_F(Window, AllowsNoMoreThanItsOwnerGave)
{
  const long name = window(CMA_ACCESS_READ, anybody);
  EXPECT_EQ(open_window(device, name, CMA_ACCESS_WRITE), fails(EACCES));
  const int64_t handle = open_window(device, name).result;
  expect_readable(handle);
  expect_all(handle, true, fails(EACCES));
  EXPECT_EQ(
      owner->call([=, at = base] { return long{*reinterpret_cast<uint8_t *>(at)}; }),
      filled[0]);
}

/// By pid the answer is EPERM; the window, by consent, is reached all the same.
void expect_consent(const Device &device, Peer &owner, uintptr_t base, uint8_t first)
{
  const long name = owner.call([=] { return create(base, size, both, anybody); });
  const Persona stranger(bob, bob);
  EXPECT_EQ(device.open(CMA_PEER_PIDFD, owner.pidfd()), fails(EPERM));
  const Outcome handle = open_window(device, name);
  ASSERT_GT(handle.result, 0) << handle;
  uint8_t byte = 0;
  auto request = sized<cma_ioc_copy>();
  request.flags = CMA_COPY_SINGLE;
  request.peer_type = CMA_PEER_HANDLE;
  request.peer = static_cast<int32_t>(handle.result);
  request.local_iov = reinterpret_cast<uintptr_t>(&byte);
  request.local_cnt = request.remote_cnt = 1;
  EXPECT_EQ(device.copy(request), gives(1));
  EXPECT_EQ(byte, first);
}

TEST_F(Window, ReachesAnotherUser)
{
  owner->call([] { return become(alice), 0L; });
  expect_consent(device, *owner, base, filled[0]);
}

TEST_F(Window, ReachesWhatIsNotDumpable)
{
  owner->call([] { return become(bob), long{prctl(PR_SET_DUMPABLE, 0)}; });
  expect_consent(device, *owner, base, filled[0]);
}

TEST_F(Window, ReachesPastYama)
{
  const Yama yama(2);
  if (!yama.in_force())
    GTEST_SKIP() << "this kernel has no Yama";
  owner->call([] { return become(bob), 0L; });
  expect_consent(device, *owner, base, filled[0]);
}

TEST_F(Window, ReachesOutOfNamespaces)
{
  const uintptr_t at = base;
  Peer contained(
      [=] {
        owners_file();
        *reinterpret_cast<uint8_t *>(at) = 0xc1;
        require(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC) == 0, "unshare");
      },
      CLONE_NEWPID);
  expect_consent(device, contained, base, 0xc1);
}

TEST_F(Window, EndsWhenItIsDestroyed)
{
  const long name = window();
  const int64_t handle = open_window(device, name).result;
  expect_readable(handle);
  for (const uint32_t flags : {0U, CMA_COPY_SINGLE, CMA_COPY_SINGLE, 0U})
    EXPECT_EQ(copy(handle, true, 0, size, flags), gives(size));
  EXPECT_EQ(owner->call([=] { return destroy(name); }), 0);
  EXPECT_EQ(owner->call([=] { return destroy(name); }), -ENOENT);
  expect_all(handle, false, fails(EIDRM));
  expect_all(handle, true, fails(EIDRM));
  for (const uint32_t flags : {0U, CMA_COPY_SINGLE})
    for (const bool write : {false, true})
      EXPECT_EQ(copy(handle, write, 0, size, flags), fails(EIDRM));
  EXPECT_EQ(open_window(device, name), fails(ENOENT));
  EXPECT_EQ(device.close(static_cast<int32_t>(handle)), gives(0));
}

/// Both threads come to it at about the same time.
TEST_F(Window, EndsOnceWhoeverElseDestroysIt)
{
  std::atomic<int> begun{0}; // -1: no more
  std::atomic<int> finished{0};
  std::atomic<int> ended{0};
  auto request = sized<cma_ioc_window_destroy>();
  const auto wait = [](const std::atomic<int> &count, int value) {
    for (int i = 0; count >= 0 && count < value; i++)
      if (i > 1000)
        std::this_thread::yield();
  };
  const auto destroy_it = [&, this] {
    auto mine = request;
    ended += device.call(CMA_IOC_WINDOW_DESTROY, &mine).error == 0 ? 1 : 0;
  };
  std::thread other([&] {
    for (int round = 1; wait(begun, round), begun >= 0; round++) {
      destroy_it();
      finished++;
    }
  });
  int rounds = 0;
  for (const int round : Rounds(200, 10'000, std::chrono::seconds(10))) {
    request.window =
        static_cast<uint64_t>(create_window(device, base, size, 0600).result);
    begun = ++rounds;
    for (std::atomic<int> delay = round % 100; delay > 0; delay--) {
    }
    destroy_it();
    wait(finished, rounds);
  }
  begun = -1;
  other.join();
  EXPECT_EQ(ended, rounds);
}

TEST_F(Window, IsDestroyedByItsOwnFileOnly)
{
  const long name = window();
  auto request = sized<cma_ioc_window_destroy>();
  request.window = static_cast<uint64_t>(name);
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_DESTROY, &request), fails(ENOENT));
  EXPECT_GT(open_window(device, name).result, 0);
}

TEST_F(Window, EndsWithItsFile)
{
  const long name = window();
  const int64_t handle = open_window(device, name).result;
  expect_readable(handle);
  owner->call([] { return long{close(owners_file())}; });
  expect_all(handle, false, fails(EIDRM));
  EXPECT_EQ(open_window(device, name), fails(ENOENT));
}

TEST_F(Window, EndsWithItsOwnersMemory)
{
  // The file is this process's too, so that it survives the owner.
  const int shared = open("/dev/cma", O_RDWR | O_CLOEXEC);
  Peer heir;
  const uintptr_t from = base;
  const long name = heir.call([=] {
    auto window = sized<cma_ioc_window_create>();
    window.base = from;
    window.length = size;
    window.access = both;
    window.mode = anybody;
    return ioctl(shared, CMA_IOC_WINDOW_CREATE, &window) < 0 ? -errno
                                                             : long(window.window);
  });
  ASSERT_GT(name, 0);
  const int64_t handle = open_window(device, name).result;
  EXPECT_EQ(copy(handle, false, 0, 64), gives(64));
  EXPECT_EQ(copy(handle, false, 0, 64), gives(64));
  heir.kill(SIGKILL);
  heir.wait();
  expect_all(handle, false, fails(ESRCH));
  close(shared);
  expect_all(handle, false, fails(EIDRM));
}

TEST_F(Window, EveryBadArgumentIsRefused)
{
  auto good = sized<cma_ioc_window_create>();
  good.base = base;
  good.length = size;
  good.access = both;
  good.mode = 0600;
  const auto refused = [&](auto change, int error) {
    auto bad = good;
    change(bad);
    EXPECT_EQ(device.call(CMA_IOC_WINDOW_CREATE, &bad), fails(error));
    EXPECT_EQ(bad.window, 0U);
  };
  refused([](auto &w) { w.flags = 1; }, EINVAL);
  refused([](auto &w) { w.length = 0; }, EINVAL);
  refused([](auto &w) { w.length = UINT64_MAX; }, EINVAL);
  refused([](auto &w) { w.access = 0; }, EINVAL);
  refused([](auto &w) { w.access = 4; }, EINVAL);
  refused([](auto &w) { w.mode = 0700; }, EINVAL);
  refused([](auto &w) { w.mode = 01600; }, EINVAL);
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_CREATE, &good), gives(0));

  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = good.window;
  const auto unopened = [&](auto change) {
    auto bad = open;
    change(bad);
    EXPECT_EQ(device.call(CMA_IOC_OPEN, &bad), fails(EINVAL));
    EXPECT_EQ(bad.handle, 0);
  };
  unopened([](auto &o) { o.peer = 1; });
  unopened([](auto &o) { o.flags = 1; });
  unopened([](auto &o) { o.access = 4; });
  unopened([](auto &o) { o.peer_type = CMA_PEER_PID; });
  EXPECT_EQ(device.call(CMA_IOC_OPEN, &open), gives(0));
  EXPECT_EQ(open.access, both);

  auto destroy = sized<cma_ioc_window_destroy>();
  destroy.window = good.window;
  destroy.reserved = 1;
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_DESTROY, &destroy), fails(EINVAL));
}

TEST_F(Window, AFileHoldsAsManyAsItSays)
{
  auto request = sized<cma_ioc_window_create>();
  request.base = base;
  request.length = size;
  request.access = both;
  request.mode = 0600;
  const uint32_t most = device.info().max_handles;
  for (uint32_t i = 0; i < most; i++)
    ASSERT_EQ(device.call(CMA_IOC_WINDOW_CREATE, &request), gives(0)) << i;
  const uint64_t last = request.window;
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_CREATE, &request), fails(ENOSPC));
  auto destroy = sized<cma_ioc_window_destroy>();
  destroy.window = last;
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_DESTROY, &destroy), gives(0));
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_CREATE, &request), gives(0));
}

} // namespace
} // namespace cma_test
