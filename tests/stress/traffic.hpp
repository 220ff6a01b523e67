// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Copies to and from a field that somebody changes, each judged by what the
 * board says. Runs in a process other than the owner's. A copy by the system
 * call is judged as all others: it shows that the board is right, and whether
 * what was written through the device is in the owner's memory.
 */
#pragma once

#include "../device/support/twin.hpp"
#include "board.hpp"
#include "owner.hpp"
#include "random.hpp"

#include <vector>

namespace cma_test {

/// Memory of one's own that copies go to and come from.
class Buffer {
public:
  explicit Buffer(size_t bytes);
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer();

  uint64_t *words() const { return words_; }
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(words_); }
  /// No page of the first bytes is there: a copy has to fault them in.
  void forget(size_t bytes) const;

private:
  uint64_t *words_;
  size_t bytes_;
};

/// One thread's copies through one open file.
class Client {
public:
  Client(Board &board, const Field &field, const Device &device, const Target &target,
         uint64_t seed);

  /// Copies by random routes of these until the time is over.
  void read_on(const std::vector<Route> &routes);
  void write_on(const std::vector<Route> &routes);

  /// One copy of random place, size and shape.
  void read(Route route);
  void write(Route route);
  /// Reads count words from a word on, and judges them.
  void read_words(Route route, size_t first, size_t count);

private:
  Outcome copy(Route route, bool write, size_t first, size_t count);
  bool outcome_is_fit(Route route, const Outcome &outcome, size_t first, size_t count,
                      const std::vector<uint32_t> &oldest);
  void judge_page(Route route, size_t first, size_t begin, size_t end, uint32_t oldest);
  void judge_words(Route route, const Epochs &epochs, const uint64_t *words, size_t page,
                   size_t begin, size_t end);

  Board &board_;
  Field field_;
  const Device &device_;
  Target target_;
  Random random_;
  Buffer buffer_;
  size_t piece_ = 0; ///< bytes of each of the last copy's remote segments
};

/// By pid, pidfd, handle and window.
const std::vector<Route> &device_mix();

/// A peer by all its names, for use through a device; by a window only if it has one.
Target names_of(const Device &device, pid_t pid, const Fd &pidfd, uint64_t window = 0);

} // namespace cma_test
