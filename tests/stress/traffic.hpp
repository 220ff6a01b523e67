// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Copies to and from a field that somebody changes, and loads and stores through
 * mappings of it, each judged by what the oracle says. Runs in a process other
 * than the owner's. A copy by the system call is judged as all others: it shows
 * that the oracle is right, and whether what was written through the device is
 * in the owner's memory.
 */
#pragma once

#include "../device/support/twin.hpp"
#include "oracle.hpp"
#include "owner.hpp"
#include "random.hpp"
#include "view.hpp"

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

/// How words travel: in a copy by that route, one by one through a mapping of what the
/// route names, or by a reduction into zeros.
struct Way {
  Route route = Route::Syscall;
  bool mapped = false;
  bool reduced = false;
};
const char *name_of(const Way &way);

/// One thread's copies through one open file, and its loads and stores, where there is a
/// mapped way.
class Client {
public:
  Client(Oracle &oracle, const Field &field, const Device &device, const Target &target,
         Views &views, uint64_t seed);

  /// Goes random ones of these ways until the time is over.
  void read_on(const std::vector<Way> &ways);
  void write_on(const std::vector<Way> &ways);

private:
  /// Of random place, size and shape.
  void read(const Way &way);
  void write(const Way &way);
  /// Reads count words from a word on, and judges them.
  void read_words(const Way &way, size_t first, size_t count);
  Outcome move(const Way &way, bool write, size_t first, size_t count);
  Outcome copy(Route route, bool write, size_t first, size_t count);
  /// By a bitwise or with zeros, as far as the module comes, and then by a copy.
  Outcome reduce(Route route, size_t first, size_t count);
  void change_views();
  bool outcome_is_fit(const Way &way, const Outcome &outcome, size_t first, size_t count,
                      const std::vector<uint32_t> &oldest);
  void judge_page(const Way &way, size_t first, size_t begin, size_t end,
                  uint32_t oldest);
  void judge_words(const Way &way, const Epochs &epochs, const uint64_t *words,
                   size_t page, size_t begin, size_t end);

  Oracle &oracle_;
  Field field_;
  const Device &device_;
  Target target_;
  Views &views_;
  Random random_;
  Buffer buffer_;
  size_t piece_ = 0; ///< bytes that were last moved together: of a segment, or of a word
};

/// By pid, pidfd, handle and window; by reductions, and by mappings, of the latter two.
std::vector<Way> device_mix(bool mapped);

/// A peer by all its names, for use through a device; by a window only if it has one.
Target names_of(const Device &device, pid_t pid, const Fd &pidfd, uint64_t window = 0);

} // namespace cma_test
