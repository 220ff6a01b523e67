// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The counter of the instruction-count model, and work of a known number of instructions.
// QEMU lets a nanosecond pass with each instruction; the processor's counter of time
// counts nanoseconds (x86-64's stamps, arm64's virtual count, which tests/vm/run sets).

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

namespace bench {

#ifdef __x86_64__

inline std::uint64_t instructions()
{
  return __rdtsc();
}

/// Two instructions a round.
inline void count_down(std::uint64_t rounds)
{
  asm volatile("1: dec %0\n\tjnz 1b" : "+r"(rounds));
}

/// What a round of count_up() takes.
constexpr std::uint64_t kRound = 2;

/// For ever.
inline void count_up(volatile std::uint64_t &rounds)
{
  asm volatile("1: incq %0\n\tjmp 1b" : "+m"(rounds));
}

/// As a kernel's copy is counted: an instruction for 8 bytes.
inline void copy_words(void *to, const void *from, std::size_t bytes)
{
  std::size_t words = bytes / 8;
  asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
  std::size_t rest = bytes % 8;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
}

#else

inline std::uint64_t instructions()
{
  std::uint64_t count = 0;
  asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count) : : "memory");
  return count;
}

inline void count_down(std::uint64_t rounds)
{
  asm volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r"(rounds) : : "cc");
}

constexpr std::uint64_t kRound = 3;

inline void count_up(volatile std::uint64_t &rounds)
{
  std::uint64_t count = rounds;
  asm volatile("1: add %0, %0, #1\n\tstr %0, %1\n\tb 1b" : "+r"(count), "=m"(rounds));
}

/// The C library's, which has no such instruction either.
inline void copy_words(void *to, const void *from, std::size_t bytes)
{
  std::memcpy(to, from, bytes);
}

#endif

} // namespace bench
