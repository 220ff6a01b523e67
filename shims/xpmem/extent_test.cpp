// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The attachments of one mapping, against a model that knows the attachment of every
 * page.
 */
#include "extent.hpp"

#include <algorithm>
#include <array>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

namespace xpmem {
namespace {

const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
constexpr uintptr_t beginning = uintptr_t{1} << 40;
constexpr size_t all = 150; /* more than two words of bits, and not all of the third */

Range pages(size_t begin, size_t end)
{
  return {beginning + begin * page, beginning + end * page};
}

TEST(Extent, FindsByAnyAddress)
{
  Extent extent(pages(0, all), 0, true);
  extent.add(pages(62, 67));
  EXPECT_FALSE(extent.at(pages(62, 62).begin - 1));
  for (size_t i = 62; i < 67; i++)
    EXPECT_EQ(extent.at(pages(i, i).begin + 7), pages(62, 67)) << i;
  EXPECT_FALSE(extent.at(pages(67, 67).begin));
  EXPECT_FALSE(extent.at(pages(all, all).begin));
}

TEST(Extent, NeighboursStayApart)
{
  Extent extent(pages(0, all), 0, true);
  extent.add(pages(10, 64));
  extent.add(pages(64, 70));
  EXPECT_EQ(extent.at(pages(63, 63).begin), pages(10, 64));
  EXPECT_EQ(extent.at(pages(64, 64).begin), pages(64, 70));
  extent.remove(pages(64, 70));
  EXPECT_EQ(extent.at(pages(63, 63).begin), pages(10, 64));
  EXPECT_FALSE(extent.is_idle());
}

TEST(Extent, AsAWholeItHasOne)
{
  Extent extent(pages(0, all), 0, false);
  EXPECT_TRUE(extent.is_free(pages(0, all)));
  extent.add(pages(0, all));
  EXPECT_FALSE(extent.is_free(pages(3, 4)));
  EXPECT_EQ(extent.at(pages(7, 7).begin), pages(0, all));
  EXPECT_EQ(extent.meeting(pages(3, 4)), std::vector{pages(0, all)});
  const auto rest = extent.without(pages(3, 4));
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].at(pages(2, 2).begin), pages(0, 3));
  EXPECT_EQ(rest[1].at(pages(4, 4).begin), pages(4, all));
  EXPECT_EQ(rest[1].offset(), 4 * page);
}

using Model = std::array<int, all>; /* the attachment's number, or 0 */

void expect_equal(const Extent &extent, const Model &model, Range place)
{
  for (size_t i = 0; i < all; i++) {
    const auto found = extent.at(pages(i, i).begin);
    if (!place.holds(pages(i, i).begin) || model[i] == 0) {
      ASSERT_FALSE(found) << i;
      continue;
    }
    size_t begin = i;
    size_t end = i;
    while (begin > 0 && model[begin - 1] == model[i])
      begin--;
    while (end < all && model[end] == model[i])
      end++;
    const Range whole = pages(begin, end);
    ASSERT_EQ(found,
              (Range{std::max(whole.begin, place.begin), std::min(whole.end, place.end)}))
        << i;
  }
}

TEST(Extent, FollowsAModel)
{
  std::mt19937 random(4711);
  Extent extent(pages(0, all), 0, true);
  Model model = {};
  for (int round = 1; round < 3000; round++) {
    const size_t begin = random() % all;
    const size_t end = std::min<size_t>(begin + 1 + random() % 80, all);
    const bool is_free = std::all_of(model.begin() + static_cast<long>(begin),
                                     model.begin() + static_cast<long>(end),
                                     [](int number) { return number == 0; });
    ASSERT_EQ(extent.is_free(pages(begin, end)), is_free);
    const auto found = extent.at(pages(begin, begin).begin);
    if (is_free) {
      extent.add(pages(begin, end));
      std::fill(model.begin() + static_cast<long>(begin),
                model.begin() + static_cast<long>(end), round);
    } else if (found) {
      const int number = model[begin];
      extent.remove(*found);
      std::replace(model.begin(), model.end(), number, 0);
    }
    expect_equal(extent, model, pages(0, all));
    ASSERT_EQ(extent.is_idle(), model == Model{});
    if (round % 50 != 0)
      continue;
    for (const Extent &part : extent.without(pages(begin, end))) {
      expect_equal(part, model, part.place());
      EXPECT_EQ(part.offset(), part.place().begin - beginning);
    }
  }
}

} // namespace
} // namespace xpmem
