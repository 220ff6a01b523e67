// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The device backend: what it asks of the device, to the byte, and what it makes of
// the answers.
#include "device.hpp"
#include <climits>
#include <cstring>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using testing::Return;
using testing::StrictMock;

namespace {

class DeviceTest : public testing::Test {
protected:
  StrictMock<Device> device;
};

// The segments that a request carries, as the kernel would read them.
std::vector<cma_iovec> segments(std::uint64_t list, std::uint64_t count)
{
  const auto *first = reinterpret_cast<const cma_iovec *>(static_cast<uintptr_t>(list));
  return {first, first + count};
}

testing::Matcher<cma_iovec> is_segment(std::uint64_t base, std::uint64_t length)
{
  return testing::AllOf(testing::Field(&cma_iovec::base, base),
                        testing::Field(&cma_iovec::len, length));
}

iovec segment(std::uintptr_t base, size_t length)
{
  return {reinterpret_cast<void *>(base), length};
}

// Every field but the lists, against a request made of zeros and what is given.
void expect_request(const cma_ioc_copy &copy, std::uint32_t flags, cma_peer peer,
                    std::uint64_t local_count, std::uint64_t remote_count)
{
  cma_ioc_copy expected = {};
  expected.size = sizeof(cma_ioc_copy);
  expected.flags = flags;
  expected.peer_type = peer.type;
  expected.peer = peer.id;
  expected.local_iov = copy.local_iov;
  expected.remote_iov = copy.remote_iov;
  expected.local_cnt = local_count;
  expected.remote_cnt = remote_count;
  EXPECT_EQ(std::memcmp(&copy, &expected, sizeof(copy)), 0);
}

TEST_F(DeviceTest, IsPreferred)
{
  const Context context = open_context();
  EXPECT_EQ(cma_backend(context.get()), CMA_BACKEND_DEVICE);
}

TEST_F(DeviceTest, IsNotOpenedIfTheSystemCallsAreWanted)
{
  EXPECT_CALL(device, info).Times(0);
  const Context context = open_context(CMA_OPEN_SYSCALL);
  EXPECT_EQ(cma_backend(context.get()), CMA_BACKEND_SYSCALL);
  cma_limits limits = {};
  limits.size = sizeof(limits);
  ASSERT_EQ(cma_query(context.get(), &limits), 0);
  EXPECT_EQ(limits.device_error, 0);
}

TEST_F(DeviceTest, InfoIsAskedWithZeros)
{
  EXPECT_CALL(device, info).WillOnce([](cma_ioc_info &info) {
    cma_ioc_info expected = {};
    expected.size = sizeof(expected);
    EXPECT_EQ(std::memcmp(&info, &expected, sizeof(info)), 0);
    info = Device::plain_info;
    return 0;
  });
  open_context(CMA_OPEN_DEVICE);
}

TEST_F(DeviceTest, LimitsAreTheModules)
{
  const Context context = open_context();
  cma_limits limits = {};
  limits.size = sizeof(limits);
  ASSERT_EQ(cma_query(context.get(), &limits), 0);
  EXPECT_EQ(limits.backend, CMA_BACKEND_DEVICE);
  EXPECT_EQ(limits.device_error, 0);
  const uint64_t missing = // ranges are the library's own affair
      CMA_FEATURE_SINGLE |
      (sizeof(void *) < 8 ? CMA_FEATURE_MAP | CMA_FEATURE_POPULATE | CMA_FEATURE_SHOW
                          : 0);
  EXPECT_EQ(limits.features, Device::plain_info.features & ~missing);
  EXPECT_EQ(limits.max_iov, 1024U);
  EXPECT_EQ(limits.max_iov_many, 5000U);
  EXPECT_EQ(limits.max_bytes, 0x7ffff000U);
  EXPECT_EQ(limits.max_bytes_large,
            sizeof(ssize_t) == 8 ? 0x7ffffffffffff000U : 0x7ffff000U);
  EXPECT_EQ(limits.max_handles, 77U);
  EXPECT_EQ(limits.verdict_ms, 100U);
  EXPECT_EQ(limits.abi_version, std::uint32_t{CMA_ABI_VERSION});
  EXPECT_STREQ(limits.module_version, "9.8.7");
}

TEST_F(DeviceTest, FeaturesWithoutANameAreNotShown)
{
  EXPECT_CALL(device, info).WillOnce([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features = CMA_FEATURE_COPY_PID | 1ULL << 63;
    return 0;
  });
  const Context context = open_context();
  cma_limits limits = {};
  limits.size = sizeof(limits);
  ASSERT_EQ(cma_query(context.get(), &limits), 0);
  EXPECT_EQ(limits.features, CMA_CAN_PID);
}

// A range is a request without lists.
void expect_range(const cma_ioc_copy &copy, std::uint32_t flags, cma_peer peer,
                  const void *local, std::uint64_t remote, std::uint64_t length)
{
  expect_request(copy, flags | CMA_COPY_SINGLE, peer, length, length);
  EXPECT_EQ(copy.local_iov, address_of(local));
  EXPECT_EQ(copy.remote_iov, remote);
}

TEST_F(DeviceTest, ReadIsARange)
{
  const Context context = open_context();
  char local[10];
  EXPECT_CALL(device, copy).WillOnce([&](cma_ioc_copy &copy) {
    expect_range(copy, 0, cma_pid(42), local, 0x12345678, 10);
    copy.copied = 7;
    return 0;
  });
  EXPECT_EQ(cma_read(context.get(), cma_pid(42), local, 0x12345678, 10), 7);
}

TEST_F(DeviceTest, WriteIsARange)
{
  const Context context = open_context();
  const char local[10] = "";
  EXPECT_CALL(device, copy).WillOnce([&](cma_ioc_copy &copy) {
    expect_range(copy, CMA_COPY_WRITE, cma_pidfd(5), local, 0x12345678, 10);
    copy.copied = 10;
    return 0;
  });
  EXPECT_EQ(cma_write(context.get(), cma_pidfd(5), local, 0x12345678, 10), 10);
}

// A module that does not know ranges gets lists of one segment.
TEST_F(DeviceTest, RangesForAnOlderModule)
{
  EXPECT_CALL(device, info).WillOnce([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features &= ~CMA_FEATURE_SINGLE;
    return 0;
  });
  const Context context = open_context();
  char local[10];
  for (const std::uint32_t direction : {0U, CMA_COPY_WRITE})
    EXPECT_CALL(device, copy)
        .WillOnce([&, direction](cma_ioc_copy &copy) {
          expect_request(copy, direction, cma_pid(42), 1, 1);
          EXPECT_THAT(segments(copy.local_iov, 1),
                      testing::ElementsAre(is_segment(address_of(local), 10)));
          EXPECT_THAT(segments(copy.remote_iov, 1),
                      testing::ElementsAre(is_segment(0x12345678, 10)));
          copy.copied = 10;
          return 0;
        })
        .RetiresOnSaturation();
  EXPECT_EQ(cma_write(context.get(), cma_pid(42), local, 0x12345678, 10), 10);
  EXPECT_EQ(cma_read(context.get(), cma_pid(42), local, 0x12345678, 10), 10);
}

TEST_F(DeviceTest, VectorsAndFlagsArePassedOn)
{
  const Context context = open_context();
  const std::vector<iovec> local = {segment(0x1000, 1), segment(0x2000, 2)};
  const std::vector<iovec> remote = {segment(0xfffff000, 3), segment(0, 0),
                                     segment(0x5000, 5)};
  const unsigned int large = sizeof(ssize_t) == 8 ? CMA_COPY_LARGE : 0;
  testing::InSequence sequence;
  for (const unsigned int direction : {0U, CMA_COPY_WRITE})
    EXPECT_CALL(device, copy).WillOnce([=](cma_ioc_copy &copy) {
      expect_request(
          copy, direction | CMA_COPY_MANY | large | CMA_COPY_STRICT | CMA_COPY_REPORT,
          cma_handle(3), 2, 3);
      EXPECT_THAT(segments(copy.local_iov, 2),
                  testing::ElementsAre(is_segment(0x1000, 1), is_segment(0x2000, 2)));
      EXPECT_THAT(segments(copy.remote_iov, 3),
                  testing::ElementsAre(is_segment(0xfffff000, 3), is_segment(0, 0),
                                       is_segment(0x5000, 5)));
      copy.copied = 3;
      return 0;
    });
  const unsigned int flags = CMA_MANY | CMA_LARGE | CMA_STRICT;
  EXPECT_EQ(
      cma_readv(context.get(), cma_handle(3), local.data(), 2, remote.data(), 3, flags),
      3);
  EXPECT_EQ(
      cma_writev(context.get(), cma_handle(3), local.data(), 2, remote.data(), 3, flags),
      3);
}

TEST_F(DeviceTest, UnknownFlagsAreNotPassedOn)
{
  const Context context = open_context();
  const iovec one = segment(0x1000, 1);
  for (const unsigned int flags : {CMA_WRITE, 1U << 3, 1U << 5, 1U << 31}) {
    EXPECT_EQ(cma_readv(context.get(), cma_pid(1), &one, 1, &one, 1, flags), -EINVAL);
    EXPECT_EQ(cma_writev(context.get(), cma_pid(1), &one, 1, &one, 1, flags), -EINVAL);
  }
  for (const unsigned int flags : {1U << 3, 1U << 5, 1U << 31}) {
    cma_request request = {};
    request.peer = cma_pid(1);
    request.flags = flags;
    EXPECT_EQ(cma_copy(context.get(), &request), -EINVAL);
  }
}

TEST_F(DeviceTest, OtherArgumentsAreTheKernelsToCheck)
{
  const Context context = open_context();
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    expect_request(copy, 0, cma_peer{99, -7}, 0, 6000);
    return -EINVAL;
  });
  EXPECT_EQ(cma_readv(context.get(), cma_peer{99, -7}, nullptr, 0, nullptr, 6000, 0),
            -EINVAL);
}

