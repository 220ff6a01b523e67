// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// How one Call is counted. In the instruction-count model the processor's time
// stamp counter advances by one with every instruction executed, so a
// difference of two readings is exact. What disturbs it only ever adds: the
// timer's interrupt every few million instructions, a verdict that expires.
// So the smallest of several single calls is taken. Other threads are kept
// away altogether: some kernels test their ciphers for seconds after boot.
//
// Every call is checked: the source is filled anew before it and the
// destination compared after it, outside of what is counted.

#pragma once

#include "mechanism.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace bench {

/// @return the smallest of @p times results of @p sample
template<typename Sample>
std::uint64_t least_of(int times, Sample sample)
{
  auto least = sample();
  for (int i = 1; i < times; ++i)
    least = std::min(least, sample());
  return least;
}

/// @throws std::runtime_error unless the counter counts instructions
void prove_model();

/// Has no thread of ordinary priority run but while this one sleeps.
void claim_processor();

/// Counts calls, and proves that each moved its bytes.
class Meter {
public:
  Meter();

  /// @return instructions of one @p call, now
  std::uint64_t count(const Call &call, ssize_t &result) const;

  /// @return instructions of one @p call that makes @p transfer, now
  /// @throws std::runtime_error if it did not move the bytes
  std::uint64_t sample(const Call &call, const Transfer &transfer);

private:
  std::vector<std::byte> noise_; ///< source contents begin somewhere in it
  std::mt19937 random_{1};
  std::uint64_t overhead_; ///< what a Call that does nothing counts
};

} // namespace bench
