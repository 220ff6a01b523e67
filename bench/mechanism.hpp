// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The ways to move bytes that are compared, one behind the other: each turns
// Transfers into Calls, and only a Call is counted. All that can be prepared
// (segment lists, ioctl structures, an open device) is prepared outside of it.

#pragma once

#include "memory.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

/// What is to be moved: between segments of the caller's memory and of pid's.
struct Transfer {
  bool write; ///< local to remote; else remote to local
  pid_t pid;
  std::uint64_t window; ///< over all of pid's memory; 0: there is none
  std::vector<iovec> local;
  std::vector<iovec> remote;
  bool as_list = false; ///< hand even a single segment over in a list
};

using Transfers = std::vector<Transfer>;

/// Moves the bytes once.
/// @return how many were moved, or -1 with errno
using Call = std::function<ssize_t()>;

/// What a mechanism may already know of the peer when it is called.
enum class Contact {
  kKnown,  ///< it has copied from this peer before
  kFirst,  ///< it has not: a new open file, a handle opened within the Call
  kStrict, ///< it has, but is told to have the kernel judge again
};

struct Mechanism {
  std::string name;
  bool wants_window = false; ///< moves nothing where the peer has no window
  /// One Call for each transfer, all through one open file. The transfers must
  /// outlive the Calls.
  std::function<std::vector<Call>(const Transfers &, Contact)> prepare;
};

/// A mechanism that needs no device, and that every call is the same to.
Mechanism plain(std::string name, std::function<Call(const Transfer &)> make);

/// Copies the segments one by one, as if both sides were the caller's own: eight
/// bytes an instruction, as the kernels' own copy does in the model (the C
/// library's would take 32 and count as four times faster).
/// @return how many bytes were moved
ssize_t copy_segments(const Transfer &transfer);

/// @return process_vm, cma_pid, cma_handle, cma_window, memcpy
std::vector<Mechanism> mechanisms();

} // namespace bench
