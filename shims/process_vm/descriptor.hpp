// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The one open file of the device that a program under `cma run` has; see process_vm.cpp
 * for what is promised of it.
 */
#ifndef CMA_PROCESS_VM_DESCRIPTOR_HPP
#define CMA_PROCESS_VM_DESCRIPTOR_HPP

#include <atomic>
#include <cstdint>

constexpr int none = -1; /* there is no usable device */

/* Its number. It never changes, but for none once it is seen to be another file's. */
extern std::atomic<int> device;

/** Before main(): no thread can be there yet to see the low number that it has at first.
 */
void open_device();

/** In a child of fork(2), which has one thread: a new open file takes the inherited one's
 *  place, so that what it holds is the child's own. False, and nothing has changed, if
 *  that cannot be had. */
bool renew_device();

/** Whether it is the device, with all that is needed. */
bool speaks_cma(long fd);

/** CMA_FEATURE_*. */
std::uint64_t features_of_device();

#endif
