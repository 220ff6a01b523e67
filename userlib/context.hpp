// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What is behind struct cma_context. It does not change once it is open, but for
// the table of handles, so that any thread may use it without a lock.
#ifndef CMA_USERLIB_CONTEXT_HPP
#define CMA_USERLIB_CONTEXT_HPP

#include "device.hpp"
#include "fork_guard.hpp"
#include "syscalls.hpp"

struct cma_context {
  cma::ForkGuard guard;
  enum cma_backend backend = CMA_BACKEND_NONE;
  int device_error = 0; // why the device is not used
  cma::Device device;
  cma::Syscalls syscalls;
};

#endif
