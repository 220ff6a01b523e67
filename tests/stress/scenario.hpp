// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A scenario: an owner whose field changes, and processes that copy from it
 * and into it, and map it, meanwhile, until the time is over or the test ends it.
 */
#pragma once

#include "../device/support/peer.hpp"
#include "oracle.hpp"
#include "owner.hpp"
#include "traffic.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

namespace cma_test {

/// What the command line says.
struct Settings {
  uint64_t seed = 1;
  bool read_only = false; ///< the control: none writes through the device
  double scale = 1;       ///< of every scenario's time
};
Settings &settings();

/// How often something is to happen, however long a slow or busy machine takes for it:
/// less often where time is short, and a few times in any case.
inline long enough(long times, long least)
{
  return std::max(least, std::lround(static_cast<double>(times) * settings().scale));
}

struct Plan {
  Kind kind = Kind::Anonymous;
  size_t pages = 1024;
  Ops author = {}; ///< besides writing
  Ops mover = {};
  Ops must = {};             ///< happen, for the scenario to be worth anything
  unsigned author_us = 1500; ///< the longest pause between two changes
  unsigned mover_us = 1500;
  bool uniform = false; ///< see Field
  bool writer = false;  ///< somebody writes through the device, too
  bool device = true;   ///< else all go by the system call, to judge the oracle
  bool mapped = true;   ///< and through mappings, where there is the device
  unsigned milliseconds = 2500;
};

/// How an owner can end by itself, while it changes its memory.
enum class End { WithTheTime, Exit, Exec, Eat };

class Scenario {
public:
  explicit Scenario(const Plan &plan);
  Scenario(const Scenario &) = delete;
  Scenario &operator=(const Scenario &) = delete;
  ~Scenario();

  Oracle &oracle() { return oracle_; }
  const Field &field() const { return field_; }
  Peer &owner() { return *owner_; }
  uint64_t seed() const { return seed_; }

  /// All of it: owner and traffic, to the end, and what is expected of every scenario.
  void run();

  /// In parts, for tests that do something meanwhile.
  void start_owner(End end = End::WithTheTime, unsigned end_us = 0);
  void start_traffic();
  void finish_owner();
  void finish_traffic();
  /// Expects that nothing wrong was seen, and that something was looked at.
  void expect_sound();

private:
  Plan plan_;
  Oracle &oracle_;
  Field field_;
  const uint64_t seed_;
  std::unique_ptr<Peer> owner_;
  std::vector<std::unique_ptr<Peer>> clients_;
  std::optional<uint64_t> fills_;
};

} // namespace cma_test
