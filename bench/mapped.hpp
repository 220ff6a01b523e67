// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Memory of a peer that is mapped in place of copied: what the first touch of
// its pages costs, and a mechanism that copies out of a mapping.

#pragma once

#include "measure.hpp"
#include "mechanism.hpp"
#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

/// Every page of fresh mappings touched once.
std::vector<std::string> touch_names();
void count_touches(const Selection &selection, Meter &meter, Rows &rows);

/// Copies out of, or into, a mapping of the peer's segments, with memcpy's own
/// instructions. For a peer that is known.
Mechanism mapping();

} // namespace bench
