// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The library on the real device: that it uses it, and that its two backends
 * give the same. What it does with each argument is tested without a device,
 * in tests/unit.
 */
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <array>
#include <cma.h>
#include <cstddef>
#include <fstream>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cma_test {
namespace {

int64_t copies_by_device()
{
  return module_counter("copies");
}

/// For the calling process, from now on: what process_vm_readv(2) gets, SECCOMP_RET_*.
void filter_process_vm(uint32_t action)
{
  std::array<sock_filter, 4> lines = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, action),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {lines.size(), lines.data()};
  require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
          "a filter");
}

class Library : public testing::Test {
protected:
  static inline const size_t size = 8 * page;
  Twin twin{size, size};
  const Context device = open_context(CMA_OPEN_DEVICE);
  const Context syscalls = open_context(CMA_OPEN_SYSCALL);

  std::vector<cma_peer> names(const Context &context)
  {
    const cma_peer pid = cma_pid(twin.target().pid);
    return {pid, cma_pidfd(twin.target().pidfd),
            cma_handle(cma_handle_open(context.get(), pid))};
  }

  ssize_t read_word() const
  {
    uint64_t word = 0;
    return cma_read(device.get(), cma_pid(twin.target().pid), &word, twin.remote().base(),
                    sizeof(word));
  }
};

TEST_F(Library, UsesTheDeviceWhereThereIsOne)
{
  const Context any = open_context(0);
  EXPECT_EQ(cma_backend(any.get()), CMA_BACKEND_DEVICE);
  EXPECT_EQ(cma_backend(device.get()), CMA_BACKEND_DEVICE);
  EXPECT_EQ(cma_backend(syscalls.get()), CMA_BACKEND_SYSCALL);
  cma_limits limits{};
  limits.size = sizeof(limits);
  ASSERT_EQ(cma_query(device.get(), &limits), 0);
  const cma_ioc_info info = twin.device().info();
  EXPECT_EQ(limits.device_error, 0);
  EXPECT_EQ(limits.max_iov_many, info.max_iov_many);
  EXPECT_EQ(limits.max_handles, info.max_handles);
  EXPECT_EQ(limits.verdict_ms, info.verdict_ms);
  EXPECT_STREQ(limits.module_version, info.version);
}

TEST_F(Library, BothBackendsMoveTheSame)
{
  for (const Context *context : {&device, &syscalls})
    for (const cma_peer peer : names(*context)) {
      SCOPED_TRACE(testing::Message() << (context == &device ? "device" : "system calls")
                                      << ", peer type " << peer.type);
      const size_t length = 3 * page + 21;
      auto *here = reinterpret_cast<uint8_t *>(twin.local().at(9));
      const uintptr_t there = twin.remote().at(page - 4);
      twin.local().fill(1);
      twin.remote().fill(2);
      EXPECT_EQ(cma_read(context->get(), peer, here, there, length), length);
      auto expected = pattern(size, 1);
      const auto remote = pattern(size, 2);
      std::copy_n(remote.begin() + page - 4, length, expected.begin() + 9);
      EXPECT_TRUE(twin.local().bytes() == expected);
      twin.local().fill(3);
      EXPECT_EQ(cma_write(context->get(), peer, here, there, length), length);
      auto written = remote;
      std::copy_n(pattern(size, 3).begin() + 9, length, written.begin() + page - 4);
      EXPECT_TRUE(twin.remote().bytes() == written);
      // A hole behind the memory.
      EXPECT_EQ(cma_read(context->get(), peer, here, twin.remote().at(size - 5), 10), 5);
      EXPECT_EQ(cma_read(context->get(), peer, here, twin.remote().at(size), 10),
                -EFAULT);
    }
}

TEST_F(Library, FirstCopiesByPidAreTheSystemCalls)
{
  const int64_t before = copies_by_device();
  EXPECT_EQ(read_word(), 8);
  EXPECT_EQ(copies_by_device(), before);
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(read_word(), 8);
  EXPECT_GT(copies_by_device(), before + 50);
}

/* The kernel has read them by then, and so nobody may look at them again. */
TEST_F(Library, ACopyMayWriteToItsOwnLists)
{
  for (const bool known : {false, true}) {
    const Context context = open_context(CMA_OPEN_DEVICE);
    if (known)
      make_known(context, twin.target().pid, twin.remote().base());
    twin.local().fill(1);
    twin.remote().fill(2);
    auto *lists = reinterpret_cast<iovec *>(twin.local().at(8));
    lists[0] = segment(twin.local().base(), page);
    lists[1] = segment(twin.remote().base(), page);
    cma_request request{};
    request.peer = cma_pid(twin.target().pid);
    request.local = &lists[0];
    request.remote = &lists[1];
    request.local_count = request.remote_count = 1;
    EXPECT_EQ(cma_copy(context.get(), &request), page) << known;
    EXPECT_EQ(request.fault_side, CMA_SIDE_NONE) << known;
    auto expected = pattern(size, 1);
    std::copy_n(pattern(size, 2).begin(), page, expected.begin());
    EXPECT_TRUE(twin.local().bytes() == expected) << known;
  }
}

