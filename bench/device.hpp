// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// An open file of /dev/cma, by its ioctls as the ABI has them: what the
// library adds is another matter, and not measured here.

#pragma once

#include "uapi/cma.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace bench {

class Device {
public:
  /// @throws std::system_error if there is no device
  Device();
  ~Device();
  Device(const Device &) = delete;
  Device(Device &&) = delete;
  Device &operator=(const Device &) = delete;
  Device &operator=(Device &&) = delete;

  /// @return bytes moved, or -1 with errno
  ssize_t copy(cma_ioc_copy &request) const;

  /// @return a handle of all of that process's memory
  [[nodiscard]] int open_process(pid_t pid) const;

  /// @return a handle of the window
  [[nodiscard]] int open_window(std::uint64_t window) const;

  /// @return the name of a new window over all of the caller's memory, so that
  ///         offsets in it are the caller's addresses
  [[nodiscard]] std::uint64_t create_window() const;

  /// Maps @p bytes of a process at its address @p remote.
  /// @param handle of all of that process's memory
  /// @param rights PROT_*
  void *map(int handle, const std::byte *remote, std::size_t bytes, int rights) const;

  /// Has what is there of a mapping entered into it.
  void populate(const std::byte *address, std::size_t bytes) const;

private:
  int fd_;
};

} // namespace bench
