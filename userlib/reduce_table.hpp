// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The loops of reductions, for the processor that the file which includes this one is
// compiled for; a namespace without a name keeps one's code from standing in for the
// other's. The compiler makes vector code of them (-O3). Elements of a loop do not depend
// on each other, and it is told so: into may be left or right, element for element.
#ifndef CMA_USERLIB_REDUCE_TABLE_HPP
#define CMA_USERLIB_REDUCE_TABLE_HPP

#include "reduce_halves.hpp"
#include "reduce_loops.hpp"
#include "reduce_numbers.hpp"
#include <algorithm>
#include <cma_reduce.h>
#include <iterator>

#ifdef __clang__
#define CMA_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CMA_INDEPENDENT _Pragma("GCC ivdep") _Pragma("GCC unroll 4")
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
  constexpr std::size_t at_once = 4 * lanes;
  const auto vector = [&](std::size_t i) {
    *reinterpret_cast<Vector *>(result + i) =
        Ordered<Op>::of(*reinterpret_cast<const Vector *>(a + i),
                        *reinterpret_cast<const Vector *>(b + i));
  };
  std::size_t i = 0;
  for (; i + at_once <= count; i += at_once)
    for (std::size_t lane = 0; lane < at_once; lane += lanes)
      vector(i + lane);
  for (; i + lanes <= count; i += lanes)
    vector(i);
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

// A few at a time, as floats between.
template<typename Op, typename Half>
void run_halves(void *into, const void *left, const void *right, std::size_t count)
{
  constexpr std::size_t at_once = 256;
  alignas(64) float so_far[at_once];
  alignas(64) float more[at_once];
  auto *result = static_cast<HalfBits *>(into);
  const auto *a = static_cast<const HalfBits *>(left);
  const auto *b = static_cast<const HalfBits *>(right);
  [[maybe_unused]] const DefaultMode mode;
  for (std::size_t i = 0; i < count; i += at_once) {
    const std::size_t some = std::min(at_once, count - i);
    widen<Half>(so_far, a + i, some);
    widen<Half>(more, b + i, some);
    each_ordered<Op, float>(so_far, so_far, more, some);
    narrow<Half>(result + i, so_far, some);
  }
}

// In the order of the operations' numbers, which begin with 1.
constexpr std::size_t ops = CMA_OP_LXOR + 1;
static_assert(CMA_OP_SUM == 1 && CMA_OP_MAX == 4 && CMA_OP_LXOR == 10);

constexpr Loop none[ops] = {};

// Signed and unsigned ones differ in comparisons alone.
template<typename T, typename Bits = std::make_unsigned_t<T>>
constexpr Loop of_integers[ops] = {nullptr,
                                   run<Sum, Bits>,
                                   run<Product, Bits>,
                                   run<Min, T>,
                                   run<Max, T>,
                                   run<BitAnd, Bits>,
                                   run<BitOr, Bits>,
                                   run<BitXor, Bits>,
                                   run<LogicalAnd, Bits>,
                                   run<LogicalOr, Bits>,
                                   run<LogicalXor, Bits>};

template<typename T>
constexpr Loop of_floats[ops] = {nullptr, run<Sum, T>, run<Product, T>, run<Min, T>,
                                 run<Max, T>};

template<typename Half>
constexpr Loop of_halves[ops] = {
    nullptr, run_halves<Sum, Half>, run_halves<Product, Half>,
    each<MinOf<Half>, std::uint16_t>, each<MaxOf<Half>, std::uint16_t>};

// In the order of the types' numbers.
constexpr const Loop *of_types[] = {none,
                                    of_integers<std::int8_t>,
                                    of_integers<std::int16_t>,
                                    of_integers<std::int32_t>,
                                    of_integers<std::int64_t>,
                                    of_integers<std::uint8_t>,
                                    of_integers<std::uint16_t>,
                                    of_integers<std::uint32_t>,
                                    of_integers<std::uint64_t>,
                                    of_floats<float>,
                                    of_floats<double>,
                                    of_halves<Float16>,
                                    of_halves<Bfloat16>};
static_assert(CMA_TYPE_INT8 == 1 && CMA_TYPE_UINT8 == 5 && CMA_TYPE_FLOAT == 9 &&
              CMA_TYPE_FLOAT16 == 11 && std::size(of_types) == CMA_TYPE_BFLOAT16 + 1);

Loop find(std::uint32_t op, std::uint32_t type)
{
  return op < ops && type < std::size(of_types) ? of_types[type][op] : nullptr;
}

} // namespace
} // namespace cma

#endif
