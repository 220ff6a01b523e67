// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Floating-point numbers of 16 bits, as IEEE 754 defines them by their exponent's bits: 5
// of binary16, 8 of bfloat16. They are computed with in double, and rounded once from
// that: a double holds their products, and of their sums all but what is too small beside
// one of the two to decide anything.
#ifndef CMA_TESTS_UNIT_REDUCE_HALVES_HPP
#define CMA_TESTS_UNIT_REDUCE_HALVES_HPP

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace reference {

template<int exponent_bits>
struct Half {
  std::uint16_t bits; // a trivial type, as float is one

  static constexpr int fraction_bits = 15 - exponent_bits;
  static constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  static constexpr int infinity = ((1 << exponent_bits) - 1) << fraction_bits;

  Half() = default;
  Half(double value)
      : bits(static_cast<std::uint16_t>(nearest(std::fabs(value)) |
                                        (std::signbit(value) ? 0x8000 : 0)))
  {
  }
  static Half of_bits(int number)
  {
    Half half{};
    half.bits = static_cast<std::uint16_t>(number);
    return half;
  }

  operator double() const
  {
    const int exponent = (bits & infinity) >> fraction_bits;
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const int digits = exponent == 0 ? fraction : fraction | 1 << fraction_bits;
    double value = std::ldexp(digits, std::max(exponent, 1) - bias - fraction_bits);
    if ((bits & infinity) == infinity)
      value = fraction == 0 ? HUGE_VAL : std::nan("");
    return (bits & 0x8000) != 0 ? -value : value;
  }

  Half operator-() const { return of_bits(bits ^ 0x8000); }

  // Of what is not negative.
  static int nearest(double value)
  {
    if (std::isnan(value))
      return infinity | 1 << (fraction_bits - 1);
    if (value >= std::ldexp(1, bias + 1))
      return infinity;
    const int exponent = value == 0 ? 1 - bias : std::max(std::ilogb(value), 1 - bias);
    const double digits = std::nearbyint(std::ldexp(value, fraction_bits - exponent));
    return ((exponent + bias - 1) << fraction_bits) + static_cast<int>(digits);
  }
};

using Float16 = Half<5>;
using Bfloat16 = Half<8>;

} // namespace reference

template<int exponent_bits>
struct std::numeric_limits<reference::Half<exponent_bits>> {
  using Half = reference::Half<exponent_bits>;
  static constexpr bool is_specialized = true;
  static constexpr bool is_iec559 = true;
  static constexpr int digits = Half::fraction_bits + 1;
  static Half min() { return Half::of_bits(1 << Half::fraction_bits); }
  static Half max() { return Half::of_bits(Half::infinity - 1); }
  static Half lowest() { return -max(); }
  static Half epsilon() { return std::ldexp(1, -Half::fraction_bits); }
  static Half denorm_min() { return Half::of_bits(1); }
  static Half infinity() { return Half::of_bits(Half::infinity); }
  static Half quiet_NaN() { return std::nan(""); }
};

#endif
