// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Memory that is not there, or not to be touched: at every page of either
 * side, in segments and between them. The count and each byte are the system
 * call's; with CMA_COPY_REPORT the device names the place.
 */
#include "support/parameter.hpp"
#include "support/rounds.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <utility>

namespace cma_test {
namespace {

constexpr int pages = 6;
const size_t size = pages * page;
constexpr uint64_t untouched = 0x5a5a5a5a;

enum class Blemish { Unmapped, NoAccess, ReadOnly, WriteOnly };

const char *name_of(Blemish blemish)
{
  switch (blemish) {
  case Blemish::Unmapped:
    return "unmapped";
  case Blemish::NoAccess:
    return "PROT_NONE";
  case Blemish::ReadOnly:
    return "read-only";
  case Blemish::WriteOnly:
    return "write-only";
  }
  return "?";
}

void spoil(uintptr_t address, Blemish blemish)
{
  switch (blemish) {
  case Blemish::Unmapped:
    return unmap(address, page);
  case Blemish::NoAccess:
    return protect(address, page, PROT_NONE);
  case Blemish::ReadOnly:
    return protect(address, page, PROT_READ);
  case Blemish::WriteOnly:
    return protect(address, page, PROT_WRITE);
  }
}

/// The address of byte number n of a vector, or the end of its last segment.
uint64_t address_in(const std::vector<iovec> &segments, size_t n)
{
  uint64_t end = 0;
  for (const iovec &segment : segments) {
    const auto base = reinterpret_cast<uintptr_t>(segment.iov_base);
    if (n < segment.iov_len)
      return base + n;
    n -= segment.iov_len;
    end = base + segment.iov_len;
  }
  return end;
}

class Hole : public testing::Test {
protected:
  Twin twin{size, size};

  void spoil_local(size_t number, Blemish blemish)
  {
    renew(twin.local().base(), size);
    spoil(twin.local().at(number * page), blemish);
  }
  void spoil_remote(size_t number, Blemish blemish)
  {
    const uintptr_t base = twin.remote().base();
    twin.peer().call([=] {
      renew(base, size);
      spoil(base + number * page, blemish);
      return 0L;
    });
  }

  /// Runs a request by every route, then again with CMA_COPY_REPORT: a copy that did not
  /// get to its end is to name the side and the address of its first byte not moved.
  void expect_like_the_system_call(const Request &request, size_t wanted, uint32_t side)
  {
    const Outcome outcome = twin.same(request);
    const size_t moved = outcome.error != 0 ? 0 : static_cast<size_t>(outcome.result);
    auto report = as_ioctl(Route::Handle, twin.target(), request.call());
    report.flags |= CMA_COPY_REPORT;
    report.fault_addr = untouched;
    report.fault_side = untouched;
    EXPECT_EQ(twin.device().copy(report), outcome);
    for (const Route route : {Route::First, Route::Later}) {
      SCOPED_TRACE(name_of(route));
      cma_request told;
      EXPECT_EQ(twin.copy(route, request.call(), told), outcome);
      EXPECT_EQ(told.fault_side, moved == wanted ? uint32_t{CMA_SIDE_NONE} : side);
      EXPECT_EQ(told.fault_addr, moved == wanted ? 0 : report.fault_addr);
    }
    if (moved == wanted) {
      EXPECT_EQ(report.fault_side, untouched);
      EXPECT_EQ(report.fault_addr, untouched);
      return;
    }
    const auto &segments = side == CMA_FAULT_LOCAL ? request.local : request.remote;
    EXPECT_EQ(report.fault_side, side);
    EXPECT_EQ(report.fault_addr, address_in(segments, moved));
    EXPECT_TRUE(moved == 0 || report.fault_addr % page == 0) << report.fault_addr;
  }