/* What is known ends with the caller's credentials, and with the peer's. */
TEST_F(Library, ARefusalComesThroughWhatIsKnown)
{
  make_known(device, twin.target().pid, twin.remote().base());
  EXPECT_EQ(read_word(), 8);
  {
    const Persona other(bob, bob);
    EXPECT_EQ(read_word(), -EPERM);
  }
  EXPECT_EQ(read_word(), 8);
  make_known(device, twin.target().pid, twin.remote().base());
  EXPECT_EQ(read_word(), 8);
}

TEST_F(Library, WhereAFilterIsInForceTheDeviceMakesAllCopies)
{
  const pid_t pid = twin.target().pid;
  const uintptr_t there = twin.remote().base();
  Peer caller;
  EXPECT_EQ(caller.call([=]() -> long {
    filter_process_vm(SECCOMP_RET_KILL_PROCESS);
    uint64_t word = 0;
    return cma_read(open_context(CMA_OPEN_DEVICE).get(), cma_pid(pid), &word, there,
                    sizeof(word));
  }),
            8);
}

TEST_F(Library, AFilterThatRefusesTheSystemCallRefusesNoCopy)
{
  const pid_t pid = twin.target().pid;
  const uintptr_t there = twin.remote().base();
  for (const uint32_t error : {EPERM, ENOSYS, EACCES}) {
    Peer caller;
    EXPECT_EQ(caller.call([=]() -> long {
      const Context context = open_context(CMA_OPEN_DEVICE);
      filter_process_vm(SECCOMP_RET_ERRNO | error);
      uint64_t word = 0;
      return cma_read(context.get(), cma_pid(pid), &word, there, sizeof(word));
    }),
              8)
        << error;
  }
}

TEST_F(Library, ManySegmentsAndTheFaultsPlace)
{
  auto local = cut(twin.local().base(), size, 5000);
  auto remote = cut(twin.remote().base(), size, 5000);
  remote.back() = segment(twin.remote().at(size), 100);
  local.back().iov_len = 1;
  const size_t expected = size - cut(0, size, 5000).back().iov_len;
  for (const cma_peer peer : names(device)) {
    cma_request request{};
    request.peer = peer;
    request.flags = CMA_MANY;
    request.local = local.data();
    request.remote = remote.data();
    request.local_count = local.size();
    request.remote_count = remote.size();
    EXPECT_EQ(cma_copy(device.get(), &request), static_cast<ssize_t>(expected));
    EXPECT_EQ(request.fault_side, CMA_SIDE_REMOTE);
    EXPECT_EQ(request.fault_addr, twin.remote().at(size));
    request.flags = 0;
    EXPECT_EQ(cma_copy(device.get(), &request), -EINVAL);
  }
}

TEST_F(Library, ErrorsAreTheKernels)
{
  std::array<char, 8> byte{};
  const auto read_from = [&](cma_peer peer) {
    return cma_read(device.get(), peer, byte.data(), twin.remote().base(), 8);
  };
  EXPECT_EQ(read_from(cma_pid(-1)), -ESRCH);
  EXPECT_EQ(read_from(cma_pidfd(-1)), -EBADF);
  EXPECT_EQ(read_from(cma_handle(12345)), -ENOENT);
  const Persona other(bob, bob);
  EXPECT_EQ(read_from(cma_pid(twin.target().pid)), -EPERM);
  EXPECT_EQ(cma_handle_open(device.get(), cma_pid(twin.target().pid)), -EPERM);
  std::array<char, 400> words{};
  EXPECT_GT(cma_explain(device.get(), cma_pid(twin.target().pid), -EPERM, words.data(),
                        words.size()),
            20);
}

TEST_F(Library, AChildDoesNotActInItsParentsName)
{
  const auto context = reinterpret_cast<uintptr_t>(device.get());
  const uintptr_t there = twin.remote().base();
  const pid_t pid = twin.target().pid;
  Peer child;
  EXPECT_EQ(child.call([=]() -> long {
    uint64_t word = 0;
    return cma_read(reinterpret_cast<cma_context *>(context), cma_pid(pid), &word, there,
                    sizeof(word));
  }),
            -ESTALE);
}

} // namespace
} // namespace cma_test
