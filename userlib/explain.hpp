// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The answers of cma_explain_call() that are the same on every system.
#ifndef CMA_USERLIB_EXPLAIN_HPP
#define CMA_USERLIB_EXPLAIN_HPP

#include "text.hpp"
#include <cma.h>

namespace cma {

// Adds what the table has for this call and error; nothing where it has none.
void add_words(Text &text, enum cma_call call, cma_peer peer, int error);

} // namespace cma

#endif
