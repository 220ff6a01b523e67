// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What it takes to make very many attachments (mappings of a page each, all
// touched), and to be rid of them: the same for each, however many there are.

#pragma once

#include "rows.hpp"

#include <string>
#include <vector>

namespace bench {

std::vector<std::string> release_names();
void count_releases(const Selection &selection, Rows &rows);

} // namespace bench
