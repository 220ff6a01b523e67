// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Modes: a window's, which is judged by who somebody is to the file system,
 * and an open file's, which is for reading, for writing, or for both.
 */
#include "support/map_fixture.hpp"
#include "support/persona.hpp"
#include "support/twin.hpp"
#include "support/window.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cma_test {
namespace {

/// Somebody as the file system knows him, who is root otherwise.
struct Somebody {
  uint32_t mode; ///< of alice's window
  uid_t user;
  gid_t group;
  gid_t further; ///< a supplementary group
  uint32_t allowed;
};
void PrintTo(const Somebody &who, std::ostream *out)
{
  *out << std::oct << who.mode << " for " << std::dec << who.user << ':' << who.group
       << '+' << who.further;
}

void set_filesystem_ids(uid_t user, gid_t group, gid_t further)
{
  require(setgroups(1, &further) == 0, "setgroups");
  setfsgid(group);
  setfsuid(user);
  require(setfsuid(static_cast<uid_t>(-1)) == static_cast<int>(user) &&
              setfsgid(static_cast<gid_t>(-1)) == static_cast<int>(group),
          "setfsuid");
}

/// 0, or the errno, of opening a window in the calling process.
long opening(int64_t name, uint32_t access)
{
  return open_window(Device(), name, access).error;
}

/// In an owner: a window of a page of its memory.
int64_t new_window(uint32_t mode)
{
  static const Device device;
  static const uintptr_t base = make_memory(Kind::Anonymous, page);
  const Outcome outcome = create_window(device, base, page, mode);
  require(outcome.error == 0, "CMA_IOC_WINDOW_CREATE");
  return outcome.result;
}

class WindowFor : public testing::TestWithParam<Somebody> {};

TEST_P(WindowFor, FilesystemIdsAndGroupsCount)
{
  const Somebody who = GetParam();
  Peer owner([] { become(alice); });
  const int64_t name = owner.call([=] { return new_window(who.mode); });
  Peer caller([=] { set_filesystem_ids(who.user, who.group, who.further); });
  for (const uint32_t wanted :
       {uint32_t{CMA_ACCESS_READ}, uint32_t{CMA_ACCESS_WRITE}, read_and_write})
    EXPECT_EQ(caller.call([=] { return opening(name, wanted); }),
              (wanted & ~who.allowed) != 0 ? EACCES : 0)
        << wanted;
}
INSTANTIATE_TEST_SUITE_P(
    All, WindowFor,
    testing::Values(Somebody{0600, alice, bob, bob, read_and_write},
                    Somebody{0600, bob, bob, bob, 0},
                    Somebody{0060, bob, alice, bob, read_and_write},
                    Somebody{0060, bob, bob, alice, read_and_write},
                    Somebody{0640, bob, bob, alice, CMA_ACCESS_READ},
                    Somebody{0060, alice, alice, alice, 0},
                    Somebody{0060, bob, bob, bob, 0}, Somebody{0006, bob, alice, bob, 0},
                    Somebody{0006, bob, bob, alice, 0},
                    Somebody{0602, bob, bob, bob, CMA_ACCESS_WRITE}));

TEST(WindowFor, NotWhoIsAliceInEffectAndBobToFiles)
{
  Peer owner([] { become(alice); });
  const int64_t for_alice = owner.call([] { return new_window(0600); });
  const int64_t for_others = owner.call([] { return new_window(0006); });
  Peer caller([] {
    require(syscall(SYS_setresgid, alice, alice, bob) == 0, "setresgid");
    require(setgroups(0, nullptr) == 0, "setgroups");
    require(syscall(SYS_setresuid, alice, alice, bob) == 0, "setresuid");
    setfsgid(bob);
    setfsuid(bob);
  });
  EXPECT_EQ(caller.call([=] { return opening(for_alice, 0); }), EACCES);
  EXPECT_EQ(caller.call([=] { return opening(for_others, 0); }), 0);
}

TEST(WindowFor, ItsOwnerIsWhoANewFileWouldBelongTo)
{
  Peer owner([] { set_filesystem_ids(alice, alice, alice); });
  const int64_t for_alice = owner.call([] { return new_window(0600); });
  const int64_t for_group = owner.call([] { return new_window(0060); });
  Peer same([] { become(alice); });
  EXPECT_EQ(same.call([=] { return opening(for_alice, 0); }), 0);
  Peer other([] { become(bob); });
  EXPECT_EQ(other.call([=] { return opening(for_alice, 0); }), EACCES);
  Peer mate([] { become(bob, alice); });
  EXPECT_EQ(mate.call([=] { return opening(for_group, 0); }), 0);
}

/// All capabilities in a user namespace of one's own are none in the owner's.
TEST(WindowFor, CapabilitiesCountInTheOwnersNamespace)
{
  Peer owner([] { become(alice); });
  const int64_t name = owner.call([] { return new_window(0600); });
  Peer caller([] { become(bob); });
  if (caller.call([] { return long{unshare(CLONE_NEWUSER)}; }) != 0)
    GTEST_SKIP() << "no user namespaces for users";
  EXPECT_EQ(caller.call([=] { return opening(name, 0); }), EACCES);
  EXPECT_EQ(opening(name, read_and_write), 0);

  ASSERT_EQ(owner.call([] { return long{unshare(CLONE_NEWUSER)}; }), 0);
  const int64_t within = owner.call([] { return new_window(0000); });
  EXPECT_EQ(caller.call([=] { return opening(within, 0); }), EACCES);
  EXPECT_EQ(opening(within, read_and_write), 0);
}

/// A device that was opened for less than both.
Device opened(int flags)
{
  return Device(Fd(open("/dev/cma", flags | O_CLOEXEC)));
}

class HandleOf : public testing::Test {
protected:
  static inline const size_t size = 2 * page;

