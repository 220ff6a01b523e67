// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The loops for any processor, and which are taken.
#include "reduce_table.hpp"

// The x87 would round twice.
#if defined(__i386__) && !defined(__SSE2_MATH__)
#error "this file needs -msse2 -mfpmath=sse"
#endif

namespace cma {

Vectors best_vectors()
{
#ifdef CMA_X86
  if (__builtin_cpu_supports("avx2"))
    return Vectors::avx2;
#endif
  return Vectors::plain;
}

Loop find_loop(std::uint32_t op, std::uint32_t type, Vectors vectors)
{
#ifdef CMA_X86
  if (vectors == Vectors::avx2)
    return find_avx2_loop(op, type);
#endif
  return vectors == Vectors::plain ? find(op, type) : nullptr;
}

Loop find_best_loop(std::uint32_t op, std::uint32_t type)
{
  return find_loop(op, type, best_vectors());
}

} // namespace cma
