// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The arithmetic of reductions, by itself: one loop for each operation and type, once
// for any processor and once for those with AVX2 and F16C. cma_reduce.h says what is
// computed; every loop gives the same bits, however its elements are cut into calls.
#ifndef CMA_USERLIB_REDUCE_LOOPS_HPP
#define CMA_USERLIB_REDUCE_LOOPS_HPP

#include <cstddef>
#include <cstdint>

namespace cma {

// into[i] = left[i] op right[i]. Nothing need be aligned; into may be left or right, and
// must not overlap them in any other way.
using Loop = void (*)(void *into, const void *left, const void *right, std::size_t count);

// AVX2 is taken with F16C alone: only a virtual machine could lack that.
enum class Vectors { plain, avx2 };

// What this processor has.
Vectors best_vectors();

// Of a CMA_TYPE_*, in bytes; 0: there is no such type.
constexpr std::size_t size_of_type(std::uint32_t type)
{
  constexpr std::uint8_t sizes[] = {0, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 2, 2};
  return type < sizeof(sizes) ? sizes[type] : 0;
}

// For a CMA_OP_* on a CMA_TYPE_*, or nullptr: there is none.
Loop find_loop(std::uint32_t op, std::uint32_t type, Vectors vectors);
Loop find_best_loop(std::uint32_t op, std::uint32_t type);

// The same for AVX2 and F16C; on x86 only.
Loop find_avx2_loop(std::uint32_t op, std::uint32_t type);

} // namespace cma

#endif
