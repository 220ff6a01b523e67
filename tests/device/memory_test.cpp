// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Memory of every kind on both sides: huge, shared, of files, copied on write,
 * never touched, secret; and a caller who is his own peer. Each compared with
 * the system call.
 */
#include "support/huge.hpp"
#include "support/stall.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

/// Room for a page of what lies on either side.
size_t size_of(std::tuple<Kind, Kind> kinds)
{
  const auto [here, there] = kinds;
  const bool transparent =
      here == Kind::TransparentHuge || there == Kind::TransparentHuge;
  return transparent ? std::max(huge_page, size_of_huge_pages()) : huge_page;
}

class EveryKind : public testing::TestWithParam<std::tuple<Kind, Kind>> {};

TEST_P(EveryKind, ReadAndWrite)
{
  const auto [here, there] = GetParam();
  const size_t size = size_of(GetParam());
  std::optional<Twin> twin;
  try {
    twin.emplace(size, size, here, there);
  } catch (const std::system_error &error) {
    GTEST_SKIP() << "this system has no such memory: " << error.what();
  }
  twin->local().fill(1);
  twin->remote().fill(2);
  if ((here == Kind::TransparentHuge && !was_given_huge_pages(getpid())) ||
      (there == Kind::TransparentHuge && !was_given_huge_pages(twin->target().pid)))
    GTEST_SKIP() << "the kernel gave no transparent huge page";
  for (const bool write : {false, true})
    for (const size_t count : {1UL, 7UL}) {
      const size_t length = size / 4 + 5 * page + 99;
      const Request request = {write, cut(twin->local().at(size / 8 + 5), length, 1),
                               cut(twin->remote().at(size / 2 - 77), length, count), 0};
      const Outcome outcome = twin->same(request.call(), {Route::Pid, Route::Handle});
      if (there == Kind::Secret) {
        EXPECT_EQ(outcome, fails(EFAULT)) << "nobody else may see secret memory";
      } else {
        EXPECT_EQ(outcome, gives(length));
      }
    }
}

/// A first copy of a few bytes looks the page up by hand, if it is a plain one.
TEST_P(EveryKind, AFewBytesAtFirst)
{
  const auto [here, there] = GetParam();
  std::optional<Twin> twin;
  try {
    twin.emplace(huge_page, huge_page, here, there);
  } catch (const std::system_error &error) {
    GTEST_SKIP() << "this system has no such memory: " << error.what();
  }
  twin->local().fill(1);
  twin->remote().fill(2);
  const Request request = {false,
                           {segment(twin->local().at(3 * page), 64)},
                           {segment(twin->remote().at(5 * page + 7), 64)},
                           0};
  EXPECT_EQ(twin->same(request.call(), {Route::Handle}),
            there == Kind::Secret ? fails(EFAULT) : gives(64));
}

