// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Which of the kernel's rules refuses access to a peer.
#ifndef CMA_USERLIB_REFUSAL_HPP
#define CMA_USERLIB_REFUSAL_HPP

#include "text.hpp"
#include <cma.h>

namespace cma {

// The pid of a peer by pid or pidfd; 0 or less where it has none or is a handle.
pid_t pid_of(cma_peer peer);

// Says why access to the peer is EPERM, and what would allow it.
void explain_refusal(Text &text, cma_peer peer, enum cma_backend backend);

} // namespace cma

#endif
