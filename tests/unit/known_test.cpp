// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Copies by pid from peers that the module does not know: made by the system call, until
// they come often enough; with the same result.
#include "device.hpp"
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

using testing::Mock;
using testing::StrictMock;

namespace {

class KnownTest : public testing::Test {
protected:
  KnownTest()
  {
    ON_CALL(device, info).WillByDefault([](cma_ioc_info &info) {
      info = Device::plain_info;
      info.features |= CMA_FEATURE_KNOWN;
      return 0;
    });
    hooks::seccomp_mode = [] { return 0; };
    hooks::process_vm = [this](bool, pid_t pid) -> hooks::Result {
      if (pid < peer)
        return {};
      by_kernel++;
      return kernel_says;
    };
  }

  ssize_t read(pid_t pid = peer, size_t length = 8)
  {
    return cma_read(context().get(), cma_pid(pid), local, 4096, length);
  }

  // The next copies by the device: whether they say that the peer must be known.
  void expect_device(bool known, int result = 0, int times = 1)
  {
    EXPECT_CALL(device, copy).Times(times).WillRepeatedly([=](cma_ioc_copy &copy) {
      EXPECT_EQ((copy.flags & CMA_COPY_KNOWN) != 0, known);
      copy.copied = result == 0 ? 8 : 0;
      return result;
    });
  }

  // Until the module is asked to know the peer.
  void meet(pid_t pid = peer)
  {
    expect_device(false);
    for (int before = -1; before != by_kernel;) {
      before = by_kernel;
      EXPECT_EQ(read(pid), 8);
    }
    Mock::VerifyAndClearExpectations(&device);
    by_kernel = 0;
  }

  void expect_known(pid_t pid = peer)
  {
    expect_device(true);
    EXPECT_EQ(read(pid), 8) << pid;
    EXPECT_EQ(by_kernel, 0) << pid;
    Mock::VerifyAndClearExpectations(&device);
  }

  Context &context()
  {
    if (!context_)
      context_ = open_context(CMA_OPEN_DEVICE);
    return context_;
  }

