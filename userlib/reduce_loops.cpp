// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The loops for any processor, and which are taken.
#include "reduce_table.hpp"

#ifdef CMA_X86
#include <cpuid.h>
#endif

// The x87 would round twice.
#if defined(__i386__) && !defined(__SSE2_MATH__)
#error "this file needs -msse2 -mfpmath=sse"
#endif

namespace cma {

#ifdef CMA_X86
namespace {

// The compiler's own __builtin_cpu_supports() need not know it: clang 14's does not.
bool ask_for_f16c()
{
  unsigned int unused[3];
  unsigned int features = 0;
  return __get_cpuid(1, &unused[0], &unused[1], &features, &unused[2]) != 0 &&
         (features & bit_F16C) != 0;
}

// Asked once: in a virtual machine that takes long.
const bool has_f16c = ask_for_f16c();

} // namespace
#endif

Vectors best_vectors()
{
#ifdef CMA_X86
  if (__builtin_cpu_supports("avx2") && has_f16c)
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
