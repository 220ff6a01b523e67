// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The processes of a measurement, from without. They are children of this one, which
 * sleeps while they copy, and end with the object.
 */
#ifndef CMA_TOOLS_BENCH_WORLD_HPP
#define CMA_TOOLS_BENCH_WORLD_HPP

#include <optional>
#include <string>
#include <vector>

#include "bench_process.hpp"

namespace bench {

class World {
public:
  explicit World(Setup setup);
  World(const World &) = delete;
  World &operator=(const World &) = delete;
  ~World();

  /** Have all who read prepare for that kind. If one cannot: why. */
  std::optional<std::string> prepare(size_t kind);

  /**
   * Have all who read make that many copies of length bytes at once. Throws
   * std::runtime_error if one fell short, or a wrong byte arrived.
   *
   * @param times is made whole walks through the span
   * @return nanoseconds of one copy of each, from the first one's beginning to the last
   *  one's end
   */
  double sample(size_t kind, size_t length, uint64_t &times);

private:
  void start_owner();
  void start_reader(size_t number);
  std::vector<Answer> answers() const;
  std::vector<Answer> carry_out(const Order &order);

  const Setup setup;
  Shared *shared;
  Owned owned = {};
  uint64_t arrivals = 0;
  std::vector<pid_t> children;
  std::vector<int> sockets; /* to those who read */
};

} // namespace bench

#endif
