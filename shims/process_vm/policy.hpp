// SPDX-License-Identifier: MIT OR BSD-2-Clause
/* What `cma run --policy` has this process do; see policy.cpp. */
#ifndef CMA_PROCESS_VM_POLICY_HPP
#define CMA_PROCESS_VM_POLICY_HPP

/* Whether a peer is asked for by what it publishes, before it is by the rules of ptrace.
 */
extern bool by_windows;

/** Before main(), once the device is open, if there is one. */
void obey_policy();

#endif
