// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Requests that are in order: vectors of every shape, lengths around pages and
 * batches, empty segments in between, segments that share memory. Each
 * compared with the system call.
 */
#include "support/twin.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace cma_test {
namespace {

class Shape : public testing::Test {
protected:
  static inline const size_t size = 8 * page;
  Twin twin{size, size};

  Request request(bool write, std::vector<iovec> local, std::vector<iovec> remote) const
  {
    return {write, std::move(local), std::move(remote), 0};
  }
};

TEST_F(Shape, EveryNumberOfSegmentsOnEachSide)
{
  const size_t length = 2 * page + 777;
  const std::initializer_list<size_t> counts = {0, 1, 2, 8, 9, 1024, 1025};
  for (const size_t here : counts)
    for (const size_t there : counts) {
      SCOPED_TRACE(std::to_string(here) + " local, " + std::to_string(there) + " remote");
      const auto local = cut(twin.local().at(100), length, here);
      const auto remote = cut(twin.remote().at(200), length, there);
      // The remote vector is not looked at when there is no local byte.
      const Outcome expected = here > 1024    ? fails(EINVAL)
                               : here == 0    ? gives(0)
                               : there > 1024 ? fails(EINVAL)
                               : there == 0   ? gives(0)
                                              : gives(length);
      EXPECT_EQ(twin.same(request(false, local, remote)), expected);
      EXPECT_EQ(twin.same(request(true, local, remote)), expected);
    }
}

TEST_F(Shape, LengthsAroundPagesAtEveryAlignment)
{
  for (const size_t length :
       {0UL, 1UL, 63UL, page - 1, page, page + 1, 2 * page, 2 * page + 1})
    for (const size_t here : {0UL, 1UL, page - 1})
      for (const size_t there : {0UL, 8UL, page - 1}) {
        SCOPED_TRACE(testing::Message()
                     << length << " bytes at " << here << ", " << there);
        const auto local = cut(twin.local().at(here), length, 1);
        const auto remote = cut(twin.remote().at(there), length, 1);
        EXPECT_EQ(twin.same(request(false, local, remote)), gives(length));
        EXPECT_EQ(twin.same(request(true, local, remote)), gives(length));
      }
}

TEST_F(Shape, TheShorterSideEndsTheCopy)
{
  for (const size_t here : {1UL, 100UL, page, 2 * page + 5})
    for (const size_t there : {1UL, 100UL, page, 2 * page + 5})
      for (const size_t pieces : {1UL, 3UL}) {
        SCOPED_TRACE(testing::Message() << here << ", " << there << " in " << pieces);
        const auto local = cut(twin.local().at(10), here, pieces);
        const auto remote = cut(twin.remote().at(page - 10), there, pieces);
        const Outcome expected = gives(std::min(here, there));
        EXPECT_EQ(twin.same(request(false, local, remote)), expected);
        EXPECT_EQ(twin.same(request(true, local, remote)), expected);
      }
}

TEST_F(Shape, EmptySegmentsInBetween)
{
  const auto nothing = [](uintptr_t address) { return segment(address, 0); };
  const Arena &here = twin.local();
  const Arena &there = twin.remote();
  const std::vector<std::vector<iovec>> locals = {
      {nothing(here.at(0)), segment(here.at(5), 600)},
      {segment(here.at(5), 300), nothing(here.at(0)), segment(here.at(page), 300)},
      {segment(here.at(5), 600), nothing(here.at(0))},
      {nothing(0), nothing(1), segment(here.at(5), 600), nothing(~0UL)},
      {nothing(here.at(0)), nothing(0)},
  };
  const std::vector<std::vector<iovec>> remotes = {
      {segment(there.at(9), 600)},
      {nothing(there.at(0)), segment(there.at(9), 600), nothing(0)},
      {segment(there.at(page - 9), 99), nothing(0), nothing(~0UL),
       segment(there.at(0), 501)},
      {nothing(0), nothing(~0UL)},
  };
  for (size_t i = 0; i < locals.size(); i++)
    for (size_t j = 0; j < remotes.size(); j++)
      for (const bool write : {false, true}) {
        SCOPED_TRACE(testing::Message() << "local " << i << ", remote " << j);
        // The local vector with ~0 in it is refused or not as the system call says.
        const Outcome outcome = twin.same(request(write, locals[i], remotes[j]));
        if (i < 3) {
          EXPECT_EQ(outcome, gives(j < 3 ? 600 : 0));
        }
      }
}

TEST_F(Shape, ManySmallSegmentsOfOnePage)
{
  std::vector<iovec> local;
  std::vector<iovec> remote;
  for (size_t i = 0; i < 512; i++) {
    local.push_back(segment(twin.local().at(page + (511 - i) * 8), 8));
    remote.push_back(segment(twin.remote().at(i * 16), 8));
  }
  EXPECT_EQ(twin.same(request(false, local, remote)), gives(512L * 8));
  EXPECT_EQ(twin.same(request(true, local, remote)), gives(512L * 8));
}

TEST_F(Shape, NeighboursAndRepeatedPagesKeepTheirOrder)
{
  const Arena &here = twin.local();
  const Arena &there = twin.remote();
  // Adjacent, backwards, the same bytes twice, onto the same bytes twice: the later
  // segment wins.
  const std::vector<iovec> local = {
      segment(here.at(0), page),       segment(here.at(page), page),
      segment(here.at(3 * page), 100), segment(here.at(2 * page), 100),
      segment(here.at(0), 50),         segment(here.at(0), 50),
  };
  const std::vector<iovec> remote = {
      segment(there.at(page), page),   segment(there.at(0), page),
      segment(there.at(0), 100),       segment(there.at(100), 100),
      segment(there.at(4 * page), 50), segment(there.at(5 * page), 50),
  };
  EXPECT_EQ(twin.same(request(false, local, remote)), gives(2 * page + 300));
  EXPECT_EQ(twin.same(request(true, local, remote)), gives(2 * page + 300));
  std::vector<iovec> onto_itself = remote;
  onto_itself[4] = onto_itself[5] = segment(there.at(3 * page), 50);
  EXPECT_EQ(twin.same(request(true, local, onto_itself)), gives(2 * page + 300));
}

/// The pages that the cache knows are copied in one step, and then come those that the
/// owner has put others in the place of.
TEST(LongCopy, GoesOnBehindWhatIsCached)
{
  constexpr size_t pages = 16;
  Twin twin(pages * page, pages * page);
  const uintptr_t there = twin.remote().base();
  for (const bool write : {false, true})
    for (const size_t known : {0UL, 1UL, 8UL, 15UL})
      for (const Route route : {Route::Pid, Route::Handle, Route::Later}) {
        SCOPED_TRACE(testing::Message() << known << " pages known, " << name_of(route));
        const Request request = {write, cut(twin.local().at(100), pages * page - 200, 1),
                                 cut(twin.remote().at(200), pages * page - 200, 1), 0};
        for (int i = 0; i < 3; i++)
          EXPECT_EQ(twin.same(request.call(), {route}), gives(pages * page - 200));
        twin.peer().call([=] {
          renew(there + known * page, (pages - known) * page);
          return 0L;
        });
        EXPECT_EQ(twin.same(request.call(), {route}), gives(pages * page - 200));
      }
}

TEST(LongCopy, LengthsAroundBatches)
{
  constexpr size_t size = 5 * huge_page / 2;
  Twin twin(size, size);
  constexpr size_t kib = 1024;
  for (const size_t length : {64 * kib - 1, 64 * kib, 64 * kib + 1, 256 * kib + 1,
                              1024 * kib, 2048 * kib + 1, size - page})
    for (const bool write : {false, true}) {
      SCOPED_TRACE(testing::Message() << length << " bytes");
      const Request request = {write, cut(twin.local().at(7), length, 1),
                               cut(twin.remote().at(page - 3), length, 1), 0};
      EXPECT_EQ(twin.same(request.call(), {Route::Pid, Route::Handle}),
                gives(static_cast<int64_t>(length)));
    }
}

TEST(LongCopy, ScatteredPages)
{
  // Pages in an order that is no order, so that neighbours in the vector are not
  // neighbours in memory, and runs of neighbours in between.
  constexpr size_t pages = 600;
  Twin twin(pages * page, pages * page);
  Request request;
  for (size_t i = 0; i < pages; i++) {
    const size_t other = i % 5 < 2 ? i : (i * 7) % pages;
    request.local.push_back(segment(twin.local().at(((i * 11) % pages) * page), page));
    request.remote.push_back(segment(twin.remote().at(other * page), page));
  }
  EXPECT_EQ(twin.same(request), gives(pages * page));
  request.write = true;
  EXPECT_EQ(twin.same(request), gives(pages * page));
}

} // namespace
} // namespace cma_test
