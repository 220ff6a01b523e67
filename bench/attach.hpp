// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What each of libxpmem's functions takes, all that a program pays: the library's own
// instructions and the device's.

#pragma once

#include "measure.hpp"
#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

std::vector<std::string> attach_names();
void count_attaching(const Selection &selection, Meter &meter, Rows &rows);

} // namespace bench
