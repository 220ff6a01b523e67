// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What is mapped where in this process, as /proc tells it: who detaches must not unmap
 * what took the place of an attachment that the program unmapped itself.
 */
#ifndef CMA_SHIMS_XPMEM_MAPPINGS_HPP
#define CMA_SHIMS_XPMEM_MAPPINGS_HPP

#include <cstdio>
#include <vector>

#include "device.hpp"

namespace xpmem {

/** Whether nothing at all is mapped there. */
bool is_unmapped(uintptr_t address);

/** The parts of a range that are mappings of the device. All of it if /proc cannot
 *  tell. */
std::vector<Range> mappings_of_device(Range range);

/** As above, from a text in the format of /proc/PID/maps; see proc(5). */
std::vector<Range> mappings_of_device(Range range, FILE *maps);

} // namespace xpmem

#endif
