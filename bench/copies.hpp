// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The copies that are counted: reads and writes by all mechanisms.

#pragma once

#include "measure.hpp"
#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

std::vector<std::string> copy_names();
void count_copies(const Selection &selection, Meter &meter, Rows &rows);

} // namespace bench
