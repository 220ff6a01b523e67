// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Very many peers, which are light: processes that do nothing but to have a word of
 * their own, at one address in all of them, by which they are told apart.
 */
#pragma once

#include "rounds.hpp"
#include "word.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>

namespace cma_test {

/// As many as the rounds allow. They end with the object, and with the thread that made
/// it.
class ManyPeers {
public:
  explicit ManyPeers(const Rounds &as_many);
  ManyPeers(const ManyPeers &) = delete;
  ManyPeers &operator=(const ManyPeers &) = delete;
  ~ManyPeers();

  size_t size() const { return pids_.size(); }
  pid_t operator[](size_t i) const { return pids_[i]; }
  int64_t word_of(size_t i) const { return static_cast<int64_t>(1000 + i); }

  /// Another process takes the place, with the same word; others may look meanwhile.
  void replace(size_t i);

  /// Replaces some, one after the other, while threads look at all, over and over, and
  /// go on for a time.
  void replace_under(size_t threads, std::chrono::milliseconds then,
                     const std::function<void(size_t i)> &look);

private:
  void fill(size_t i);

  volatile uint64_t *ready_;
  std::deque<std::atomic<pid_t>> pids_; ///< which grows, and moves none
};

} // namespace cma_test
