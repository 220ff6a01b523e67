// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Every allocation on a path through the device made to fail in turn: the first, the
 * second, ..., until the call no longer reaches it. A call that was hit fails with
 * ENOMEM, or succeeds in full because it could do without; the same call succeeds
 * afterwards. Then once more with no memory at all.
 *
 * That nothing leaks is the guest's word: it asks kmemleak when the tests are over,
 * and the module has to go then.
 */
#pragma once

#include "../device/support/memory.hpp"
#include "../device/support/peer.hpp"
#include "fault.hpp"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>

namespace cma_test {

/// One path through the module.
struct Path {
  /// What comes before the call; its allocations succeed.
  std::function<void()> prepare = [] {};
  /// The call, and nothing else: all that it allocates is made to fail.
  std::function<Outcome()> call;
  /// Whether a success is one; gives back what the call took.
  std::function<void(Outcome)> check = [](Outcome) {};
  /// The answer when memory is short.
  int error = ENOMEM;
};

/// What a call does without any memory.
enum class Without { Fails, Succeeds, DoesEither };

class FailNth : public testing::Test {
protected:
  FailNth();
  ~FailNth() override;

  /// A new peer and a new open file: nobody knows anybody.
  void meet();

  /// Makes each allocation fail in turn; how many of them the call could not do without.
  unsigned sweep(const Path &path);

  /// Makes all of them fail.
  void starve(const Path &path, Without expected);

  Fault fault_;
  std::unique_ptr<Peer> peer_;
  std::optional<Device> device_;

private:
  /// Runs a path with nothing in its way.
  static void undisturbed(const Path &path);
};

} // namespace cma_test