std::string kinds_name(const testing::TestParamInfo<std::tuple<Kind, Kind>> &info)
{
  return std::string(name_of(std::get<0>(info.param))) + "And" +
         name_of(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(
    There, EveryKind,
    testing::Combine(testing::Values(Kind::Anonymous),
                     testing::Values(Kind::TransparentHuge, Kind::Hugetlb,
                                     Kind::SharedAnonymous, Kind::Memfd, Kind::FileShared,
                                     Kind::FilePrivate, Kind::Secret)),
    kinds_name);
INSTANTIATE_TEST_SUITE_P(
    Here, EveryKind,
    testing::Combine(testing::Values(Kind::TransparentHuge, Kind::Hugetlb, Kind::Memfd,
                                     Kind::FilePrivate, Kind::Secret),
                     testing::Values(Kind::Anonymous)),
    kinds_name);
INSTANTIATE_TEST_SUITE_P(Both, EveryKind,
                         testing::Values(std::tuple{Kind::Hugetlb, Kind::Hugetlb},
                                         std::tuple{Kind::TransparentHuge,
                                                    Kind::TransparentHuge}),
                         kinds_name);

class Memory : public testing::Test {
protected:
  static inline const size_t size = 8 * page;
  Twin twin{size, size};

  uint8_t peer_byte(uintptr_t address)
  {
    return static_cast<uint8_t>(twin.peer().call(
        [=]() -> long { return *reinterpret_cast<uint8_t *>(address); }));
  }
  Outcome by(Route route, bool write, uintptr_t local, uintptr_t remote, size_t length)
  {
    const iovec here = segment(local, length);
    const iovec there = segment(remote, length);
    return run(twin.device(), route, twin.target(), {write, &here, 1, &there, 1, 0});
  }
};

TEST_F(Memory, PagesThatWereNeverTouched)
{
  const uintptr_t remote = twin.remote().base();
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle}) {
    SCOPED_TRACE(name_of(route));
    twin.peer().call([=] {
      renew(remote, size);
      return 0L;
    });
    twin.local().fill(3);
    EXPECT_EQ(by(route, false, twin.local().base(), remote, 2 * page), gives(2 * page));
    auto expected = pattern(size, 3);
    std::fill_n(expected.begin(), 2 * page, 0);
    EXPECT_EQ(twin.local().bytes(), expected);
    // From and to untouched memory of the caller.
    renew(twin.local().base(), size);
    EXPECT_EQ(by(route, false, twin.local().at(page), remote, page), gives(page));
    EXPECT_EQ(by(route, true, twin.local().at(5 * page), remote + page, page),
              gives(page));
    twin.local().fill(4);
    EXPECT_EQ(by(route, true, twin.local().base(), remote + 4 * page, 2 * page),
              gives(2 * page));
    expected.assign(size, 0);
    std::copy_n(pattern(size, 4).begin(), 2 * page, expected.begin() + 4 * page);
    EXPECT_EQ(twin.remote().bytes(), expected);
  }
}

TEST_F(Memory, CopyOnWriteAfterFork)
{
  // The peer forks: a write into the one must not be seen by the other, and a read sees
  // the copy of the one that was named.
  const uintptr_t remote = twin.remote().base();
  for (const Route route : {Route::Syscall, Route::Pid, Route::Pidfd, Route::Handle}) {
    SCOPED_TRACE(name_of(route));
    twin.remote().fill(5);
    const auto sibling = static_cast<pid_t>(twin.peer().call([]() -> long {
      const pid_t child = fork();
      if (child == 0)
        while (true)
          pause();
      return child;
    }));
    const Arena elsewhere(sibling, remote, size);
    twin.local().fill(6);
    EXPECT_EQ(by(route, true, twin.local().base(), remote, 2 * page), gives(2 * page));
    EXPECT_EQ(elsewhere.bytes(), pattern(size, 5));
    auto expected = pattern(size, 5);
    std::copy_n(pattern(size, 6).begin(), 2 * page, expected.begin());
    EXPECT_EQ(twin.remote().bytes(), expected);
    // The peer's sibling writes; the peer is read.
    elsewhere.fill(7);
    EXPECT_EQ(by(route, false, twin.local().base(), remote, size), gives(size));
    EXPECT_EQ(twin.local().bytes(), expected);
    kill(sibling, SIGKILL);
    twin.peer().call([=]() -> long { return waitpid(sibling, nullptr, 0); });
  }
}

TEST_F(Memory, OwnMemorySharedWithAChildIsCopiedOnWrite)
{
  // The caller's pages are shared with a fork of his when a read writes into them.
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle}) {
    SCOPED_TRACE(name_of(route));
    twin.local().fill(8);
    twin.remote().fill(9);
    const Peer fork_of_mine;
    const Arena theirs(fork_of_mine.pid(), twin.local().base(), size);
    EXPECT_EQ(by(route, false, twin.local().base(), twin.remote().base(), size),
              gives(size));
    EXPECT_EQ(twin.local().bytes(), pattern(size, 9));
    EXPECT_EQ(theirs.bytes(), pattern(size, 8));
  }
}

