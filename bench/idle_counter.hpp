// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Counts what a deed costs the whole machine: also what other processes and the
// kernel's own threads do for it, and what they put off until after it.
//
// For that a process of the lowest priority runs whenever nobody else does, and
// counts its own instructions. The model's one processor is therefore never
// idle, and what the time stamp counter tells beyond them is work.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace bench {

class IdleCounter {
public:
  /// @throws std::runtime_error unless it counts what another process does later
  IdleCounter();
  ~IdleCounter();
  IdleCounter(const IdleCounter &) = delete;
  IdleCounter(IdleCounter &&) = delete;
  IdleCounter &operator=(const IdleCounter &) = delete;
  IdleCounter &operator=(IdleCounter &&) = delete;

  /// @return instructions of all but the counter from the beginning of @p deed
  ///         until there is nothing to do any more
  std::uint64_t work(const std::function<void()> &deed) const;

private:
  struct Clock;
  [[nodiscard]] Clock now() const;
  [[nodiscard]] std::uint64_t nap() const;
  /// Naps until that was quiet a few times: no nap held more than @p most.
  /// @return the work that the others held
  std::uint64_t rest(std::uint64_t most) const;
  void prove() const;

  volatile std::uint64_t *rounds_; ///< that the counter ran
  pid_t pid_;
  std::uint64_t quiet_ = 0; ///< work within a nap while nobody has anything to do
};

} // namespace bench
