// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What a reduction gives, one element at a time and in so many words; and elements that
// try it: random bits, and among them what is special in each type.
#ifndef CMA_TESTS_UNIT_REDUCE_REFERENCE_HPP
#define CMA_TESTS_UNIT_REDUCE_REFERENCE_HPP

#include "reduce_halves.hpp"
#include <cma_reduce.h>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

namespace reference {

using Bytes = std::vector<std::uint8_t>;

inline bool is_float_type(std::uint32_t type)
{
  return type >= CMA_TYPE_FLOAT;
}

template<typename T>
constexpr bool is_float = std::numeric_limits<T>::is_iec559;

// Calls with each operation and a type that it is defined on.
template<typename Function>
void for_each_op(const Function &function)
{
  for (std::uint32_t op = CMA_OP_SUM; op <= CMA_OP_LXOR; op++)
    for (std::uint32_t type = CMA_TYPE_INT8; type <= CMA_TYPE_BFLOAT16; type++)
      if (op <= CMA_OP_MAX || !is_float_type(type))
        function(op, type);
}

// Calls with an object of the type.
template<typename Function>
auto with_type(std::uint32_t type, const Function &function)
{
  switch (type) {
  case CMA_TYPE_INT8:
    return function(std::int8_t{});
  case CMA_TYPE_INT16:
    return function(std::int16_t{});
  case CMA_TYPE_INT32:
    return function(std::int32_t{});
  case CMA_TYPE_INT64:
    return function(std::int64_t{});
  case CMA_TYPE_UINT8:
    return function(std::uint8_t{});
  case CMA_TYPE_UINT16:
    return function(std::uint16_t{});
  case CMA_TYPE_UINT32:
    return function(std::uint32_t{});
  case CMA_TYPE_UINT64:
    return function(std::uint64_t{});
  case CMA_TYPE_FLOAT:
    return function(float{});
  case CMA_TYPE_DOUBLE:
    return function(double{});
  case CMA_TYPE_FLOAT16:
    return function(Float16{});
  default:
    return function(Bfloat16{});
  }
}

inline std::size_t size_of(std::uint32_t type)
{
  return with_type(type, [](auto zero) { return sizeof(zero); });
}

template<typename T>
using BitsOf =
    std::conditional_t<sizeof(T) == 2, std::uint16_t,
                       std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;

// Where the processor chooses between two NaNs, an emulated one may choose otherwise.
#if defined(__x86_64__) || defined(__i386__)
constexpr bool nans_are_sure = false;
#else
constexpr bool nans_are_sure = true;
#endif

// Sets the bits of a result that is not a number.
template<typename T>
void set_nan(T &result, const T &a, const T &b)
{
  constexpr BitsOf<T> quiet = BitsOf<T>{1} << (std::numeric_limits<T>::digits - 2);
  const T made = -std::numeric_limits<T>::infinity();
  BitsOf<T> bits = 0;
  std::memcpy(&bits, std::isnan(a) ? &a : std::isnan(b) ? &b : &made, sizeof(T));
  bits |= quiet;
  std::memcpy(&result, &bits, sizeof(T));
}

// By reference: to return a float may change its bits (x87).
template<typename T>
void reduce_floats(std::uint32_t op, T &a, const T &b)
{
  if (op == CMA_OP_MIN || op == CMA_OP_MAX) {
    if (!(op == CMA_OP_MIN ? a < b : a > b))
      std::memcpy(&a, &b, sizeof(T));
    return;
  }
  T result = op == CMA_OP_SUM ? a + b : a * b;
  if (std::isnan(result))
    set_nan(result, a, b);
  std::memcpy(&a, &result, sizeof(T));
}

template<typename T>
T reduce_integers(std::uint32_t op, T a, T b)
{
  const auto wide_a = static_cast<unsigned long long>(a);
  const auto wide_b = static_cast<unsigned long long>(b);
  switch (op) {
  case CMA_OP_SUM:
    return static_cast<T>(wide_a + wide_b);
  case CMA_OP_PRODUCT:
    return static_cast<T>(wide_a * wide_b);
  case CMA_OP_MIN:
    return b < a ? b : a;
  case CMA_OP_MAX:
    return b > a ? b : a;
  case CMA_OP_BAND:
    return static_cast<T>(wide_a & wide_b);
  case CMA_OP_BOR:
    return static_cast<T>(wide_a | wide_b);
  case CMA_OP_BXOR:
    return static_cast<T>(wide_a ^ wide_b);
  case CMA_OP_LAND:
    return a != 0 && b != 0 ? 1 : 0;
  case CMA_OP_LOR:
    return a != 0 || b != 0 ? 1 : 0;
  default:
    return (a != 0) != (b != 0) ? 1 : 0;
  }
}

// The first elements of so_far, and of more, which may lie anywhere.
inline void reduce(std::uint32_t op, std::uint32_t type, std::uint8_t *so_far,
                   const std::uint8_t *more, std::size_t count)
{
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    for (std::size_t i = 0; i < count; i++) {
      T a;
      T b;
      std::memcpy(&a, so_far + i * sizeof(T), sizeof(T));
      std::memcpy(&b, more + i * sizeof(T), sizeof(T));
      if constexpr (is_float<T>)
        reduce_floats(op, a, b);
      else
        a = reduce_integers(op, a, b);
      std::memcpy(so_far + i * sizeof(T), &a, sizeof(T));
    }
  });
}

template<typename T>
std::vector<T> special_values()
{
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {
      T(0), T(1), T(2), static_cast<T>(-1), Limits::max(), Limits::lowest()};
  if constexpr (is_float<T>)
    for (const T value : std::initializer_list<T>{
             Limits::infinity(), Limits::quiet_NaN(), Limits::denorm_min(), Limits::min(),
             Limits::epsilon(), T(0), T(3) * Limits::denorm_min()}) {
      values.push_back(value);
      values.push_back(-value);
    }
  return values;
}

// Of any sign and payload, quiet or not.
template<typename T>
T nan_of(std::uint64_t random)
{
  T value = std::numeric_limits<T>::infinity();
  BitsOf<T> bits;
  std::memcpy(&bits, &value, sizeof(T));
  bits |= static_cast<BitsOf<T>>(random) | 1;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template<typename T>
T special_value(std::uint64_t random)
{
  static const auto values = special_values<T>();
  if constexpr (is_float<T>)
    if (random % 4 == 0)
      return nan_of<T>(random);
  return values[random / 4 % values.size()];
}

// Elements of random bits or special values, as it comes.
template<typename Random>
void fill(std::uint32_t type, std::uint8_t *bytes, std::size_t count, Random &random)
{
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    for (std::size_t i = 0; i < count; i++) {
      const std::uint64_t any = random();
      T value;
      std::memcpy(&value, &any, sizeof(T));
      if (random() % 2 == 0)
        value = special_value<T>(any);
      std::memcpy(bytes + i * sizeof(T), &value, sizeof(T));
    }
  });
}

} // namespace reference

#endif