/// A file of some pages, and a mapping of it in the peer.
struct MappedFile {
  Fd file;
  uintptr_t address;
};

TEST_F(Memory, FilesAreWrittenThroughSharedMappingsOnly)
{
  for (const int sharing : {MAP_SHARED, MAP_PRIVATE})
    for (const int protection : {PROT_READ, PROT_READ | PROT_WRITE})
      for (const int mode : {O_RDONLY, O_RDWR})
        for (const Route route : {Route::Syscall, Route::Pid, Route::Handle}) {
          const bool shared = sharing == MAP_SHARED;
          const bool writable = (protection & PROT_WRITE) != 0;
          if (shared && writable && mode == O_RDONLY)
            continue; // not a mapping that one can have
          SCOPED_TRACE(testing::Message()
                       << name_of(route) << (shared ? " shared" : " private")
                       << (writable ? " writable" : " read-only"));
          char path[] = "/tmp/cma-device-XXXXXX";
          const Fd file(mkstemp(path));
          const auto content = pattern(size, 10);
          ASSERT_EQ(pwrite(file.get(), content.data(), size, 0),
                    static_cast<ssize_t>(size));
          ASSERT_EQ(fchmod(file.get(), 0666), 0);
          const Fd reopened(open(path, mode | O_CLOEXEC));
          unlink(path);
          const std::string name = "/proc/" + std::to_string(getpid()) + "/fd/" +
                                   std::to_string(reopened.get());
          std::array<char, 64> plain{};
          name.copy(plain.data(), plain.size() - 1);
          const auto address = static_cast<uintptr_t>(twin.peer().call([=]() -> long {
            const int fd = open(plain.data(), mode | O_CLOEXEC);
            void *memory = mmap(nullptr, size, protection, sharing, fd, 0);
            ::close(fd);
            return reinterpret_cast<long>(memory);
          }));
          ASSERT_NE(address, ~0UL);
          EXPECT_EQ(by(route, false, twin.local().base(), address, size), gives(size));
          EXPECT_EQ(twin.local().bytes(), content);
          twin.local().fill(11);
          EXPECT_EQ(by(route, true, twin.local().base(), address, page),
                    writable ? gives(page) : fails(EFAULT));
          const uint8_t before = content.front();
          const uint8_t after = pattern(size, 11).front();
          uint8_t in_file = 0;
          ASSERT_EQ(pread(file.get(), &in_file, 1, 0), 1);
          EXPECT_EQ(in_file, writable && shared ? after : before);
          EXPECT_EQ(peer_byte(address), writable ? after : before);
        }
}

TEST_F(Memory, BeyondTheEndOfAFile)
{
  // The page that holds the last byte is there; the next one is a bus error.
  const auto address = static_cast<uintptr_t>(twin.peer().call([]() -> long {
    const uintptr_t base = make_memory(Kind::FileShared, size);
    return static_cast<long>(base);
  }));
  twin.peer().call([=]() -> long {
    // Cut the file through the mapping's own descriptor.
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", address, address + size);
    return truncate(path, page + 10);
  });
  for (const bool write : {false, true}) {
    const Request whole = {
        write, {segment(twin.local().base(), size)}, {segment(address, size)}, 0};
    EXPECT_EQ(twin.same(whole), gives(2 * page));
    const Request beyond = {
        write, {segment(twin.local().base(), 8)}, {segment(address + 2 * page, 8)}, 0};
    EXPECT_EQ(twin.same(beyond), fails(EFAULT));
  }
}

