// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The system-call backend: process_vm_readv(2) and process_vm_writev(2) made to
// give what the device gives.
//
// The system calls know only pids. A pidfd's pid is looked up for each copy, and
// again after it: a number that was still the pidfd's then was so all along. A
// handle keeps /proc/PID/mem open, which belongs to an address space and not to a
// number, and is asked before and after each copy. (An address space that processes
// share by CLONE_VM lives on when one of them calls execve(2); here a handle on
// that one does not end.) Access is judged by the kernel at every copy.
#ifndef CMA_USERLIB_SYSCALLS_HPP
#define CMA_USERLIB_SYSCALLS_HPP

#include "fault.hpp"
#include "handles.hpp"
#include <cma.h>

namespace cma {

class Syscalls {
public:
  // Returns 0, -ENOSYS (this kernel has no such calls), or -ENOMEM.
  int open();

  ssize_t copy(const cma_request &request, Fault *fault) const;
  int handle_open(cma_peer peer) const;
  int handle_close(int handle) const { return handles_.close(handle); }
  void query(cma_limits &limits) const;

private:
  ssize_t copy_pidfd(const cma_request &request, Fault *fault) const;
  ssize_t copy_handle(const cma_request &request, Fault *fault) const;

  Handles handles_;
  bool procfs_ = false; // pidfds and handles need it
};

} // namespace cma

#endif