  void SetUp() override
  {
    const uintptr_t from = twin.remote().base();
    const Outcome made = Outcome::of(twin.peer().call([=] {
      static const Device owners;
      return create_window(owners, from, size, 0666).result;
    }));
    ASSERT_EQ(made.error, 0);
    window = made.result;
  }

  /// A handle of the peer, or of its window, with the access asked for.
  Outcome open_handle(const Device &device, bool of_window, uint32_t access,
                      uint32_t *allowed = nullptr) const
  {
    auto request = sized<cma_ioc_open>();
    request.peer_type = of_window ? CMA_PEER_WINDOW : CMA_PEER_PID;
    if (of_window)
      request.window = static_cast<uint64_t>(window);
    else
      request.peer = twin.target().pid;
    request.access = access;
    const Outcome outcome = device.call(CMA_IOC_OPEN, &request);
    if (allowed != nullptr)
      *allowed = request.access;
    return outcome.error != 0 ? outcome : gives(request.handle);
  }

  /// Copies by every route and form; when they are refused nothing has changed.
  void expect_copies(const Device &device, bool write, const Outcome &expected)
  {
    Target target = twin.target();
    target.handle = static_cast<int>(open_handle(device, false, 0).result);
    target.window = static_cast<int>(open_handle(device, true, 0).result);
    for (const Route route : {Route::Pid, Route::Pid, Route::PidStrict, Route::Pidfd,
                              Route::PidfdStrict, Route::Handle, Route::Handle,
                              Route::HandleStrict, Route::Window, Route::Window})
      for (const bool single : {false, true}) {
        twin.local().fill(1);
        twin.remote().fill(2);
        expect_copy(device, route, target, write, single, expected);
        const bool moved = expected.error == 0;
        EXPECT_EQ(*reinterpret_cast<uint64_t *>(twin.local().base()),
                  word(moved && !write ? 2 : 1));
        EXPECT_EQ(twin.peer().call([at = twin.remote().base()] {
          return static_cast<long>(*reinterpret_cast<uint64_t *>(at));
        }),
                  static_cast<long>(word(moved && write ? 1 : 2)));
      }
  }

