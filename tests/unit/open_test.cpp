// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_open(): which backend, and why not the device; cma_query(); cma_version().
#include "device.hpp"
#include <climits>
#include <fstream>
#include <sys/auxv.h>
#include <unistd.h>

namespace {

int open_and_close(unsigned int flags)
{
  cma_context *context = reinterpret_cast<cma_context *>(uintptr_t{1});
  const int error = cma_open(&context, flags);
  EXPECT_EQ(context != nullptr, error == 0);
  cma_close(context);
  return error;
}

cma_limits limits_of(const Context &context)
{
  cma_limits limits = {};
  limits.size = sizeof(limits);
  EXPECT_EQ(cma_query(context.get(), &limits), 0);
  return limits;
}

// Expects a device that is of no use, for this reason, and the fallback.
void expect_fallback(int reason)
{
  const size_t before = open_descriptors();
  EXPECT_EQ(open_and_close(CMA_OPEN_DEVICE), reason);
  const Context context = open_context();
  EXPECT_EQ(cma_backend(context.get()), CMA_BACKEND_SYSCALL);
  EXPECT_EQ(limits_of(context).device_error, reason);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Open, WrongFlags)
{
  EXPECT_EQ(open_and_close(CMA_OPEN_DEVICE | CMA_OPEN_SYSCALL), -EINVAL);
  EXPECT_EQ(open_and_close(1U << 2), -EINVAL);
  EXPECT_EQ(open_and_close(1U << 31), -EINVAL);
}

TEST(Open, NoDevice)
{
  ::setenv("CMA_DEVICE", "/nonexistent/cma", 1);
  expect_fallback(-ENOENT);
}

TEST(Open, ClosedDevice)
{
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become somebody else";
  const TemporaryFile file;
  ::chmod(file.path().c_str(), 0600);
  ::setenv("CMA_DEVICE", file.path().c_str(), 1);
  EXPECT_EQ(in_child([] {
              become_nobody();
              expect_fallback(-EACCES);
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
}

TEST(Open, NotOurDevice)
{
  ::setenv("CMA_DEVICE", "/dev/null", 1);
  expect_fallback(-EPROTO);
}

TEST(Open, DeviceOfAnotherAbi)
{
  testing::NiceMock<Device> device;
  ON_CALL(device, info).WillByDefault([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.abi_version = CMA_ABI_VERSION + 1;
    return 0;
  });
  expect_fallback(-EPROTO);
}

TEST(Open, DeviceThatKnowsALongerInfo)
{
  testing::NiceMock<Device> device;
  ON_CALL(device, info).WillByDefault(testing::Return(-EINVAL));
  expect_fallback(-EPROTO);
}

TEST(Open, EmptyVariableMeansTheDevice)
{
  ::setenv("CMA_DEVICE", "", 1);
  EXPECT_EQ(open_and_close(CMA_OPEN_DEVICE),
            ::access("/dev/cma", F_OK) == 0 ? 0 : -ENOENT);
}

// Run by the next test in a set-user-ID copy of this program.
TEST(Open, DISABLED_AsSetUserId)
{
  ASSERT_NE(::getauxval(AT_SECURE), 0U);
  EXPECT_STREQ(::getenv("CMA_DEVICE"), "/dev/null");
  EXPECT_NE(open_and_close(CMA_OPEN_DEVICE), -EPROTO);
}

TEST(Open, SetUserIdProgramsIgnoreTheVariable)
{
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to make a set-user-ID program";
  const TemporaryFile program;
  std::ofstream(program.path()) << std::ifstream("/proc/self/exe").rdbuf();
  ASSERT_EQ(::chown(program.path().c_str(), 65534, 65534), 0);
  ASSERT_EQ(::chmod(program.path().c_str(), 04755), 0);
  ::setenv("CMA_DEVICE", "/dev/null", 1);
  EXPECT_EQ(open_and_close(CMA_OPEN_DEVICE), -EPROTO);
  EXPECT_EQ(in_child([&] {
              ::execl(program.path().c_str(), "unit", "--gtest_also_run_disabled_tests",
                      "--gtest_filter=Open.DISABLED_AsSetUserId", nullptr);
              return 2;
            }),
            0);
}

// Pages of memory that the process has mapped.
size_t mapped_pages()
{
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages;
}

TEST(Open, ContextsLeaveNothingBehind)
{
  const size_t descriptors = open_descriptors();
  const size_t pages = mapped_pages();
  constexpr int rounds = 1000;
  for (int i = 0; i < rounds; i++)
    ASSERT_EQ(open_and_close(CMA_OPEN_SYSCALL), 0) << i;
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_LT(mapped_pages(), pages + rounds / 2);
}

TEST(Open, KernelWithoutTheSystemCalls)
{
  hooks::process_vm = [](bool, pid_t) { return -ENOSYS; };
  ::setenv("CMA_DEVICE", "/nonexistent", 1);
  EXPECT_EQ(open_and_close(CMA_OPEN_SYSCALL), -ENOSYS);
  EXPECT_EQ(open_and_close(0), -ENOSYS);
}

TEST(Open, ContainerThatFiltersTheSystemCalls)
{
  hooks::process_vm = [](bool, pid_t) { return -EPERM; };
  const Context context = open_context(CMA_OPEN_SYSCALL);
  char byte;
  EXPECT_EQ(cma_read(context.get(), cma_pid(::getpid()), &byte, address_of(&byte), 1),
            -EPERM);
}

TEST(Open, DescriptorsEndWithExecve)
{
  testing::NiceMock<Device> device;
  const Context context = open_context(CMA_OPEN_DEVICE);
  const Context calls = open_context(CMA_OPEN_SYSCALL);
  ASSERT_GT(cma_handle_open(calls.get(), cma_pid(::getpid())), 0);
  const size_t before = open_descriptors();
  // Of the descriptors that a shell sees, none may be ours.
  EXPECT_EQ(in_child([=] {
              const std::string script =
                  "for fd in /proc/self/fd/*; do case $(readlink $fd) in "
                  "*cma-unit*|*/mem) exit 1;; esac; done";
              ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
              return 2;
            }),
            0);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Query, SizeMustBeKnown)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  for (const size_t size : {size_t{0}, sizeof(cma_limits) - 1, sizeof(cma_limits) + 8}) {
    cma_limits limits = {};
    limits.size = size;
    EXPECT_EQ(cma_query(context.get(), &limits), -EINVAL) << size;
    EXPECT_EQ(limits.max_iov, 0U);
  }
}

TEST(Query, SystemCalls)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  const cma_limits limits = limits_of(context);
  EXPECT_EQ(limits.backend, CMA_BACKEND_SYSCALL);
  EXPECT_EQ(limits.device_error, 0);
  EXPECT_EQ(limits.features, CMA_CAN_PID | CMA_CAN_PIDFD | CMA_CAN_HANDLE | CMA_CAN_MANY |
                                 CMA_CAN_LARGE | CMA_CAN_REPORT | CMA_CAN_STRICT);
  EXPECT_EQ(limits.max_iov, 1024U);
  EXPECT_EQ(limits.max_iov_many, 65536U);
  EXPECT_EQ(limits.max_bytes, 0x80000000U - page_size());
  EXPECT_EQ(limits.max_bytes_large, size_t{SSIZE_MAX} + 1 - page_size());
  EXPECT_EQ(limits.max_handles, 4096U);
  EXPECT_EQ(limits.verdict_ms, 0U);
  EXPECT_EQ(limits.abi_version, 0U);
  EXPECT_STREQ(limits.module_version, "");
}

TEST(Version, IsThatOfTheHeader)
{
  EXPECT_STREQ(cma_version(), CMA_VERSION);
  EXPECT_EQ(std::string(CMA_VERSION), std::to_string(CMA_VERSION_MAJOR) + "." +
                                          std::to_string(CMA_VERSION_MINOR) + "." +
                                          std::to_string(CMA_VERSION_PATCH));
}

TEST(Backend, OfNoContext)
{
  EXPECT_EQ(cma_backend(nullptr), CMA_BACKEND_NONE);
  cma_close(nullptr);
}

} // namespace