TEST_F(DeviceTest, CopyAsksForTheFaultAndReportsIt)
{
  const Context context = open_context();
  const iovec one = segment(0x1000, 100);
  cma_request request = {};
  request.peer = cma_pid(42);
  request.flags = CMA_WRITE | CMA_MANY;
  request.local = &one;
  request.remote = &one;
  request.local_count = request.remote_count = 1;
  request.fault_side = CMA_SIDE_LOCAL;
  request.fault_addr = 1;

  EXPECT_CALL(device, copy)
      .WillOnce([](cma_ioc_copy &copy) {
        expect_request(copy, CMA_COPY_WRITE | CMA_COPY_MANY | CMA_COPY_REPORT,
                       cma_pid(42), 1, 1);
        copy.copied = 100;
        return 0;
      })
      .WillOnce([](cma_ioc_copy &copy) {
        copy.copied = 50;
        copy.fault_side = CMA_FAULT_REMOTE;
        copy.fault_addr = 0xfedcba9876543210;
        return 0;
      })
      .WillOnce([](cma_ioc_copy &copy) {
        copy.fault_side = CMA_FAULT_LOCAL;
        copy.fault_addr = 0x1000;
        return -EFAULT;
      });
  EXPECT_EQ(cma_copy(context.get(), &request), 100);
  EXPECT_EQ(request.fault_side, CMA_SIDE_NONE);
  EXPECT_EQ(request.fault_addr, 0U);
  EXPECT_EQ(cma_copy(context.get(), &request), 50);
  EXPECT_EQ(request.fault_side, CMA_SIDE_REMOTE);
  EXPECT_EQ(request.fault_addr, 0xfedcba9876543210);
  EXPECT_EQ(cma_copy(context.get(), &request), -EFAULT);
  EXPECT_EQ(request.fault_side, CMA_SIDE_LOCAL);
  EXPECT_EQ(request.fault_addr, 0x1000U);
}

