// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Which processor a process runs on. In User Mode Linux this has to be said when a
// process is forked: its memory is then given a process of the machine, which stays on
// the processor that it was made on.

#pragma once

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace bench {

/// While it lives the caller runs on one processor; what it forks, for good.
class OnProcessor {
public:
  /// @param number counts on from 0 again after the last processor
  explicit OnProcessor(int number)
  {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(number % sysconf(_SC_NPROCESSORS_ONLN)), &one);
    if (sched_getaffinity(0, sizeof before_, &before_) != 0 ||
        sched_setaffinity(0, sizeof one, &one) != 0)
      throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
  }
  ~OnProcessor() { sched_setaffinity(0, sizeof before_, &before_); }
  OnProcessor(const OnProcessor &) = delete;
  OnProcessor(OnProcessor &&) = delete;
  OnProcessor &operator=(const OnProcessor &) = delete;
  OnProcessor &operator=(OnProcessor &&) = delete;

private:
  cpu_set_t before_{};
};

} // namespace bench
