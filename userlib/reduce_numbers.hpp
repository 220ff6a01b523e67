// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What becomes of two elements, for reduce_table.hpp alone. Integers are computed in
// unsigned types of at least the width of int, where everything wraps.
//
// To the compiler a + b and b + a are the same, but of two NaNs x86 takes the first.
// There the instruction is written out, so that the order is the caller's in every loop;
// elsewhere what becomes of NaNs is said in C.
#ifndef CMA_USERLIB_REDUCE_NUMBERS_HPP
#define CMA_USERLIB_REDUCE_NUMBERS_HPP

#include <bit>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__) || defined(__i386__)
#define CMA_X86 1
#endif

namespace cma {
namespace {

template<typename T>
using Wrapping = std::common_type_t<std::make_unsigned_t<T>, unsigned int>;

struct Sum {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};

struct Product {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  }
};

// The comparison is false of a NaN and of zeros: then it is b.
struct Min {
  template<typename T>
  static T of(T a, T b)
  {
    return a < b ? a : b;
  }
};

struct Max {
  template<typename T>
  static T of(T a, T b)
  {
    return a > b ? a : b;
  }
};

struct BitAnd {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>(a & b);
  }
};

struct BitOr {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>(a | b);
  }
};

struct BitXor {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>(a ^ b);
  }
};

struct LogicalAnd {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>((a != 0) & (b != 0));
  }
};

struct LogicalOr {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>((a | b) != 0);
  }
};

struct LogicalXor {
  template<typename T>
  static T of(T a, T b)
  {
    return static_cast<T>((a != 0) != (b != 0));
  }
};

// Of floating-point numbers, in this order.
template<typename Op>
struct Ordered;

#ifdef CMA_X86

#ifdef __AVX__
constexpr std::size_t vector_bytes = 32;
#define CMA_ORDERED(V, name)                                                             \
  static V of(V a, V b)                                                                  \
  {                                                                                      \
    V result;                                                                            \
    asm("v" name " %2, %1, %0" : "=x"(result) : "x"(a), "xm"(b));                        \
    return result;                                                                       \
  }
#else
constexpr std::size_t vector_bytes = 16;
#define CMA_ORDERED(V, name)                                                             \
  static V of(V a, V b)                                                                  \
  {                                                                                      \
    asm(name " %1, %0" : "+x"(a) : "x"(b));                                              \
    return a;                                                                            \
  }
#endif

template<typename T>
struct Lanes {
  typedef T type __attribute__((vector_size(vector_bytes), may_alias));
  typedef T unaligned __attribute__((vector_size(vector_bytes), may_alias, aligned(1)));
};

// For vectors and for single numbers.
template<>
struct Ordered<Sum> {
  CMA_ORDERED(Lanes<float>::type, "addps")
  CMA_ORDERED(Lanes<double>::type, "addpd")
  CMA_ORDERED(float, "addss")
  CMA_ORDERED(double, "addsd")
};

template<>
struct Ordered<Product> {
  CMA_ORDERED(Lanes<float>::type, "mulps")
  CMA_ORDERED(Lanes<double>::type, "mulpd")
  CMA_ORDERED(float, "mulss")
  CMA_ORDERED(double, "mulsd")
};

#undef CMA_ORDERED

#else

template<typename T>
T number_or_nan(T result, T a, T b)
{
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits quiet = Bits{1} << (sizeof(T) == 4 ? 22 : 51);
  constexpr Bits made = sizeof(T) == 4 ? Bits{0xffc00000} : Bits{0xfff8} << 48;
  const Bits first = a != a ? std::bit_cast<Bits>(a) : std::bit_cast<Bits>(b);
  const Bits nan = a != a || b != b ? first | quiet : made;
  return result == result ? result : std::bit_cast<T>(nan);
}

template<>
struct Ordered<Sum> {
  template<typename T>
  static T of(T a, T b)
  {
    return number_or_nan(a + b, a, b);
  }
};

template<>
struct Ordered<Product> {
  template<typename T>
  static T of(T a, T b)
  {
    return number_or_nan(a * b, a, b);
  }
};

#endif

} // namespace
} // namespace cma

#endif