TEST_F(DeviceTest, InterruptibleIsNoFlagOfTheKernels)
{
  const Context context = open_context();
  const std::vector<iovec> local = {segment(0x1000, 100)};
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    EXPECT_EQ(copy.flags & CMA_INTERRUPTIBLE, 0U);
    copy.copied = 100;
    return 0;
  });
  EXPECT_EQ(cma_readv(context.get(), cma_handle(1), local.data(), 1, local.data(), 1,
                      CMA_INTERRUPTIBLE),
            100);
}

// What the kernel makes of each call of a copy of 2 x 100 bytes, and what all come to.
struct Step {
  int error;
  std::uint64_t copied;
  std::uint32_t fault_side;
};
struct Course {
  unsigned int flags;
  std::vector<Step> steps;
  ssize_t result;
  enum cma_side side;
};

TEST_F(DeviceTest, ALongCopyGoesOnAfterASignalUnlessItsCallerAsksToSeeIt)
{
  const Context context = open_context();
  const std::vector<iovec> local = {segment(0x1000, 100), segment(0x2000, 100)};
  const std::vector<iovec> remote = {segment(0x5000, 150), segment(0, 0),
                                     segment(0x7000, 150)};
  const unsigned int seen = CMA_INTERRUPTIBLE;
  const std::vector<Course> courses = {
      {0, {{0, 30, 0}, {-EINTR, 0, 0}, {0, 150, 0}, {0, 20, 0}}, 200, CMA_SIDE_NONE},
      {0, {{-EINTR, 0, 0}, {-EINTR, 0, 0}, {0, 200, 0}}, 200, CMA_SIDE_NONE},
      {0, {{0, 30, 0}, {0, 20, CMA_FAULT_REMOTE}}, 50, CMA_SIDE_REMOTE},
      {0, {{0, 30, 0}, {-EFAULT, 0, CMA_FAULT_LOCAL}}, 30, CMA_SIDE_LOCAL},
      {0, {{0, 30, 0}, {-ESRCH, 0, 0}}, 30, CMA_SIDE_NONE},
      {0, {{-EINTR, 0, 0}, {-EIDRM, 0, 0}}, -EIDRM, CMA_SIDE_NONE},
      {0, {{0, 200, 0}}, 200, CMA_SIDE_NONE},
      {seen, {{0, 30, 0}}, 30, CMA_SIDE_NONE},
      {seen, {{-EINTR, 0, 0}}, -EINTR, CMA_SIDE_NONE},
  };
  for (const Course &course : courses) {
    std::uint64_t done = 0;
    std::size_t calls = 0;
    EXPECT_CALL(device, copy)
        .Times(static_cast<int>(course.steps.size()))
        .WillRepeatedly([&](cma_ioc_copy &copy) {
          const Step &step = course.steps.at(calls++);
          EXPECT_EQ(copy.flags & ~CMA_COPY_LARGE, CMA_COPY_MANY | CMA_COPY_REPORT);
          const cma_iovec first = segments(copy.local_iov, 1).front();
          EXPECT_EQ(first.base, done < 100 ? 0x1000 + done : 0x2000 + done - 100);
          const cma_iovec other = segments(copy.remote_iov, 1).front();
          EXPECT_EQ(other.base, done < 150 ? 0x5000 + done : 0x7000 + done - 150);
          copy.copied = step.copied;
          copy.fault_side = step.fault_side;
          done += step.copied;
          return step.error;
        });
    cma_request request = {};
    request.peer = cma_pid(42);
    request.flags = CMA_MANY | CMA_LARGE | course.flags;
    request.local = local.data();
    request.remote = remote.data();
    request.local_count = local.size();
    request.remote_count = remote.size();
    EXPECT_EQ(cma_copy(context.get(), &request), course.result);
    EXPECT_EQ(request.fault_side, course.side);
    testing::Mock::VerifyAndClearExpectations(&device);
  }
}