TEST_F(Memory, SecretMemoryInUse)
{
  // Its pages are there, but not in the kernel's own map: again and again, so that
  // whatever is remembered of a first attempt does not open it either.
  static constexpr uint8_t content = 0x5a;
  const auto secret = static_cast<uintptr_t>(twin.peer().call([]() -> long {
    const uintptr_t made = make_memory(Kind::Secret, size);
    if (made != 0)
      std::fill_n(reinterpret_cast<uint8_t *>(made), size, content);
    return static_cast<long>(made);
  }));
  if (secret == 0)
    GTEST_SKIP() << "this system has no such memory";
  twin.local().fill(1);
  for (int i = 0; i < 3; i++)
    for (const bool write : {false, true})
      for (const Route route :
           {Route::Syscall, Route::Pid, Route::PidStrict, Route::Handle})
        for (const size_t length : {size_t{8}, size})
          EXPECT_EQ(by(route, write, twin.local().base(), secret, length), fails(EFAULT));
  EXPECT_EQ(twin.local().bytes(), pattern(size, 1));
  EXPECT_TRUE(twin.peer().call([=]() -> long {
    const auto *bytes = reinterpret_cast<const uint8_t *>(secret);
    return std::all_of(bytes, bytes + size, [](uint8_t byte) { return byte == content; });
  }));
}

TEST_F(Memory, WritesAreSeenAndReadsAreFresh)
{
  // No copy of anything may outlive a change on the other side.
  const uintptr_t remote = twin.remote().base();
  for (uint8_t round = 1; round < 50; round++) {
    twin.peer().call([=]() -> long {
      if (round % 3 == 0)
        renew(remote, size);
      if (round % 5 == 0)
        madvise(reinterpret_cast<void *>(remote), size, MADV_DONTNEED);
      std::fill_n(reinterpret_cast<uint8_t *>(remote), size, round);
      return 0;
    });
    ASSERT_EQ(by(Route::Handle, false, twin.local().base(), remote, size), gives(size));
    ASSERT_EQ(twin.local().bytes(), std::vector<uint8_t>(size, round));
    std::fill_n(reinterpret_cast<uint8_t *>(twin.local().base()), size, round + 100);
    ASSERT_EQ(by(Route::Handle, true, twin.local().base(), remote, 1), gives(1));
    ASSERT_EQ(peer_byte(remote), round + 100);
    ASSERT_EQ(peer_byte(remote + 1), round);
  }
}

/// A peer's pages and the advice by which the kernel may drop them: after MADV_FREE
/// unless they are written, and with MADV_PAGEOUT at once. All from one CPU, whose lists
/// of pages under way madvise() empties first.
class Droppable : public Memory {
protected:
  const uintptr_t remote = twin.remote().base();

  void SetUp() override
  {
    touch_and_free();
    page_out();
    if (twin.remote().bytes() != std::vector<uint8_t>(size))
      GTEST_SKIP() << "this kernel does not drop clean pages when it is asked to";
    touch_and_free();
  }
  void touch_and_free()
  {
    EXPECT_EQ(twin.peer().call([remote = remote]() -> long {
      const cpu_set_t first = {{1}};
      sched_setaffinity(0, sizeof(first), &first);
      renew(remote, size);
      std::fill_n(reinterpret_cast<uint8_t *>(remote), size, 1);
      return 0;
    }),
              0);
    free_pages();
  }
  void free_pages()
  {
    EXPECT_EQ(twin.peer().call([remote = remote]() -> long {
      return madvise(reinterpret_cast<void *>(remote), size, MADV_FREE);
    }),
              0);
  }
  void page_out()
  {
    twin.peer().call([remote = remote]() -> long {
      return madvise(reinterpret_cast<void *>(remote), size, MADV_PAGEOUT);
    });
  }
};

TEST_F(Droppable, WrittenPagesStay)
{
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle}) {
    SCOPED_TRACE(name_of(route));
    touch_and_free();
    twin.local().fill(13);
    EXPECT_EQ(by(route, true, twin.local().base(), remote, size), gives(size));
    page_out();
    EXPECT_EQ(twin.remote().bytes(), pattern(size, 13));
  }
}

