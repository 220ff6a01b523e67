// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Windows: what is asked of the device, to the byte, in C and in C++; and that the
// system calls have none.
#include "device.hpp"
#include <cma.hpp>
#include <cstring>
#include <unistd.h>

using testing::Return;

namespace {

constexpr std::uint64_t some_name = 0x7edcba9876543210;

template<typename T>
bool same_bytes(const T &one, const T &other)
{
  return std::memcmp(&one, &other, sizeof(T)) == 0;
}

int grant(cma_ioc_window_create &create)
{
  create.window = some_name;
  return 0;
}

class WindowTest : public testing::Test {
protected:
  testing::StrictMock<Device> device;
  Context context = open_context(CMA_OPEN_DEVICE);
  char memory[100] = "";
  std::uint64_t name = 0;
};

TEST_F(WindowTest, IsCreated)
{
  EXPECT_CALL(device, window_create).WillOnce([this](cma_ioc_window_create &create) {
    cma_ioc_window_create expected = {};
    expected.size = sizeof(expected);
    expected.base = address_of(memory);
    expected.length = sizeof(memory);
    expected.access = CMA_ACCESS_READ;
    expected.mode = 0640;
    EXPECT_TRUE(same_bytes(create, expected));
    return grant(create);
  });
  EXPECT_EQ(cma_window_create(context.get(), memory, sizeof(memory), CMA_ACCESS_READ,
                              0640, &name),
            0);
  EXPECT_EQ(name, some_name);
}

int inform_of_publishing(cma_ioc_info &info)
{
  info = Device::plain_info;
  info.features |= CMA_FEATURE_PUBLISH;
  return 0;
}

TEST_F(WindowTest, IsPublished)
{
  EXPECT_CALL(device, info).WillOnce(inform_of_publishing);
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, window_create).WillOnce([](cma_ioc_window_create &create) {
    cma_ioc_window_create expected = {};
    expected.size = sizeof(expected);
    expected.flags = CMA_WINDOW_PUBLISH;
    expected.length = INT64_MAX;
    expected.access = CMA_ACCESS_READ;
    expected.mode = 0640;
    EXPECT_TRUE(same_bytes(create, expected));
    return grant(create);
  });
  EXPECT_EQ(cma_window_publish(context.get(), CMA_ACCESS_READ, 0640, &name), 0);
  EXPECT_EQ(name, some_name);
}

TEST_F(WindowTest, IsNotPublishedByAnOlderModule)
{
  name = 1;
  EXPECT_EQ(cma_window_publish(context.get(), CMA_ACCESS_READ, 0600, &name), -EOPNOTSUPP);
  EXPECT_EQ(name, 0U);
}

TEST_F(WindowTest, IsPublishedInCpp)
{
  EXPECT_CALL(device, info).WillOnce(inform_of_publishing);
  const cma::Context owner(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, window_create).WillOnce(grant);
  EXPECT_CALL(device, window_destroy).WillOnce(Return(0));
  EXPECT_EQ(owner.publish(CMA_ACCESS_READ).name(), some_name);
  EXPECT_CALL(device, window_create).WillOnce(Return(-EEXIST));
  EXPECT_THROW(owner.publish(CMA_ACCESS_READ), std::system_error);
}

TEST_F(WindowTest, IsReachedByThePidThatPublishesIt)
{
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    EXPECT_EQ(copy.peer_type, CMA_PEER_PUBLISHED);
    EXPECT_EQ(copy.peer, 4712);
    EXPECT_EQ(copy.flags & CMA_COPY_KNOWN, 0U);
    copy.copied = 8;
    return 0;
  });
  EXPECT_EQ(cma_read(context.get(), cma_published(4712), memory, 0x1000, 8), 8);
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) {
    EXPECT_EQ(open.peer_type, CMA_PEER_PUBLISHED);
    EXPECT_EQ(open.peer, 4712);
    open.handle = 4711;
    return 0;
  });
  EXPECT_EQ(cma_handle_open(context.get(), cma::published(4712)), 4711);
}

TEST_F(WindowTest, IsDestroyed)
{
  EXPECT_CALL(device, window_destroy).WillOnce([](cma_ioc_window_destroy &destroy) {
    cma_ioc_window_destroy expected = {};
    expected.size = sizeof(expected);
    expected.window = some_name;
    EXPECT_TRUE(same_bytes(destroy, expected));
    return 0;
  });
  EXPECT_EQ(cma_window_destroy(context.get(), some_name), 0);
}

TEST_F(WindowTest, IsOpened)
{
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) {
    cma_ioc_open expected = {};
    expected.size = sizeof(expected);
    expected.peer_type = CMA_PEER_WINDOW;
    expected.window = some_name;
    expected.access = CMA_ACCESS_WRITE;
    EXPECT_TRUE(same_bytes(open, expected));
    open.handle = 4711;
    return 0;
  });
  EXPECT_EQ(cma_window_open(context.get(), some_name, CMA_ACCESS_WRITE), 4711);
}

