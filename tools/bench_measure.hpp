// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The method. A sample is as many copies as take some milliseconds, so that reading the
 * clock does not count. The ways take turns, one sample each, in another order each
 * round, so that whatever changes on the machine meanwhile meets all of them. Of the
 * samples the median is taken, which no single disturbance moves.
 */
#ifndef CMA_TOOLS_BENCH_MEASURE_HPP
#define CMA_TOOLS_BENCH_MEASURE_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench_result.hpp"
#include "bench_world.hpp"

namespace bench {

constexpr double sample_ns = 2e6; /* one is at least as long */

/** Measure these kinds, which are prepared. samples: of each. */
std::vector<Cell> measure(World &world, const std::vector<size_t> &kinds, uint64_t length,
                          size_t samples);

/** The value below which that share of the samples lies, which are in order. */
inline double quantile(const std::vector<double> &samples, double share)
{
  const double place = share * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, samples.size() - 1);
  const double rest = place - static_cast<double>(below);
  return samples[below] + rest * (samples[above] - samples[below]);
}

} // namespace bench

#endif
