// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A word at one address in every process that was forked from the test, of which each
 * has its own: who is copied from shows by what was read.
 */
#pragma once

#include "twin.hpp"

namespace cma_test {

inline volatile uint64_t word = 7;

/// What a process's word is, asked for by that route, with further CMA_COPY_*.
Outcome read_word(const Device &device, Route route, const Target &target,
                  uint32_t flags = 0);
/// The same by pid.
Outcome read_word(const Device &device, pid_t pid, uint32_t flags = 0);

} // namespace cma_test
