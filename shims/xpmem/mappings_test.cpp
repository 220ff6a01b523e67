// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What is read out of /proc/PID/maps, and whether a mapping is found by its borders.
 */
#include "mappings.hpp"

#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace xpmem {
namespace {

std::vector<Range> parts(Range range, std::string text)
{
  FILE *file = fmemopen(text.data(), text.size(), "r");
  auto found = mappings_of_device(range, file);
  fclose(file);
  return found;
}

TEST(Mappings, OnlyThoseOfTheDeviceCount)
{
  const std::string text =
      "1000-3000 rw-s 00001000 00:0f 1063      anon_inode:[cma]\n"
      "3000-4000 rw-p 00000000 00:00 0 \n"
      "4000-6000 r--s 00007000 00:0f 1063      anon_inode:[cma]\n"
      "6000-7000 rw-s 00000000 00:0f 1063      anon_inode:[eventfd]\n"
      "7000-8000 r--p 00000000 08:01 5         /" +
      std::string(2000, 'x') + "8000-9000 rw-s 0 0 0 anon_inode:[cma]\n";
  EXPECT_EQ(parts({0x1000, 0x9000}, text),
            (std::vector<Range>{{0x1000, 0x3000}, {0x4000, 0x6000}}));
  EXPECT_EQ(parts({0x2000, 0x5000}, text),
            (std::vector<Range>{{0x2000, 0x3000}, {0x4000, 0x5000}}));
  EXPECT_TRUE(parts({0x3000, 0x4000}, text).empty());
}

TEST(Mappings, OfThisProcessNoneIsTheDevices)
{
  EXPECT_TRUE(mappings_of_device({0, UINTPTR_MAX}).empty());
}

} // namespace
} // namespace xpmem
