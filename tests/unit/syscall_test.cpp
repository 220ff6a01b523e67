// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The system-call backend against real processes: peers by pid, pidfd and handle,
// compared with the system calls themselves; the limits lifted by flags.
#include "hooks.hpp"
#include "support.hpp"
#include <algorithm>
#include <climits>
#include <cstring>
#include <numeric>
#include <random>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

enum class By { pid, pidfd, handle };

// A process with some memory, and a way to it.
class SyscallTest : public testing::TestWithParam<By> {
protected:
  static constexpr size_t pages = 8;

  void SetUp() override
  {
    ASSERT_NE(context, nullptr);
    pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0));
    ASSERT_GE(pidfd, 0);
    switch (GetParam()) {
    case By::pid:
      peer = cma_pid(process.pid());
      break;
    case By::pidfd:
      peer = cma_pidfd(pidfd);
      break;
    case By::handle:
      peer = cma_handle(cma_handle_open(context.get(), cma_pid(process.pid())));
      ASSERT_GT(peer.id, 0);
      break;
    }
  }

  void TearDown() override { ::close(pidfd); }

  Pages theirs{pages, 1}; // as the peer has it: copied on write
  Peer process;
  Pages ours{pages, 2};
  Context context = open_context(CMA_OPEN_SYSCALL);
  int pidfd = -1;
  cma_peer peer = {};
};

std::string name_of(const testing::TestParamInfo<By> &info)
{
  constexpr std::array names = {"Pid", "Pidfd", "Handle"};
  return names[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Peer, SyscallTest,
                         testing::Values(By::pid, By::pidfd, By::handle), name_of);

TEST_P(SyscallTest, Reads)
{
  const size_t length = theirs.size() - 3;
  EXPECT_EQ(cma_read(context.get(), peer, ours.data() + 1, address_of(theirs.data() + 2),
                     length),
            static_cast<ssize_t>(length));
  EXPECT_EQ(std::memcmp(ours.data() + 1, theirs.data() + 2, length), 0);
}

TEST_P(SyscallTest, Writes)
{
  EXPECT_EQ(cma_write(context.get(), peer, ours.data(), address_of(theirs.data()), 5000),
            5000);
  std::vector<char> back(5001);
  EXPECT_EQ(cma_read(context.get(), peer, back.data(), address_of(theirs.data()), 5001),
            5001);
  EXPECT_EQ(std::memcmp(back.data(), ours.data(), 5000), 0);
  EXPECT_EQ(back[5000], theirs.data()[5000]);
}

struct Shape {
  const char *name;
  const iovec *local;
  size_t local_count;
  const iovec *remote;
  size_t remote_count;
};

// Whatever the arguments, the answer is the kernel's own for the pid.
TEST_P(SyscallTest, AnswersAsTheKernelDoes)
{
  const auto *bad = reinterpret_cast<const iovec *>(uintptr_t{16});
  const iovec good = {theirs.data(), 100};
  const iovec mine = {ours.data(), 60};
  const iovec empty = {nullptr, 0};
  const iovec wild = {reinterpret_cast<void *>(uintptr_t{8}), 10};
  const iovec huge = {theirs.data(), SIZE_MAX / 2 + 1};
  const std::vector<iovec> many(1025, iovec{ours.data(), 1});
  const Shape shapes[] = {
      {"plain", &mine, 1, &good, 1},
      {"nothing", nullptr, 0, nullptr, 0},
      {"no local", nullptr, 0, &good, 1},
      {"no remote", &mine, 1, nullptr, 0},
      {"empty local", &empty, 1, &good, 1},
      {"empty remote", &mine, 1, &empty, 1},
      {"empty local, bad remote list", &empty, 1, bad, 1},
      {"empty local, too many remote", &empty, 1, bad, 1025},
      {"bad local list", bad, 1, &good, 1},
      {"bad remote list", &mine, 1, bad, 1},
      {"both lists bad", bad, 1, bad, 1},
      {"too many local", many.data(), 1025, &good, 1},
      {"too many remote", &mine, 1, many.data(), 1025},
      {"1024 local", many.data(), 1024, &good, 1},
      {"wild local", &wild, 1, &good, 1},
      {"wild remote", &mine, 1, &wild, 1},
      {"huge local", &huge, 1, &good, 1},
      {"huge remote", &mine, 1, &huge, 1},
  };
  for (const Shape &s : shapes) {
    ssize_t expected = ::syscall(SYS_process_vm_readv, process.pid(), s.local,
                                 s.local_count, s.remote, s.remote_count, 0);
    if (expected < 0)
      expected = -errno;
    errno = 1234;
    EXPECT_EQ(cma_readv(context.get(), peer, s.local, s.local_count, s.remote,
                        s.remote_count, 0),
              expected)
        << s.name;
    EXPECT_EQ(errno, 1234) << s.name;
  }
}

// A peer that is not there: what is wrong with the arguments comes first, and no
// bytes are no error.
TEST_P(SyscallTest, ArgumentsComeBeforeThePeer)
{
  process.kill();
  process.reap();
  const auto *bad = reinterpret_cast<const iovec *>(uintptr_t{16});
  const iovec mine = {ours.data(), 60};
  const iovec empty = {nullptr, 0};
  const auto read = [&](const iovec *local, size_t local_count, const iovec *remote,
                        size_t remote_count) {
    return cma_readv(context.get(), peer, local, local_count, remote, remote_count, 0);
  };
  EXPECT_EQ(read(&mine, 1, &mine, 1), -ESRCH);
  EXPECT_EQ(read(&mine, 1025, &mine, 1), -EINVAL);
  EXPECT_EQ(read(bad, 1, &mine, 1), -EFAULT);
  EXPECT_EQ(read(&empty, 1, bad, 1025), 0);
  EXPECT_EQ(read(&mine, 1, &mine, 1025), -EINVAL);
  EXPECT_EQ(read(&mine, 1, bad, 1), -EFAULT);
  EXPECT_EQ(read(&mine, 1, &empty, 1), 0);
}

TEST_P(SyscallTest, ZombieIsGone)
{
  process.kill();
  EXPECT_EQ(cma_read(context.get(), peer, ours.data(), address_of(theirs.data()), 1),
            -ESRCH);
}

// Peers that were never any.
TEST(Syscall, NoSuchPeer)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  char byte;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const auto read = [&](cma_peer peer) {
    return cma_read(context.get(), peer, &byte, address_of(&byte), 1);
  };
  EXPECT_EQ(read(cma_pid(0)), -ESRCH);
  EXPECT_EQ(read(cma_pid(-1)), -ESRCH);
  EXPECT_EQ(read(cma_pid(INT_MAX)), -ESRCH);
  EXPECT_EQ(read(cma_pid(2)), -ESRCH) << "a kernel thread";
  EXPECT_EQ(read(cma_pidfd(-1)), -EBADF);
  EXPECT_EQ(read(cma_pidfd(12345)), -EBADF);
  EXPECT_EQ(read(cma_pidfd(pipe[0])), -EBADF);
  for (const int handle : {-1, 0, 1, 4096, 4097, INT_MAX})
    EXPECT_EQ(read(cma_handle(handle)), -ENOENT) << handle;
  for (const std::uint32_t type : {0U, 4U, 0xffffffffU})
    EXPECT_EQ(read(cma_peer{type, ::getpid()}), -EINVAL) << type;
  ::close(pipe[0]);
  ::close(pipe[1]);
}

