// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The stress tests' main(): they need root and the module. --seed=N makes the
 * same choices again (not the same interleaving), --scale=X stretches every
 * scenario's time, --read-only keeps them from writing through the device (stale
 * translations would ruin the guest). "--helper NAME" is the program that an owner execs.
 */
#include "../device/support/device.hpp"
#include "../device/support/helper.hpp"
#include "../device/support/time_limit.hpp"
#include "scenario.hpp"

#include <algorithm>
#include <cstdio>
#include <gtest/gtest.h>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace {

using cma_test::settings;

bool parse(int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    if (unsigned long seed = 0; sscanf(argv[i], "--seed=%lu", &seed) == 1)
      settings().seed = seed;
    else if (double scale = 0; sscanf(argv[i], "--scale=%lf", &scale) == 1)
      settings().scale = scale;
    else if (std::string_view(argv[i]) == "--read-only")
      settings().read_only = true;
    else
      return false;
  return true;
}

} // namespace

int main(int argc, char **argv)
{
  if (argc > 2 && std::string_view(argv[1]) == "--helper")
    return cma_test::helper_main(argc - 2, argv + 2);
  testing::InitGoogleTest(&argc, argv);
  if (!parse(argc, argv)) {
    fprintf(stderr, "usage: %s [--seed=N] [--scale=X] [--read-only] [--gtest_...]\n",
            argv[0]);
    return 2;
  }
  if (!testing::GTEST_FLAG(list_tests)) {
    try {
      const cma_test::Device device;
    } catch (const std::system_error &error) {
      fprintf(stderr,
              "%s\nload the module first, or use tests/stress/run, which does so in a "
              "guest\n",
              error.what());
      return 1;
    }
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  cma_test::limit_time(static_cast<unsigned>(300 * std::max(1.0, settings().scale)));
  return RUN_ALL_TESTS();
}
