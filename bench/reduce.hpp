// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Reductions: sums of doubles of one peer and of several.

#pragma once

#include "measure.hpp"
#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

std::vector<std::string> reduce_names();
void count_reductions(const Selection &selection, Meter &meter, Rows &rows);

} // namespace bench
