// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * How often something is tried that depends on who comes first. All of the
 * rounds count where they take no time; on a kernel that checks everything,
 * those that fit into the time, and some in any case. The environment's
 * CMA_TEST_SCALE stretches the time (tests/device/run --scale).
 */
#pragma once

#include <chrono>
#include <cstdlib>

namespace cma_test {

/// How much longer than it says a test may take that depends on who comes first.
inline double time_scale()
{
  const char *scale = getenv("CMA_TEST_SCALE");
  return scale ? strtod(scale, nullptr) : 1;
}

/// for (int round : Rounds(least, most, time)): 0, 1 and so on.
class Rounds {
public:
  Rounds(int least, int most, std::chrono::seconds time)
      : least_(least), most_(most),
        end_(std::chrono::steady_clock::now() +
             std::chrono::duration_cast<std::chrono::milliseconds>(time * time_scale()))
  {
  }

  class Iterator {
  public:
    Iterator(const Rounds &rounds, int round) : rounds_(rounds), round_(round) {}
    int operator*() const { return round_; }
    Iterator &operator++()
    {
      round_++;
      return *this;
    }
    /// Asked before each round, with the range's end as the other.
    bool operator!=(const Iterator &other) const
    {
      return round_ < other.round_ &&
             (round_ < rounds_.least_ || std::chrono::steady_clock::now() < rounds_.end_);
    }

  private:
    const Rounds &rounds_;
    int round_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, most_}; }

private:
  int least_;
  int most_;
  std::chrono::steady_clock::time_point end_;
};

} // namespace cma_test
