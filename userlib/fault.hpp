// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Where a copy stopped, as both backends tell it.
#ifndef CMA_USERLIB_FAULT_HPP
#define CMA_USERLIB_FAULT_HPP

#include <cma.h>
#include <cstdint>

namespace cma {

struct Fault {
  enum cma_side side = CMA_SIDE_NONE;
  std::uint64_t address = 0;
};

inline std::uint64_t to_u64(const void *pointer)
{
  return reinterpret_cast<std::uintptr_t>(pointer);
}

} // namespace cma

#endif
