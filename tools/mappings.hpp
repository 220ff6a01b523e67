// SPDX-License-Identifier: MIT OR BSD-2-Clause
/* What lies around an address of a process, in words, for messages. */
#ifndef CMA_TOOLS_MAPPINGS_HPP
#define CMA_TOOLS_MAPPINGS_HPP

#include <cstdint>
#include <string>

#include <sys/types.h>

/** Why this address could not be read (or written), as /proc/PID/maps has it. */
std::string describe_address(pid_t pid, uint64_t address, bool write);

#endif
