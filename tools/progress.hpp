// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A progress bar, or words in its place, on standard error, if that is a terminal;
 * otherwise nothing. It is gone from the screen when the object is.
 */
#ifndef CMA_TOOLS_PROGRESS_HPP
#define CMA_TOOLS_PROGRESS_HPP

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

class Progress {
public:
  /** total: bytes to come; nothing if nobody knows. */
  explicit Progress(std::optional<uint64_t> total);
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;
  ~Progress();

  /** So many bytes are to come, as is known by now. */
  void expect(std::optional<uint64_t> bytes) { total = bytes; }

  /** Show that so many bytes have moved by now. */
  void update(uint64_t moved);

  /** Show these words on how far it is. */
  void say(const std::string &words);

  /** Take the bar off the screen, to make room for other words. */
  void clear();

  double seconds() const;

private:
  using Clock = std::chrono::steady_clock;

  std::optional<uint64_t> total;
  bool terminal;
  bool shown = false;
  Clock::time_point begin = Clock::now();
  Clock::time_point drawn = begin;
};

#endif