TEST_F(Droppable, PagesCleanedUnderTheCopyStayToo)
{
  // The copy has seen the peer's pages and waits for the caller's; the peer's are cleaned
  // meanwhile, and only then written.
  for (const Route route : {Route::Syscall, Route::Pid, Route::Handle}) {
    SCOPED_TRACE(name_of(route));
    touch_and_free();
    renew(twin.local().base(), size);
    const Stall stall(twin.local().base(), size);
    if (!stall.works())
      GTEST_SKIP() << "no userfaultfd: " << strerror(errno);
    std::thread copier([&] {
      EXPECT_EQ(by(route, true, twin.local().base(), remote, size), gives(size));
    });
    stall.wait();
    free_pages();
    stall.resume(pattern(size, 14));
    copier.join();
    page_out();
    EXPECT_EQ(twin.remote().bytes(), pattern(size, 14));
  }
}

class SelfCopy : public testing::Test {
protected:
  static inline const size_t size = 8 * page;
  Device device;
  const uintptr_t memory = make_memory(Kind::Anonymous, size);
  Arena arena{getpid(), memory, size};
  Fd pidfd{pidfd_open(getpid())};
  Target self = {getpid(), pidfd.get(),
                 static_cast<int>(device.open(CMA_PEER_PID, getpid()).result)};

  ~SelfCopy() override { unmap(memory, size); }
};

TEST_F(SelfCopy, ApartAndOverlapping)
{
  const size_t length = 3 * page + 50;
  for (const size_t from : {0UL, 1UL, page, 3 * page + 50, 4 * page})
    for (const size_t onto : {0UL, 1UL, 8UL, page, 4 * page})
      for (const bool write : {false, true})
        for (const Route route : {Route::Syscall, Route::Pid, Route::PidStrict,
                                  Route::Pidfd, Route::Handle}) {
          if (route == Route::Pidfd && self.pidfd < 0)
            continue; // this kernel has no pidfd_open(2)
          SCOPED_TRACE(testing::Message()
                       << name_of(route) << " from " << from << " onto " << onto);
          arena.fill(1);
          const iovec source = segment(memory + from, length);
          const iovec sink = segment(memory + onto, length);
          const Call call = {
              write, write ? &source : &sink, 1, write ? &sink : &source, 1, 0};
          EXPECT_EQ(run(device, route, self, call), gives(length));
          const auto before = pattern(size, 1);
          const auto after = arena.bytes();
          // Overlapping bytes may be either; all others are known.
          const bool apart = from + length <= onto || onto + length <= from;
          EXPECT_TRUE(std::equal(before.begin(), before.begin() + onto, after.begin()));
          EXPECT_TRUE(std::equal(before.begin() + onto + length, before.end(),
                                 after.begin() + onto + length));
          if (apart || from == onto) {
            EXPECT_TRUE(std::equal(before.begin() + from, before.begin() + from + length,
                                   after.begin() + onto));
          }
        }
}

TEST_F(SelfCopy, APeerCopiesFromItsCallerAtTheSameTime)
{
  // Two processes that read each other again and again: neither waits for the other.
  Peer other;
  const pid_t me = getpid();
  const uintptr_t base = memory;
  const auto theirs = static_cast<uintptr_t>(other.call(
      []() -> long { return static_cast<long>(make_memory(Kind::Anonymous, size)); }));
  const auto many_reads = [](pid_t peer, uintptr_t from, uintptr_t into) -> long {
    const Device mine;
    const Target target = {peer, -1, 0};
    const iovec remote = segment(from, size);
    const iovec local = segment(into, size);
    const Call call = {false, &local, 1, &remote, 1, 0};
    for (int i = 0; i < 2000; i++)
      if (run(mine, Route::Pid, target, call) != gives(size))
        return i + 1;
    return 0;
  };
  other.post([=]() -> long { return many_reads(me, base, theirs); });
  EXPECT_EQ(many_reads(other.pid(), theirs, base), 0);
  EXPECT_EQ(other.answer(), 0);
}

} // namespace
} // namespace cma_test
