// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// One small copy, in every form in which a program can ask for it: by the functions
// of libcma, and by a system call that cma run has answered.

#pragma once

#include "measure.hpp"
#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

std::vector<std::string> library_names();
void count_library(const Selection &selection, Meter &meter, Rows &rows);

} // namespace bench
