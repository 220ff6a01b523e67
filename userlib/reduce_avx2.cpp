// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The loops for processors with AVX2 and F16C, compiled with -mavx2 -mf16c and for x86
// alone.
#include "reduce_table.hpp"

namespace cma {

Loop find_avx2_loop(std::uint32_t op, std::uint32_t type)
{
  return find(op, type);
}

} // namespace cma
