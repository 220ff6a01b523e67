// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The device tests' main(). They need root and the module: some reserve huge
 * pages, switch Yama's scope or change users. Called as
 * "cma-device-tests --helper NAME ARGUMENT..." it is the program that a test
 * runs by execve(2).
 */
#include "support/device.hpp"
#include "support/helper.hpp"
#include "support/time_limit.hpp"

#include <cstdio>
#include <gtest/gtest.h>
#include <string_view>
#include <system_error>
#include <unistd.h>

int main(int argc, char **argv)
{
  if (argc > 2 && std::string_view(argv[1]) == "--helper")
    return cma_test::helper_main(argc - 2, argv + 2);
  testing::InitGoogleTest(&argc, argv);
  if (!testing::GTEST_FLAG(list_tests)) {
    if (geteuid() != 0) {
      fprintf(stderr, "the device tests change users: run them as root\n");
      return 1;
    }
    try {
      cma_test::Device device;
    } catch (const std::system_error &error) {
      fprintf(stderr,
              "%s\nload the module first, or use tests/device/run, which does "
              "so in a guest\n",
              error.what());
      return 1;
    }
  }
  cma_test::limit_time(300); // some take half of it with sanitizers
  return RUN_ALL_TESTS();
}
