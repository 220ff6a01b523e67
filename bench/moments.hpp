// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Copies by pid at the moments at which the module does not know what it needs: at the
// first contact with a process, after 150 ms in which nobody copied, and after the peer
// changed its credentials. What counts is what a program pays for a call of libcma, or
// of process_vm_readv under cma run.

#pragma once

#include "measure.hpp"
#include "rows.hpp"

namespace bench {

std::vector<std::string> moment_names();

void count_moments(const Selection &selection, Meter &meter, Rows &rows);

} // namespace bench
