// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_measure.hpp.
#include "bench_measure.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

#include <fmt/core.h>

namespace bench {

namespace {

struct Samples {
  size_t kind;
  uint64_t times;
  std::vector<double> ns = {};
};

double sample(World &world, size_t kind, uint64_t length, uint64_t &times)
try {
  return world.sample(kind, length, times);
} catch (const std::runtime_error &failure) {
  throw std::runtime_error(
      fmt::format("{}, {} bytes: {}", kinds()[kind].title, length, failure.what()));
}

/* How many copies take as long as a sample should. */
uint64_t find_times(World &world, size_t kind, uint64_t length)
{
  constexpr uint64_t step = 16;
  for (uint64_t times = 1;;) {
    const double ns = std::max(sample(world, kind, length, times), 0.1);
    const auto wanted = static_cast<uint64_t>(std::ceil(sample_ns / ns));
    if (wanted <= 2 * times)
      return std::max(wanted, times);
    times = std::min(wanted, step * times);
  }
}

} // namespace

std::vector<Cell> measure(World &world, const std::vector<size_t> &kinds, uint64_t length,
                          size_t samples)
{
  std::vector<Samples> all;
  all.reserve(kinds.size());
  for (const size_t kind : kinds)
    all.push_back({.kind = kind, .times = find_times(world, kind, length)});
  std::mt19937 random(1);
  for (size_t round = 0; round < samples; round++) {
    std::ranges::shuffle(all, random);
    for (Samples &one : all)
      one.ns.push_back(sample(world, one.kind, length, one.times));
  }
  std::ranges::sort(all, {}, &Samples::kind);
  std::vector<Cell> cells;
  for (Samples &one : all) {
    std::ranges::sort(one.ns);
    cells.push_back({.kind = one.kind,
                     .length = length,
                     .times = one.times,
                     .median = quantile(one.ns, 0.5),
                     .quarter = quantile(one.ns, 0.25),
                     .three_quarters = quantile(one.ns, 0.75),
                     .least = one.ns.front()});
  }
  return cells;
}

} // namespace bench
