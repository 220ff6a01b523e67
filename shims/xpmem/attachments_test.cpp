// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The table of attachments, against a model that knows the permit of every address.
 */
#include "attachments.hpp"

#include <array>
#include <random>

#include <gtest/gtest.h>

namespace xpmem {
namespace {

constexpr uintptr_t all = 64;

TEST(Attachments, FindsByAnyAddress)
{
  Attachments table;
  table.insert({10, 20}, 1);
  EXPECT_FALSE(table.find(9));
  EXPECT_EQ(table.find(10), (Range{10, 20}));
  EXPECT_EQ(table.find(19), (Range{10, 20}));
  EXPECT_FALSE(table.find(20));
}

TEST(Attachments, NeighboursStayApart)
{
  Attachments table;
  table.insert({10, 20}, 1);
  table.insert({20, 30}, 1);
  EXPECT_EQ(table.find(20), (Range{20, 30}));
  EXPECT_EQ(table.of(1).size(), 2U);
}

TEST(Attachments, FollowAModel)
{
  std::mt19937 random(4711);
  Attachments table;
  std::array<xpmem_apid_t, all> model = {};
  for (int round = 0; round < 3000; round++) {
    const uintptr_t begin = random() % all;
    const Range range = {begin, begin + 1 + random() % (all - begin)};
    const xpmem_apid_t permit = random() % 4;
    if (permit != 0)
      table.insert(range, permit);
    else
      table.erase(range);
    std::fill(model.begin() + static_cast<long>(range.begin),
              model.begin() + static_cast<long>(range.end), permit);

    std::array<xpmem_apid_t, all> seen = {};
    for (xpmem_apid_t one : {1, 2, 3})
      for (Range part : table.of(one))
        for (uintptr_t at = part.begin; at < part.end; at++)
          seen[at] = one;
    ASSERT_EQ(seen, model) << "round " << round;
    for (uintptr_t at = 0; at < all; at++)
      ASSERT_EQ(table.find(at).has_value(), model[at] != 0);
  }
  table.clear();
  EXPECT_TRUE(table.meeting({0, all}).empty());
  EXPECT_TRUE(table.of(1).empty());
}

} // namespace
} // namespace xpmem
