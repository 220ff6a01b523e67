// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The library on the real device: that it uses it, and that its two backends
 * give the same. What it does with each argument is tested without a device,
 * in tests/unit.
 */
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <cma.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <unistd.h>

namespace cma_test {
namespace {

struct Closer {
  void operator()(cma_context *context) const { cma_close(context); }
};
using Context = std::unique_ptr<cma_context, Closer>;

Context open_context(unsigned flags)
{
  cma_context *context = nullptr;
  EXPECT_EQ(cma_open(&context, flags), 0);
  return Context(context);
}

class Library : public testing::Test {
protected:
  static constexpr size_t size = 8 * page;
  Twin twin{size, size};
  const Context device = open_context(CMA_OPEN_DEVICE);
  const Context syscalls = open_context(CMA_OPEN_SYSCALL);

  std::vector<cma_peer> names(const Context &context)
  {
    const cma_peer pid = cma_pid(twin.target().pid);
    return {pid, cma_pidfd(twin.target().pidfd),
            cma_handle(cma_handle_open(context.get(), pid))};
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
      constexpr size_t length = 3 * page + 21;
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
