// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Floating-point numbers of 16 bits, for reduce_table.hpp alone: what their bits are as a
// float's, and back. A sum or product is rounded to float and then to 16 bits, and is
// what one rounding would give:
//
// - A float has twice as many digits (24; of 11, or 8) and two more, with which a second
//   rounding does no harm to sums and products.
// - Near zero it has fewer. No sum is inexact there, and no product of binary16 so
//   small. A product of bfloat16 has 16 digits; that rounding makes a tie of it takes 17,
//   or, from below, 16 ones, but 0xffff is 255 times 257, and 257 is prime.
//
// The NaN of two is the one that the loops for float take: a half's fraction is the upper
// end of a float's. Minima and maxima are found in integers: no bit of a NaN may change.
#ifndef CMA_USERLIB_REDUCE_HALVES_HPP
#define CMA_USERLIB_REDUCE_HALVES_HPP

#include <bit>
#include <cstddef>
#include <cstdint>

#ifdef __F16C__
#include <immintrin.h>
#endif

namespace cma {
namespace {

// By masks: where one of two was computed as a float, the compiler makes no vector code
// of a condition.
inline std::uint32_t select(bool first, std::uint32_t a, std::uint32_t b)
{
  return b ^ ((a ^ b) & (0U - std::uint32_t{first}));
}

// IEEE 754 binary16.
struct Float16 {
  static constexpr std::uint16_t infinity = 0x7c00;

  static std::uint32_t widen(std::uint16_t half)
  {
    const std::uint32_t magnitude = half & 0x7fffU;
    const std::uint32_t digits = magnitude << 13;
    const float multiple = static_cast<float>(static_cast<int>(magnitude));
    const auto denormal = std::bit_cast<std::uint32_t>(multiple * 0x1p-24F);
    const std::uint32_t normal = digits + ((127U - 15) << 23);
    const std::uint32_t special = digits + ((255U - 31) << 23);
    return (half & 0x8000U) << 16 | select(magnitude < 0x400, denormal,
                                           select(magnitude < infinity, normal, special));
  }

  // Denormals are multiples of the last digit of 0.5; from 65520 on numbers are infinite.
  static std::uint16_t narrow(std::uint32_t bits)
  {
    constexpr auto half = std::bit_cast<std::uint32_t>(0.5F);
    constexpr auto least_normal = std::bit_cast<std::uint32_t>(0x1p-14F);
    constexpr auto too_large = std::bit_cast<std::uint32_t>(65520.0F);
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    const float rounded = std::bit_cast<float>(magnitude) + 0.5F;
    const std::uint32_t denormal = std::bit_cast<std::uint32_t>(rounded) - half;
    const std::uint32_t odd = magnitude >> 13 & 1;
    const std::uint32_t normal = (magnitude - ((127U - 15) << 23) + 0xfff + odd) >> 13;
    const std::uint32_t nan = magnitude >> 13 & 0x7fffU;
    const std::uint32_t beyond = select(magnitude <= 0x7f800000, infinity, nan);
    return static_cast<std::uint16_t>(
        (bits >> 16 & 0x8000U) | select(magnitude < least_normal, denormal,
                                        select(magnitude < too_large, normal, beyond)));
  }
};

// The upper half of a float.
struct Bfloat16 {
  static constexpr std::uint16_t infinity = 0x7f80;

  static std::uint32_t widen(std::uint16_t half) { return std::uint32_t{half} << 16; }

  // A NaN that was a half's stays: its lower half is 0.
  static std::uint16_t narrow(std::uint32_t bits)
  {
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
};

// Halves as they lie in memory.
typedef std::uint16_t HalfBits __attribute__((may_alias, aligned(1)));

template<typename Half>
void widen(float *__restrict to, const HalfBits *__restrict from, std::size_t count)
{
  for (std::size_t i = 0; i < count; i++)
    to[i] = std::bit_cast<float>(Half::widen(from[i]));
}

template<typename Half>
void narrow(HalfBits *__restrict to, const float *__restrict from, std::size_t count)
{
  for (std::size_t i = 0; i < count; i++)
    to[i] = Half::narrow(std::bit_cast<std::uint32_t>(from[i]));
}

#ifdef __F16C__

template<>
void widen<Float16>(float *__restrict to, const HalfBits *__restrict from,
                    std::size_t count)
{
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(
                                 reinterpret_cast<const __m128i *>(from + i))));
  for (; i < count; i++)
    to[i] = std::bit_cast<float>(Float16::widen(from[i]));
}

template<>
void narrow<Float16>(HalfBits *__restrict to, const float *__restrict from,
                     std::size_t count)
{
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(
        reinterpret_cast<__m128i *>(to + i),
        _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < count; i++)
    to[i] = Float16::narrow(std::bit_cast<std::uint32_t>(from[i]));
}

#endif

// Whether a < b: the zeros are equal, and nothing is less than a NaN, nor it than others.
template<typename Half>
bool is_less(std::uint16_t a, std::uint16_t b)
{
  const auto place = [](std::uint16_t half) {
    const int magnitude = half & 0x7fff;
    return static_cast<std::int16_t>(half >> 15 != 0 ? -magnitude : magnitude);
  };
  const auto is_number = [](std::uint16_t half) {
    return (half & 0x7fff) <= Half::infinity;
  };
  return is_number(a) && is_number(b) && place(a) < place(b);
}

template<typename Half>
struct MinOf {
  template<typename T>
  static T of(T a, T b)
  {
    return is_less<Half>(a, b) ? a : b;
  }
};

template<typename Half>
struct MaxOf {
  template<typename T>
  static T of(T a, T b)
  {
    return is_less<Half>(b, a) ? a : b;
  }
};

} // namespace
} // namespace cma

#endif