TEST_F(WindowTest, IsOpenedAndMeasured)
{
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) {
    EXPECT_EQ(open.length, 0U);
    open.handle = 4711;
    open.length = 0x123456789aU;
    return 0;
  });
  std::uint64_t length = 1;
  EXPECT_EQ(cma_window_open_sized(context.get(), some_name, 0, &length), 4711);
  EXPECT_EQ(length, 0x123456789aU);
}

TEST_F(WindowTest, HasNoLengthWhereNoneIsTold)
{
  std::uint64_t length = 1;
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) { // a module that is older
    open.handle = 4711;
    return 0;
  });
  EXPECT_EQ(cma_window_open_sized(context.get(), some_name, 0, &length), 4711);
  EXPECT_EQ(length, 0U);
  length = 1;
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) {
    open.length = 99;
    return -EACCES;
  });
  EXPECT_EQ(cma_window_open_sized(context.get(), some_name, 0, &length), -EACCES);
  EXPECT_EQ(length, 0U);
}

TEST_F(WindowTest, ErrorsAreReturned)
{
  for (const int error : {EINVAL, ENOSPC, ENOMEM, EFAULT, ENOENT, EACCES, ENOTTY}) {
    EXPECT_CALL(device, window_create).WillOnce(Return(-error));
    EXPECT_CALL(device, window_destroy).WillOnce(Return(-error));
    EXPECT_CALL(device, open).WillOnce(Return(-error));
    name = 1;
    errno = 1234;
    EXPECT_EQ(cma_window_create(context.get(), memory, 1, CMA_ACCESS_READ, 0600, &name),
              -error);
    EXPECT_EQ(name, 0U);
    EXPECT_EQ(cma_window_destroy(context.get(), some_name), -error);
    EXPECT_EQ(cma_window_open(context.get(), some_name, 0), -error);
    EXPECT_EQ(errno, 1234);
  }
}

TEST_F(WindowTest, ForkedChildIsRefused)
{
  EXPECT_EQ(in_child([this] {
              cma_context *c = context.get();
              EXPECT_EQ(cma_window_create(c, memory, 1, CMA_ACCESS_READ, 0600, &name),
                        -ESTALE);
              EXPECT_EQ(cma_window_publish(c, CMA_ACCESS_READ, 0600, &name), -ESTALE);
              EXPECT_EQ(cma_window_destroy(c, some_name), -ESTALE);
              EXPECT_EQ(cma_window_open(c, some_name, 0), -ESTALE);
              return HasFailure() ? 1 : 0;
            }),
            0);
}

TEST_F(WindowTest, NeedsTheDevice)
{
  const Context calls = open_context(CMA_OPEN_SYSCALL);
  name = 1;
  EXPECT_EQ(cma_window_create(calls.get(), memory, 1, CMA_ACCESS_READ, 0600, &name),
            -EOPNOTSUPP);
  EXPECT_EQ(name, 0U);
  EXPECT_EQ(cma_window_publish(calls.get(), CMA_ACCESS_READ, 0600, &name), -EOPNOTSUPP);
  EXPECT_EQ(cma_window_destroy(calls.get(), some_name), -EOPNOTSUPP);
  EXPECT_EQ(cma_read(calls.get(), cma_published(getpid()), memory, 0x1000, 8),
            -EOPNOTSUPP);
  EXPECT_EQ(cma_handle_open(calls.get(), cma_published(getpid())), -EOPNOTSUPP);
  EXPECT_EQ(cma_window_open(calls.get(), some_name, 0), -EOPNOTSUPP);
}

TEST_F(WindowTest, IsOwnedInCpp)
{
  const cma::Context owner(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, window_create).WillOnce(grant);
  EXPECT_CALL(device, window_destroy).WillOnce(Return(0));
  cma::Window window = owner.expose(memory, CMA_ACCESS_READ);
  cma::Window moved = std::move(window);
  EXPECT_FALSE(window); // NOLINT(bugprone-use-after-move): moved from is empty
  EXPECT_TRUE(moved);
  EXPECT_EQ(moved.name(), some_name);

  EXPECT_CALL(device, window_create).WillOnce(Return(-ENOSPC));
  EXPECT_THROW(owner.expose(memory, CMA_ACCESS_READ), std::system_error);

  EXPECT_CALL(device, open).Times(2).WillRepeatedly([](cma_ioc_open &open) {
    open.handle = 5;
    open.length = 4242;
    return 0;
  });
  EXPECT_CALL(device, close).Times(2).WillRepeatedly(Return(0));
  const cma::Handle handle = owner.open_window(some_name);
  EXPECT_EQ(static_cast<cma::Peer>(handle).id, 5);
  std::uint64_t length = 0;
  EXPECT_TRUE(owner.open_window(some_name, CMA_ACCESS_READ, &length));
  EXPECT_EQ(length, 4242U);
}

} // namespace
