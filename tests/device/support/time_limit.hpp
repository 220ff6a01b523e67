// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A test that hangs must end, by name, and not take the others' time.
 */
#pragma once

#include <csignal>
#include <cstdio>
#include <gtest/gtest.h>
#include <unistd.h>

namespace cma_test {

class TimeLimit : public testing::EmptyTestEventListener {
public:
  explicit TimeLimit(unsigned seconds) : seconds_(seconds)
  {
    signal(SIGALRM, [](int) {
      const auto *test = testing::UnitTest::GetInstance()->current_test_info();
      dprintf(STDOUT_FILENO, "%s.%s takes too long: ending the program\n",
              test->test_suite_name(), test->name());
      _exit(124);
    });
  }

private:
  void OnTestStart(const testing::TestInfo &) override { alarm(seconds_); }
  void OnTestEnd(const testing::TestInfo &) override { alarm(0); }

  const unsigned seconds_;
};

/// Of every test that this program runs.
inline void limit_time(unsigned seconds)
{
  testing::UnitTest::GetInstance()->listeners().Append(new TimeLimit(seconds));
}

} // namespace cma_test