  static constexpr pid_t peer = 1'000'000'000; // no process has it
  static constexpr pid_t neighbour = 4096;     // from one to the next in its place
  StrictMock<Device> device;
  hooks::Result kernel_says = 8;
  int by_kernel = 0;
  char local[8] = {};
  const iovec here = {local, 8};
  const iovec there = {reinterpret_cast<void *>(4096), 8};

private:
  Context context_;
};

TEST_F(KnownTest, TheFirstCopyIsTheKernels)
{
  EXPECT_EQ(read(), 8);
  EXPECT_EQ(by_kernel, 1);
}

TEST_F(KnownTest, TheFirstCopyByListsIsTheKernels)
{
  if (sizeof(void *) < sizeof(uint64_t))
    GTEST_SKIP() << "lists of 32-bit pointers are the device's";
  EXPECT_EQ(cma_readv(context().get(), cma_pid(peer), &here, 1, &there, 1, 0), 8);
  EXPECT_EQ(by_kernel, 1);
}

TEST_F(KnownTest, ThenTheModuleIsToKnowThePeer)
{
  meet();
  expect_known();
}

TEST_F(KnownTest, ALongCopyIsTheDevicesAtOnce)
{
  expect_device(false);
  EXPECT_EQ(read(peer, 1 << 20), 8);
  EXPECT_EQ(by_kernel, 0);
  Mock::VerifyAndClearExpectations(&device);
  expect_known();
}

TEST_F(KnownTest, AForgottenPeerIsTheKernelsAgain)
{
  meet();
  expect_device(true, -EAGAIN);
  EXPECT_EQ(read(), 8);
  EXPECT_EQ(read(), 8);
  EXPECT_EQ(by_kernel, 2);
}

TEST_F(KnownTest, AForgottenPeerIsTheDevicesAnewBehindAFilter)
{
  meet();
  kernel_says = -EPERM;
  const testing::InSequence order;
  expect_device(true, -EAGAIN);
  expect_device(false);
  EXPECT_EQ(read(), 8);
}

TEST_F(KnownTest, OneThatIsForgottenHidesNoOther)
{
  meet();
  meet(peer + neighbour);
  expect_device(true, -EAGAIN);
  kernel_says = -ESRCH;
  EXPECT_EQ(read(), -ESRCH);
  Mock::VerifyAndClearExpectations(&device);
  by_kernel = 0;
  expect_known(peer + neighbour);
  kernel_says = 8;
  meet();
  expect_known();
  expect_known(peer + neighbour);
}

TEST_F(KnownTest, OneThatIsRefusedTakesNobodysPlace)
{
  for (int i = 0; i < 4; i++)
    meet(peer + i * neighbour);
  kernel_says = -EPERM;
  expect_device(false, -EPERM, 2);
  EXPECT_EQ(read(peer + 4 * neighbour, 1 << 20), -EPERM);
  Mock::VerifyAndClearExpectations(&device);
  by_kernel = 0;
  for (int i = 0; i < 4; i++)
    expect_known(peer + i * neighbour);
}

TEST_F(KnownTest, AHandleIsTheDevicesAlone)
{
  meet();
  expect_device(false);
  EXPECT_EQ(cma_read(context().get(), cma_handle(peer), local, 4096, 8), 8);
  EXPECT_EQ(by_kernel, 0);
}

TEST_F(KnownTest, ErrorsThatMeanTheSameAreTheKernels)
{
  for (const int error : {EFAULT, ESRCH, EINVAL, ENOMEM}) {
    kernel_says = -error;
    EXPECT_EQ(read(), -error);
  }
  kernel_says = 0;
  EXPECT_EQ(read(), 0);
  EXPECT_EQ(by_kernel, 5);
}

TEST_F(KnownTest, ARefusalIsAskedOfTheDevice)
{
  for (const int error : {EPERM, EACCES, ENOSYS}) { // as a filter of system calls says
    kernel_says = -error;
    const pid_t other = peer + error;
    expect_device(false);
    EXPECT_EQ(read(other), 8);
    Mock::VerifyAndClearExpectations(&device);
    by_kernel = 0;
    expect_known(other);
  }
}

TEST_F(KnownTest, ARefusalByTheDeviceIsAskedOfTheKernel)
{
  meet();
  expect_device(true, -EPERM);
  EXPECT_EQ(read(), 8);
  EXPECT_EQ(read(), 8);
  EXPECT_EQ(by_kernel, 2);
}

TEST_F(KnownTest, ARefusalByBothIsOne)
{
  kernel_says = -EPERM;
  expect_device(false, -EPERM, 100);
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(read(), -EPERM);
}

TEST_F(KnownTest, WhatIsBeyondTheSystemCallIsTheDevices)
{
  for (const unsigned int flags : {CMA_MANY, CMA_LARGE}) {
    expect_device(flags == CMA_LARGE); // known by then
    EXPECT_EQ(cma_readv(context().get(), cma_pid(peer), &here, 1, &there, 1, flags), 8);
    Mock::VerifyAndClearExpectations(&device);
  }
  EXPECT_EQ(by_kernel, 0);
}

// The system call cannot, and to find it out would take lists that it may have written
// to.
TEST_F(KnownTest, WhereACopyStoppedIsTheDevicesToTell)
{
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    EXPECT_EQ(copy.flags, CMA_COPY_REPORT);
    copy.fault_side = CMA_FAULT_REMOTE;
    copy.fault_addr = 4099;
    copy.copied = 3;
    return 0;
  });
  cma_request partly = {};
  partly.peer = cma_pid(peer);
  partly.local = &here;
  partly.remote = &there;
  partly.local_count = partly.remote_count = 1;
  EXPECT_EQ(cma_copy(context().get(), &partly), 3);
  EXPECT_EQ(partly.fault_side, CMA_SIDE_REMOTE);
  EXPECT_EQ(partly.fault_addr, 4099U);
  EXPECT_EQ(by_kernel, 0);
}

TEST_F(KnownTest, BehindAFilterAllAreTheDevices)
{
  hooks::seccomp_mode = [] { return 2; };
  expect_device(false, 0, 100);
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(read(), 8);
  EXPECT_EQ(by_kernel, 0);
}

TEST_F(KnownTest, ErrnoIsLeftAlone)
{
  errno = ENOTTY;
  for (const int error : {EFAULT, ESRCH, 0}) {
    kernel_says = error == 0 ? 8 : -error;
    read();
    EXPECT_EQ(errno, ENOTTY);
  }
}

} // namespace
