// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The loops of reductions, for the processor that the file which includes this one is
// compiled for; a namespace without a name keeps one's code from standing in for the
// other's. The compiler makes vector code of them (-O3). Elements of a loop do not depend
// on each other, and it is told so: into may be left or right, element for element.
#ifndef CMA_USERLIB_REDUCE_TABLE_HPP
#define CMA_USERLIB_REDUCE_TABLE_HPP

#include "reduce_loops.hpp"
#include "reduce_numbers.hpp"
#include <cma_reduce.h>

#ifdef __clang__
#define CMA_UNROLLED _Pragma("unroll 4")
#define CMA_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CMA_UNROLLED _Pragma("GCC unroll 4")
#define CMA_INDEPENDENT _Pragma("GCC ivdep") CMA_UNROLLED
#endif

namespace cma {
namespace {

template<typename T>
struct Unaligned {
  typedef T type __attribute__((may_alias, aligned(1)));
};

template<typename Op, typename T>
void each(void *into, const void *left, const void *right, std::size_t count)
{
  using Element = typename Unaligned<T>::type;
  auto *result = static_cast<Element *>(into);
  const auto *a = static_cast<const Element *>(left);
  const auto *b = static_cast<const Element *>(right);
  CMA_INDEPENDENT
  for (std::size_t i = 0; i < count; i++)
    result[i] = Op::template of<T>(a[i], b[i]);
}

#ifdef CMA_X86

// Rounds to the nearest, knows denormals, raises nothing; in the end as it was before.
class DefaultMode {
public:
  DefaultMode() : before_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(0x1f80); }
  DefaultMode(const DefaultMode &) = delete;
  DefaultMode &operator=(const DefaultMode &) = delete;
  ~DefaultMode() { __builtin_ia32_ldmxcsr(before_); }

private:
  unsigned int before_;
};

// The compiler makes no vectors of what is written in assembly.
template<typename Op, typename T>
void each_ordered(void *into, const void *left, const void *right, std::size_t count)
{
  using Element = typename Unaligned<T>::type;
  using Vector = typename Lanes<T>::unaligned;
  auto *result = static_cast<Element *>(into);
  const auto *a = static_cast<const Element *>(left);
  const auto *b = static_cast<const Element *>(right);
  constexpr std::size_t lanes = vector_bytes / sizeof(T);
  std::size_t i = 0;
  CMA_UNROLLED
  for (; i + lanes <= count; i += lanes)
    *reinterpret_cast<Vector *>(result + i) =
        Ordered<Op>::of(*reinterpret_cast<const Vector *>(a + i),
                        *reinterpret_cast<const Vector *>(b + i));
  for (; i < count; i++)
    result[i] = Ordered<Op>::of(T{a[i]}, T{b[i]});
}

#else

class DefaultMode {};

template<typename Op, typename T>
void each_ordered(void *into, const void *left, const void *right, std::size_t count)
{
  each<Ordered<Op>, T>(into, left, right, count);
}

#endif

template<typename Op, typename T>
void run(void *into, const void *left, const void *right, std::size_t count)
{
  if constexpr (std::is_floating_point_v<T>) {
    [[maybe_unused]] const DefaultMode mode;
    if constexpr (std::is_same_v<Op, Sum> || std::is_same_v<Op, Product>)
      each_ordered<Op, T>(into, left, right, count);
    else
      each<Op, T>(into, left, right, count);
  } else {
    each<Op, T>(into, left, right, count);
  }
}

template<typename T>
Loop of_integers(std::uint32_t op)
{
  using Bits = std::make_unsigned_t<T>; // the same for both but to compare
  switch (op) {
  case CMA_OP_SUM:
    return run<Sum, Bits>;
  case CMA_OP_PRODUCT:
    return run<Product, Bits>;
  case CMA_OP_MIN:
    return run<Min, T>;
  case CMA_OP_MAX:
    return run<Max, T>;
  case CMA_OP_BAND:
    return run<BitAnd, Bits>;
  case CMA_OP_BOR:
    return run<BitOr, Bits>;
  case CMA_OP_BXOR:
    return run<BitXor, Bits>;
  case CMA_OP_LAND:
    return run<LogicalAnd, Bits>;
  case CMA_OP_LOR:
    return run<LogicalOr, Bits>;
  case CMA_OP_LXOR:
    return run<LogicalXor, Bits>;
  default:
    return nullptr;
  }
}

template<typename T>
Loop of_floats(std::uint32_t op)
{
  switch (op) {
  case CMA_OP_SUM:
    return run<Sum, T>;
  case CMA_OP_PRODUCT:
    return run<Product, T>;
  case CMA_OP_MIN:
    return run<Min, T>;
  case CMA_OP_MAX:
    return run<Max, T>;
  default:
    return nullptr;
  }
}

Loop find(std::uint32_t op, std::uint32_t type)
{
  switch (type) {
  case CMA_TYPE_INT8:
    return of_integers<std::int8_t>(op);
  case CMA_TYPE_INT16:
    return of_integers<std::int16_t>(op);
  case CMA_TYPE_INT32:
    return of_integers<std::int32_t>(op);
  case CMA_TYPE_INT64:
    return of_integers<std::int64_t>(op);
  case CMA_TYPE_UINT8:
    return of_integers<std::uint8_t>(op);
  case CMA_TYPE_UINT16:
    return of_integers<std::uint16_t>(op);
  case CMA_TYPE_UINT32:
    return of_integers<std::uint32_t>(op);
  case CMA_TYPE_UINT64:
    return of_integers<std::uint64_t>(op);
  case CMA_TYPE_FLOAT:
    return of_floats<float>(op);
  case CMA_TYPE_DOUBLE:
    return of_floats<double>(op);
  default:
    return nullptr;
  }
}

} // namespace
} // namespace cma

#endif
