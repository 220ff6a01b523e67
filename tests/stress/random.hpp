// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Choices that a seed makes again: splitmix64, small and the same everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cma_test {

class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next()
  {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  /// 0 ... limit - 1
  size_t below(size_t limit) { return next() % limit; }
  /// low ... high
  size_t between(size_t low, size_t high) { return low + below(high - low + 1); }
  bool percent(unsigned share) { return below(100) < share; }

private:
  uint64_t state_;
};

} // namespace cma_test