// The process ends, and its number is free, after it was looked up: a copy, which may
// have reached whoever has the number now, must not count.
TEST(Syscall, PidfdThatEndsInTheMiddle)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  Peer process;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0));
  hooks::process_vm = [&](bool, pid_t pid) -> hooks::Result {
    if (pid != process.pid())
      return {};
    process.kill();
    process.reap();
    return 1;
  };
  char byte;
  EXPECT_EQ(cma_read(context.get(), cma_pidfd(pidfd), &byte, address_of(&byte), 1),
            -ESRCH);
  ::close(pidfd);
}

// Cuts a range into segments of random lengths, some of them empty.
std::vector<iovec> cut(char *data, size_t size, size_t longest, std::mt19937 &random)
{
  std::vector<iovec> list;
  while (size > 0) {
    const size_t length = std::min(size, random() % (longest + 1));
    list.push_back({data, length});
    data += length;
    size -= length;
  }
  return list;
}

TEST_P(SyscallTest, ManySegments)
{
  std::mt19937 random(20);
  for (int round = 0; round < 10; round++) {
    const size_t length = theirs.size() - random() % 100;
    const auto remote = cut(theirs.data(), length, 1 + random() % 40, random);
    const auto local = cut(ours.data(), ours.size(), 1 + random() % 4000, random);
    ASSERT_GT(remote.size(), 1024U);
    std::memset(ours.data(), 0, ours.size());
    EXPECT_EQ(cma_readv(context.get(), peer, local.data(), local.size(), remote.data(),
                        remote.size(), 0),
              -EINVAL);
    EXPECT_EQ(cma_readv(context.get(), peer, local.data(), local.size(), remote.data(),
                        remote.size(), CMA_MANY),
              static_cast<ssize_t>(length));
    EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), length), 0);
    EXPECT_EQ(std::count(ours.data() + length, ours.data() + ours.size(), 0),
              static_cast<std::ptrdiff_t>(ours.size() - length));

    EXPECT_EQ(cma_writev(context.get(), peer, local.data(), local.size(), remote.data(),
                         remote.size(), CMA_MANY),
              static_cast<ssize_t>(length));
  }
}