  Twin twin{size, size};
  int64_t window = 0;

private:
  static uint64_t word(uint32_t seed)
  {
    uint64_t value = 0;
    memcpy(&value, pattern(size, seed).data(), sizeof(value));
    return value;
  }
  void expect_copy(const Device &device, Route route, const Target &target, bool write,
                   bool single, const Outcome &expected)
  {
    const iovec here = segment(twin.local().base(), 64);
    const iovec there = segment(route == Route::Window ? 0 : twin.remote().base(), 64);
    auto request = as_ioctl(route, target, {write, &here, 1, &there, 1, 0});
    if (single) {
      request.flags |= CMA_COPY_SINGLE;
      request.local_iov = reinterpret_cast<uintptr_t>(here.iov_base);
      request.remote_iov = reinterpret_cast<uintptr_t>(there.iov_base);
      request.local_cnt = request.remote_cnt = here.iov_len;
    }
    request.copied = 99;
    EXPECT_EQ(device.copy(request), expected)
        << name_of(route) << (write ? " written" : " read") << (single ? " single" : "");
    if (expected.error != 0) {
      EXPECT_EQ(request.copied, 0U);
    }
  }
};

TEST_F(HandleOf, AFileForReadingDoesNotWrite)
{
  const Device device = opened(O_RDONLY);
  expect_copies(device, true, fails(EBADF));
  expect_copies(device, false, gives(64));
}

TEST_F(HandleOf, AFileForWritingDoesNotRead)
{
  const Device device = opened(O_WRONLY);
  expect_copies(device, false, fails(EBADF));
  expect_copies(device, true, gives(64));
}

TEST_F(HandleOf, AFileForIoctlsAloneDoesNeither)
{
  const Device device = opened(O_ACCMODE);
  expect_copies(device, false, fails(EBADF));
  expect_copies(device, true, fails(EBADF));
  EXPECT_EQ(open_handle(device, false, 0), fails(EBADF));
  EXPECT_EQ(open_handle(device, true, 0), fails(EBADF));
}

/// As write(2) of nothing does.
TEST_F(HandleOf, AFileForReadingDoesNotWriteNothing)
{
  const Device device = opened(O_RDONLY);
  EXPECT_EQ(run(device, Route::Pid, twin.target(), {true, nullptr, 0, nullptr, 0, 0}),
            fails(EBADF));
  EXPECT_EQ(run(device, Route::Pid, twin.target(), {false, nullptr, 0, nullptr, 0, 0}),
            gives(0));
}

TEST_F(HandleOf, AHandleAllowsNoMoreThanItsFile)
{
  for (const bool of_window : {false, true})
    for (const int flags : {O_RDONLY, O_WRONLY}) {
      const Device device = opened(flags);
      const uint32_t mine = flags == O_RDONLY ? CMA_ACCESS_READ : CMA_ACCESS_WRITE;
      uint32_t allowed = 0;
      EXPECT_GT(open_handle(device, of_window, 0, &allowed).result, 0);
      EXPECT_EQ(allowed, mine);
      EXPECT_GT(open_handle(device, of_window, mine, &allowed).result, 0);
      EXPECT_EQ(allowed, mine);
      EXPECT_EQ(open_handle(device, of_window, read_and_write), fails(EBADF));
      EXPECT_EQ(open_handle(device, of_window, read_and_write & ~mine), fails(EBADF));
    }
}

/// What a window's mode leaves and what the file's leaves may be nothing together.
TEST_F(HandleOf, AWindowForWritingIsNotOfAFileForReading)
{
  const uintptr_t from = twin.remote().base();
  window = twin.peer().call([=] {
    static const Device owners;
    return create_window(owners, from, size, 0666, CMA_ACCESS_WRITE).result;
  });
  EXPECT_EQ(open_handle(opened(O_RDONLY), true, 0), fails(EBADF));
  EXPECT_GT(open_handle(opened(O_WRONLY), true, 0).result, 0);
}

/// A window gives of the caller's own memory and takes nothing of another's.
TEST_F(HandleOf, AnyFileMakesWindows)
{
  for (const int flags : {O_RDONLY, O_WRONLY, O_ACCMODE}) {
    const Device device = opened(flags);
    const Outcome name = create_window(device, twin.local().base(), page, 0600);
    ASSERT_EQ(name.error, 0);
    EXPECT_GT(open_window(twin.device(), name.result, read_and_write).result, 0);
  }
}

TEST_F(HandleOf, AFileForReadingMapsForReading)
{
  const Device device = opened(O_RDONLY);
  const auto handle = static_cast<int32_t>(open_handle(device, true, 0).result);
  const auto shows = [&](const Mapping &mapping) {
    ASSERT_EQ(mapping.error(), 0);
    twin.remote().fill(2);
    EXPECT_EQ(mapping.load(1), pattern(size, 2)[1]);
    EXPECT_FALSE(mapping.store(1, 0));
    auto *at = reinterpret_cast<void *>(mapping.at(0));
    EXPECT_EQ(Outcome::of(mprotect(at, page, PROT_READ | PROT_WRITE)), fails(EACCES));
    EXPECT_EQ(device.populate(mapping.at(0), page), gives(0));
  };
  shows(Mapping(device.fd(), handle, 0, page, PROT_READ));
  EXPECT_EQ(Mapping(device.fd(), handle, 0, page, PROT_READ | PROT_WRITE).error(),
            EACCES);
  EXPECT_EQ(Mapping(device.fd(), handle, 0, page, PROT_WRITE).error(), EACCES);
  EXPECT_EQ(Mapping(device.fd(), handle, 0, page, PROT_READ, MAP_PRIVATE).error(),
            EINVAL);
}

TEST_F(HandleOf, AFileForWritingMapsNothing)
{
  const Device device = opened(O_WRONLY);
  const auto handle = static_cast<int32_t>(open_handle(device, true, 0).result);
  for (const int protection : {PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE})
    EXPECT_EQ(Mapping(device.fd(), handle, 0, page, protection).error(), EACCES);
}

} // namespace
} // namespace cma_test