TEST_F(DeviceTest, CopyClearsTheFaultWhenItRefuses)
{
  const Context context = open_context();
  cma_request request = {};
  request.flags = 1U << 31;
  request.fault_side = CMA_SIDE_LOCAL;
  request.fault_addr = 1;
  EXPECT_EQ(cma_copy(context.get(), &request), -EINVAL);
  EXPECT_EQ(request.fault_side, CMA_SIDE_NONE);
  EXPECT_EQ(request.fault_addr, 0U);
}

TEST_F(DeviceTest, EveryErrorIsReturnedAndErrnoIsLeftAlone)
{
  const Context context = open_context();
  char byte;
  for (const int error : {EINVAL, EFAULT, ESRCH, EPERM, EBADF, ENOENT, EINTR, ENOMEM,
                          E2BIG, EOPNOTSUPP, ENOTTY}) {
    EXPECT_CALL(device, copy).WillOnce(Return(-error));
    EXPECT_CALL(device, open).WillOnce(Return(-error));
    EXPECT_CALL(device, close).WillOnce(Return(-error));
    errno = 1234;
    EXPECT_EQ(cma_read(context.get(), cma_pid(1), &byte, 1, 1), -error);
    EXPECT_EQ(cma_handle_open(context.get(), cma_pid(1)), -error);
    EXPECT_EQ(cma_handle_close(context.get(), 1), -error);
    EXPECT_EQ(errno, 1234);
  }
}