TEST_P(SyscallTest, ManyEmptySegments)
{
  std::vector<iovec> list(65535, iovec{nullptr, 0});
  EXPECT_EQ(cma_readv(context.get(), peer, list.data(), list.size(), list.data(),
                      list.size(), CMA_MANY),
            0);
  list.push_back({theirs.data(), 10});
  const iovec mine = {ours.data(), 20};
  EXPECT_EQ(cma_readv(context.get(), peer, &mine, 1, list.data(), list.size(), CMA_MANY),
            10);
  EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), 10), 0);
}

// With CMA_MANY the library looks at the lists itself, in the kernel's order.
TEST_P(SyscallTest, ManyIsCheckedAsTheKernelChecks)
{
  const auto *bad = reinterpret_cast<const iovec *>(uintptr_t{16});
  const std::vector<iovec> good(65536, iovec{ours.data(), 1});
  const std::vector<iovec> empty(2000, iovec{nullptr, 0});
  std::vector<iovec> huge = good;
  huge.back().iov_len = SIZE_MAX / 2 + 1;
  const auto read = [&](const iovec *local, size_t local_count, const iovec *remote,
                        size_t remote_count) {
    return cma_readv(context.get(), peer, local, local_count, remote, remote_count,
                     CMA_MANY);
  };
  EXPECT_EQ(read(good.data(), 65537, good.data(), 1), -EINVAL);
  EXPECT_EQ(read(good.data(), 1, good.data(), 65537), -EINVAL);
  EXPECT_EQ(read(bad, SIZE_MAX, good.data(), 1), -EINVAL);
  EXPECT_EQ(read(bad, 2000, good.data(), 1), -EFAULT);
  EXPECT_EQ(read(good.data(), 2000, bad, 2000), -EFAULT);
  EXPECT_EQ(read(huge.data(), 65536, bad, 2000), -EINVAL);
  EXPECT_EQ(read(good.data(), 1, huge.data(), 65536), -EINVAL);
  EXPECT_EQ(read(empty.data(), 2000, bad, SIZE_MAX), 0);
  EXPECT_EQ(read(good.data(), 2000, empty.data(), 2000), 0);
  const iovec there = {theirs.data(), 1};
  EXPECT_EQ(read(good.data(), 65536, &there, 1), 1);
}

// 40 times the same 64 MiB on both sides, as the memory of this machine need not hold
// what is copied.
class LargeTest : public testing::Test {
protected:
  static constexpr size_t block = 64 << 20;
  static constexpr size_t count = 40;

  LargeTest()
      : memory(static_cast<char *>(::mmap(nullptr, block, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
        process([this] { std::memset(memory, 0x5a, block); }),
        list(count, {memory, block})
  {
  }
  ~LargeTest() override { ::munmap(memory, block); }

  ssize_t read(unsigned int flags)
  {
    return cma_readv(context.get(), cma_pid(process.pid()), list.data(), list.size(),
                     list.data(), list.size(), flags);
  }

  char *memory;
  Peer process;
  std::vector<iovec> list;
  Context context = open_context(CMA_OPEN_SYSCALL);
};

TEST_F(LargeTest, TwoGigabytesAreTheLimit)
{
  EXPECT_EQ(read(0), static_cast<ssize_t>(0x80000000 - page_size()));
  EXPECT_EQ(memory[0], 0x5a);
}

TEST_F(LargeTest, TheLimitIsNoFault)
{
  cma_request request = {};
  request.peer = cma_pid(process.pid());
  request.local = request.remote = list.data();
  request.local_count = request.remote_count = list.size();
  EXPECT_EQ(cma_copy(context.get(), &request),
            static_cast<ssize_t>(0x80000000 - page_size()));
  EXPECT_EQ(request.fault_side, CMA_SIDE_NONE);
}

TEST_F(LargeTest, ManyAloneLeavesTheLimit)
{
  list.insert(list.begin(), 1024, iovec{memory, 0});
  EXPECT_EQ(read(CMA_MANY), static_cast<ssize_t>(0x80000000 - page_size()));
}

TEST_F(LargeTest, LargeLiftsTheLimit)
{
  if (sizeof(ssize_t) < 8)
    EXPECT_EQ(read(CMA_LARGE), static_cast<ssize_t>(0x80000000 - page_size()));
  else
    EXPECT_EQ(read(CMA_LARGE), static_cast<ssize_t>(count * block));
}

// The peer dies between the calls of one copy: what was moved counts.
TEST_F(LargeTest, PeerThatDiesOnTheWay)
{
  if (sizeof(ssize_t) < 8)
    GTEST_SKIP() << "a copy of this program is a single call";
  int calls = 0;
  hooks::process_vm = [&](bool, pid_t) {
    if (calls++ == 1)
      process.kill();
    return hooks::Result();
  };
  EXPECT_EQ(read(CMA_LARGE), static_cast<ssize_t>(0x80000000 - page_size()));
  EXPECT_EQ(calls, 2);
}

} // namespace
