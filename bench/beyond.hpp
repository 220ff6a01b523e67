// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Copies from more memory than the cache may hold.

#pragma once

#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

/// @return the cases' names
std::vector<std::string> beyond_names();

/// Counts the selected cases, and adds to @p rows.
void count_beyond(const Selection &selection, Rows &rows);

} // namespace bench
