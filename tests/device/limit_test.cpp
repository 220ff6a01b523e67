// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The limits of one copy, and the flags that lift them: segments and bytes.
 * The many bytes are a few of them many times over, so that they need no
 * memory.
 */
#include "support/rounds.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <thread>

namespace cma_test {
namespace {

/// What one call of the system moves: whole pages of 2 GiB less a byte.
const auto at_once = static_cast<int64_t>(0x7fffffff / page * page);

class Limit : public testing::Test {
protected:
  static constexpr size_t size = huge_page;
  // An emulated machine is quicker at huge pages, where it has any.
  const Kind kind = has_huge_pages() ? Kind::TransparentHuge : Kind::Anonymous;
  Twin twin{size, 2 * size, kind, kind};
  const cma_ioc_info info = twin.device().info();

  Outcome by(Route route, const Request &request) const
  {
    return run(twin.device(), route, twin.target(), request.call());
  }
};

TEST_F(Limit, BytesOfOneCall)
{
  // Of 2 GiB at_once bytes move, as by the system call (MAX_RW_COUNT: what it moves is
  // looked at only where there is time), and with the flag all. The sides differ in
  // alignment, because an emulated machine is quicker at that.
  const Request standard = {
      false, std::vector<iovec>(1024, segment(twin.local().base(), size)),
      std::vector<iovec>(1024, segment(twin.remote().at(page / 2), size)), 0};
  Request large = standard;
  large.flags = CMA_COPY_LARGE;
  EXPECT_EQ(info.max_bytes, at_once);
  std::thread device([&] { EXPECT_EQ(by(Route::Pid, standard), gives(at_once)); });
  EXPECT_EQ(by(Route::Handle, large), gives(1024L * size));
  device.join();
  if (time_scale() >= 1) {
    EXPECT_EQ(by(Route::Syscall, standard), gives(at_once));
  }
}

TEST_F(Limit, ManySegments)
{
  ASSERT_GT(info.max_iov_many, 1024);
  const size_t many = info.max_iov_many;
  for (const size_t count : {1025UL, 2000UL, many}) {
    SCOPED_TRACE(testing::Message() << count << " segments");
    const size_t length = size - 100;
    Request request = {false, cut(twin.local().at(50), length, count),
                       cut(twin.remote().at(70), length, count), 0};
    for (const bool write : {false, true}) {
      request.write = write;
      request.flags = 0;
      EXPECT_EQ(by(Route::Pid, request), fails(EINVAL));
      request.flags = CMA_COPY_MANY;
      for (const Route route : {Route::Pid, Route::Pidfd, Route::Handle}) {
        twin.local().fill(3);
        twin.remote().fill(4);
        auto here = pattern(size, 3);
        auto there = pattern(2 * size, 4);
        if (write)
          std::copy_n(here.begin() + 50, length, there.begin() + 70);
        else
          std::copy_n(there.begin() + 70, length, here.begin() + 50);
        EXPECT_EQ(by(route, request), gives(static_cast<int64_t>(length)));
        EXPECT_TRUE(twin.local().bytes() == here);
        EXPECT_TRUE(twin.remote().bytes() == there);
      }
    }
  }
}

TEST_F(Limit, OneSegmentTooMany)
{
  const size_t many = info.max_iov_many + 1;
  const auto local = cut(twin.local().base(), size, 1);
  const auto remote = cut(twin.remote().base(), size, 1);
  const auto segments = cut(twin.remote().base(), size, many);
  for (const uint32_t flags : {0U, CMA_COPY_MANY, CMA_COPY_MANY | CMA_COPY_LARGE}) {
    EXPECT_EQ(by(Route::Pid, {false, local, segments, flags}), fails(EINVAL));
    EXPECT_EQ(by(Route::Pid, {true, cut(twin.local().base(), size, many), remote, flags}),
              fails(EINVAL));
  }
}

TEST_F(Limit, ManyEmptySegmentsAreNothing)
{
  const std::vector<iovec> empty(info.max_iov_many, segment(0, 0));
  EXPECT_EQ(by(Route::Pid, {false, empty, empty, CMA_COPY_MANY}), gives(0));
}

TEST_F(Limit, AHoleAmongManySegmentsIsReported)
{
  const uintptr_t remote = twin.remote().base();
  const size_t hole = size / 2 / page * page;
  twin.peer().call([=] {
    renew(remote, size);
    unmap(remote + hole, page);
    return 0L;
  });
  const Request request = {false, cut(twin.local().base(), size, 3000),
                           cut(remote, size, 3000), CMA_COPY_MANY | CMA_COPY_REPORT};
  auto ioctl = as_ioctl(Route::Pid, twin.target(), request.call());
  EXPECT_EQ(twin.device().copy(ioctl), gives(static_cast<int64_t>(hole)));
  EXPECT_EQ(ioctl.fault_side, CMA_FAULT_REMOTE);
  EXPECT_EQ(ioctl.fault_addr, remote + hole);
}

TEST_F(Limit, LengthsOfALargeCopyAreStillChecked)
{
  const uint32_t flags = CMA_COPY_LARGE;
  const auto here = segment(twin.local().base(), 1UL << 63);
  const auto there = segment(twin.remote().base(), 1UL << 63);
  const auto small = segment(twin.local().base(), 8);
  EXPECT_EQ(by(Route::Pid, {false, {here}, {there}, flags}), fails(EINVAL));
  EXPECT_EQ(by(Route::Pid, {false, {small}, {there}, flags}), fails(EINVAL));
  // Lengths whose sum passes 64 bits: both end where the memory ends.
  const uint64_t huge = (1UL << 63) - 1;
  const std::vector<iovec> local = {segment(twin.local().at(size - page), huge),
                                    segment(twin.local().base(), huge),
                                    segment(twin.local().base(), huge)};
  const std::vector<iovec> remote = {segment(twin.remote().at(size - 2 * page), huge),
                                     segment(twin.remote().base(), huge),
                                     segment(twin.remote().base(), huge)};
  EXPECT_EQ(by(Route::Pid, {false, {segment(twin.local().base(), page)}, remote, flags}),
            gives(page));
  EXPECT_EQ(
      by(Route::Pid, {false, local, {segment(twin.remote().base(), 8)}, flags}).error,
      by(Route::Syscall, {false, local, {segment(twin.remote().base(), 8)}, 0}).error);
}

} // namespace
} // namespace cma_test
