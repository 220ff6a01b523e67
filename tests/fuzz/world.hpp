// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The three processes that an input is run by, and what they share: the names of
 * windows, and what of the module they have reached. They are new for each input.
 *
 * Where nobody else is under way, what a process reads through the device or a
 * mapping has to be what process_vm_readv(2) reads; that is judged, too.
 */
#pragma once

#include "input.hpp"

#include <atomic>
#include <bitset>

namespace cma_fuzz {

/// Places in the module, by the low bits of their addresses.
inline constexpr size_t places = 1U << 16;
using Reached = std::bitset<places>;

/// In memory that all processes have in common.
struct Shared {
  std::array<std::atomic<uint64_t>, 4> windows;
  std::array<std::atomic<int>, actors> pids;
  std::array<std::atomic<bool>, actors> gone;
  std::atomic<bool> alone; ///< nobody but the one who takes a step is under way
  std::atomic<bool> wrong; ///< somebody saw what process_vm_readv() does not see
  std::array<std::atomic<uint8_t>, places> reached;
};

Shared &shared();

/// Whether this kernel tells what of the module was reached.
bool can_trace();

/// Runs the input to its end; what was reached. Throws if the processes hang.
Reached run(const Input &input);

/// What "exec" runs.
int after_exec();

} // namespace cma_fuzz