  /// One segment, several that lie side by side, and scattered ones.
  void every_cut(uint32_t side)
  {
    const size_t length = size - page / 2;
    for (const bool write : {false, true})
      for (const size_t offset : {0UL, 300UL, page / 2})
        for (const size_t count : {1UL, 3UL, 64UL}) {
          SCOPED_TRACE(testing::Message() << (write ? "write" : "read") << " at "
                                          << offset << " in " << count << " segments");
          const Request request = {write, cut(twin.local().at(offset), length, count),
                                   cut(twin.remote().at(offset), length, 2), 0};
          expect_like_the_system_call(request, length, side);
        }
  }
};

/// Every page with every blemish; where that takes long, every page with one at least.
constexpr int places = 4 * pages;
Rounds rounds()
{
  return {pages, places, std::chrono::seconds(20)};
}
std::pair<size_t, Blemish> place(int round)
{
  return {round % pages, static_cast<Blemish>((round + round / pages) % 4)};
}

TEST_F(Hole, RemoteAtEveryPage)
{
  for (const int round : rounds()) {
    const auto [number, blemish] = place(round);
    SCOPED_TRACE(testing::Message() << "page " << number << " " << name_of(blemish));
    spoil_remote(number, blemish);
    every_cut(CMA_FAULT_REMOTE);
  }
}

TEST_F(Hole, LocalAtEveryPage)
{
  for (const int round : rounds()) {
    const auto [number, blemish] = place(round);
    SCOPED_TRACE(testing::Message() << "page " << number << " " << name_of(blemish));
    spoil_local(number, blemish);
    every_cut(CMA_FAULT_LOCAL);
  }
}

TEST_F(Hole, WhereAFewBytesGoWithoutTheCache)
{
  // One page at a time is looked up by hand: what nobody may have is not found there.
  const Parameter none("max_chunks", 0);
  for (const Blemish blemish :
       {Blemish::Unmapped, Blemish::NoAccess, Blemish::ReadOnly, Blemish::WriteOnly})
    for (const bool write : {false, true})
      for (const size_t number : {1UL, 2UL}) {
        SCOPED_TRACE(testing::Message() << (write ? "write to" : "read of") << " page "
                                        << number << ", 1 is " << name_of(blemish));
        spoil_remote(1, blemish);
        const Request request = {write,
                                 {segment(twin.local().base(), 64)},
                                 {segment(twin.remote().at(number * page), 64)},
                                 0};
        expect_like_the_system_call(request, 64, CMA_FAULT_REMOTE);
      }
}

TEST_F(Hole, BetweenSegments)
{
  // The segments end where the hole begins and go on where it ends: nothing is missing.
  spoil_remote(2, Blemish::Unmapped);
  spoil_local(3, Blemish::NoAccess);
  const Request request = {
      false,
      {segment(twin.local().at(page), 2 * page),
       segment(twin.local().at(4 * page), page)},
      {segment(twin.remote().at(0), 2 * page), segment(twin.remote().at(3 * page), page)},
      0};
  EXPECT_EQ(twin.same(request), gives(3 * page));
  Request write = request;
  write.write = true;
  EXPECT_EQ(twin.same(write), gives(3 * page));
}

TEST_F(Hole, InTheFirstAndInTheLastSegment)
{
  spoil_remote(0, Blemish::Unmapped);
  const Arena &there = twin.remote();
  const std::vector<iovec> local = {segment(twin.local().base(), size)};
  for (const bool write : {false, true}) {
    Request first = {
        write, local, {segment(there.at(0), 8), segment(there.at(page), 8)}, 0};
    EXPECT_EQ(twin.same(first), fails(EFAULT));
    Request middle = {write,
                      local,
                      {segment(there.at(page), 8), segment(there.at(5), 8),
                       segment(there.at(2 * page), 8)},
                      0};
    EXPECT_EQ(twin.same(middle), gives(8));
    Request last = {
        write, local, {segment(there.at(page), 2 * page), segment(there.at(5), 8)}, 0};
    EXPECT_EQ(twin.same(last), gives(2 * page));
  }
}

TEST_F(Hole, RemoteInTheMiddleOfALongBatch)
{
  constexpr size_t many = 300;
  Twin wide(many * page, many * page);
  for (const size_t number : {1UL, 15UL, 16UL, 63UL, 64UL, 127UL, 255UL, 256UL, 299UL}) {
    const uintptr_t base = wide.remote().base();
    wide.peer().call([=] {
      renew(base, many * page);
      unmap(base + number * page, page);
      return 0L;
    });
    for (const bool write : {false, true}) {
      SCOPED_TRACE(testing::Message()
                   << "page " << number << (write ? " write" : " read"));
      const Request request = {write, cut(wide.local().at(0), many * page, 1),
                               cut(wide.remote().at(0), many * page, 1), 0};
      EXPECT_EQ(wide.same(request.call(), {Route::Pid, Route::Handle}),
                gives(number * page));
    }
  }
}

TEST_F(Hole, OnBothSides)
{
  for (const size_t here : {1UL, 2UL, 3UL})
    for (const size_t there : {1UL, 2UL, 3UL}) {
      SCOPED_TRACE(testing::Message() << "local " << here << ", remote " << there);
      spoil_local(here, Blemish::Unmapped);
      spoil_remote(there, Blemish::Unmapped);
      for (const bool write : {false, true}) {
        const Request request = {write, cut(twin.local().at(0), size, 1),
                                 cut(twin.remote().at(0), size, 1), 0};
        EXPECT_EQ(twin.same(request), gives(std::min(here, there) * page));
      }
    }
}

TEST_F(Hole, ProtectionKeys)
{
  // A key closes memory to its owner, and so to the caller's side of a copy; a peer's
  // keys are not the caller's.
  const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  if (key < 0)
    GTEST_SKIP() << "no protection keys, in this processor or this kernel: "
                 << strerror(errno);
  const uintptr_t here = twin.local().base();
  const uintptr_t there = twin.remote().base();
  EXPECT_EQ(twin.peer().call([=]() -> long {
    const int theirs = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    return pkey_mprotect(reinterpret_cast<void *>(there + page), page,
                         PROT_READ | PROT_WRITE, theirs);
  }),
            0);
  for (const bool write : {false, true}) {
    const Request request = {write, cut(here, size, 1), cut(there, size, 1), 0};
    EXPECT_EQ(twin.same(request), gives(size)) << "the peer's key";
    ASSERT_EQ(pkey_mprotect(reinterpret_cast<void *>(here + 2 * page), page,
                            PROT_READ | PROT_WRITE, key),
              0);
    EXPECT_EQ(twin.same(request), gives(2 * page)) << "the caller's key";
    renew(here, size);
  }
  pkey_free(key);
}

TEST_F(Hole, ReportOfASuccessLeavesItsFieldsAlone)
{
  Request request = {false, cut(twin.local().at(0), size, 1),
                     cut(twin.remote().at(0), size, 1), 0};
  expect_like_the_system_call(request, size, CMA_FAULT_NONE);
  // And a copy that fails without the flag.
  spoil_remote(0, Blemish::Unmapped);
  auto quiet = as_ioctl(Route::Handle, twin.target(), request.call());
  quiet.fault_addr = untouched;
  quiet.fault_side = untouched;
  EXPECT_EQ(twin.device().copy(quiet), fails(EFAULT));
  EXPECT_EQ(quiet.fault_side, untouched);
  EXPECT_EQ(quiet.fault_addr, untouched);
}

} // namespace
} // namespace cma_test