TEST_F(DeviceTest, CountsAre64Bit)
{
  if (sizeof(ssize_t) < 8)
    GTEST_SKIP() << "a count of this program has 32 bits";
  const Context context = open_context();
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    copy.copied = 5'000'000'000;
    return 0;
  });
  const iovec one = segment(0x1000, 1);
  EXPECT_EQ(cma_readv(context.get(), cma_pid(1), &one, 1, &one, 1, CMA_LARGE),
            static_cast<ssize_t>(5'000'000'000LL));
}

TEST_F(DeviceTest, HandleIsOpenedAndClosed)
{
  const Context context = open_context();
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) {
    cma_ioc_open expected = {};
    expected.size = sizeof(expected);
    expected.peer_type = CMA_PEER_PIDFD;
    expected.peer = 9;
    EXPECT_EQ(std::memcmp(&open, &expected, sizeof(open)), 0);
    open.handle = 4711;
    return 0;
  });
  EXPECT_CALL(device, close).WillOnce([](cma_ioc_close &close) {
    EXPECT_EQ(close.size, sizeof(close));
    EXPECT_EQ(close.handle, 4711);
    return 0;
  });
  EXPECT_EQ(cma_handle_open(context.get(), cma_pidfd(9)), 4711);
  EXPECT_EQ(cma_handle_close(context.get(), 4711), 0);
}

TEST_F(DeviceTest, CloseGivesTheDescriptorBack)
{
  const size_t before = open_descriptors();
  Context context = open_context();
  EXPECT_EQ(open_descriptors(), before + 1);
  context.reset();
  EXPECT_EQ(open_descriptors(), before);
}

// Only read, write and exit are allowed, and the ioctl is answered by the test: the
// library makes no other call, and so takes no contended lock and maps no memory.
TEST_F(DeviceTest, ACopyIsOneSystemCall)
{
  EXPECT_CALL(device, copy).Times(0); // in this process
  EXPECT_EQ(in_child([] {
              const Context context = open_context(CMA_OPEN_DEVICE);
              hooks::ioctl = [](int, unsigned long, void *argument) {
                auto *copy = static_cast<cma_ioc_copy *>(argument);
                copy->copied = copy->local_cnt;
                return 0;
              };
              std::vector<iovec> list(1024, segment(0x1000, 1));
              char byte;
              ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
              const bool good = cma_read(context.get(), cma_pid(1), &byte, 1, 1) == 1 &&
                                cma_writev(context.get(), cma_handle(1), list.data(),
                                           1024, list.data(), 1024, CMA_LARGE) == 1024;
              ::syscall(SYS_exit, good ? 0 : 1);
              return 2;
            }),
            0);
}

// The kernel refuses a list by its count, before it reads it.
TEST_F(DeviceTest, AListThatIsTooLongIsNotRead)
{
  const Context context = open_context();
  EXPECT_CALL(device, copy).Times(2).WillRepeatedly(Return(-EINVAL));
  const auto *bad = reinterpret_cast<const iovec *>(uintptr_t{8});
  EXPECT_EQ(cma_readv(context.get(), cma_pid(1), bad, 1025, bad, 1025, 0), -EINVAL);
  EXPECT_EQ(cma_readv(context.get(), cma_pid(1), bad, 5001, bad, SIZE_MAX, CMA_MANY),
            -EINVAL);
}

TEST_F(DeviceTest, LongListsArriveWhole)
{
  const Context context = open_context();
  std::vector<iovec> local;
  for (size_t i = 0; i < 5000; i++)
    local.push_back(segment(0x1000 + i, i));
  const iovec remote = segment(0x2000, 1);
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    const auto list = segments(copy.local_iov, 5000);
    for (size_t i = 0; i < list.size(); i++)
      EXPECT_TRUE(list[i].base == 0x1000 + i && list[i].len == i) << i;
    return 0;
  });
  EXPECT_EQ(cma_readv(context.get(), cma_pid(1), local.data(), local.size(), &remote, 1,
                      CMA_MANY),
            0);
}

TEST_F(DeviceTest, ThreadsShareAContext)
{
  const Context context = open_context();
  EXPECT_CALL(device, copy).Times(4000).WillRepeatedly([](cma_ioc_copy &copy) {
    copy.copied = static_cast<std::uint64_t>(copy.peer);
    return 0;
  });
  std::vector<std::thread> threads;
  for (int id = 1; id <= 4; id++)
    threads.emplace_back([&, id] {
      char byte;
      for (int i = 0; i < 1000; i++)
        ASSERT_EQ(cma_read(context.get(), cma_pid(id), &byte, 1, 1), id);
    });
  for (auto &thread : threads)
    thread.join();
}

} // namespace
