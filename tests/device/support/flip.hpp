// SPDX-License-Identifier: MIT OR BSD-2-Clause
// What flip.cpp and the test that watches it agree on.
#pragma once

#include <cstdint>

namespace cma_test {

constexpr uintptr_t flip_address = 0x20000000;
constexpr uint64_t flip_public = 0x636c696275502121;
constexpr uint64_t flip_secret = 0x7465726365532121;

} // namespace cma_test
