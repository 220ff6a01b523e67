// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * An input of the fuzzer: steps that three processes take, in text. A step is
 * "actor.verb a b c", in "&actor.verb a b c" the next one does not wait for it.
 * Every string of steps is an input: numbers are taken modulo what there is.
 */
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace cma_fuzz {

enum class Verb : uint8_t {
  Open,     ///< of a process or a window, into a slot of handles
  Close,    ///< the handle of a slot
  Expose,   ///< create a window, into a slot that all know
  Withdraw, ///< destroy the window of a slot
  Read,     ///< copy from a peer
  Write,    ///< copy to a peer
  Garbage,  ///< an ioctl with whatever argument
  Map,      ///< a handle's memory, into a slot of mappings
  Unmap,    ///< part of a mapping
  Move,     ///< a mapping, or a part of it
  Protect,  ///< a mapping, or one's own memory
  Populate, ///< part of a mapping
  Show,     ///< part of a mapping, or hide it
  Load,     ///< from a mapping
  Store,    ///< to a mapping, by one of several instructions
  Kernel,   ///< have a system call read or write a mapping
  Touch,    ///< one's own memory
  Renew,    ///< one's own memory: map something else there
  Drop,     ///< one's own memory: unmap it
  Advise,   ///< madvise() of one's own memory
  Fork,     ///< a child that touches what it got, and goes
  Exec,     ///< another program: one's memory is gone
  Exit,     ///< the same without one
  Signal,   ///< to another one, whatever he does
  Kill,     ///< another one
  Reopen,   ///< the device: all that the open file had ends
  Pressure, ///< shrinkers, compaction, reclaim
  Reduce,   ///< elements of peers into one's own
  Count,
};

struct Step {
  Verb verb = Verb::Touch;
  uint8_t actor = 0;
  bool ahead = false; ///< the next step does not wait for it
  std::array<uint8_t, 3> number{};

  bool operator==(const Step &) const = default;
};

using Input = std::vector<Step>;
using Random = std::mt19937_64;

inline constexpr unsigned actors = 3;
inline constexpr size_t longest = 24; ///< steps of an input

std::string text_of(const Input &input);
std::optional<Input> input_of(const std::string &text);

Input invent(Random &random);
/// One like it; other's steps may come in.
Input vary(Random &random, Input input, const Input &other);

} // namespace cma_fuzz
