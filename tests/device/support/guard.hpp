// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Accesses that may end with SIGBUS or SIGSEGV, as the touch of a mapping of a
 * peer's memory does where there is nothing. Any number of threads may be in
 * one. Outside of them the signals end the process, as ever.
 */
#pragma once

#include <cstdint>

namespace cma_test {

/// How an access ended: with no signal, or with which, and at what address.
struct Caught {
  int signal = 0;
  uintptr_t address = 0;
};

Caught run_guarded(void (*access)(const void *closure), const void *closure);

/// Runs an access, which leaves no object behind if it ends early.
template<class Access>
Caught guarded(const Access &access)
{
  return run_guarded(
      [](const void *closure) { (*static_cast<const Access *>(closure))(); }, &access);
}

} // namespace cma_test
