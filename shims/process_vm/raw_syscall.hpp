// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * System calls without libc: the kernel's own result, a negative errno value
 * after a failure; errno is not touched, nothing is a cancellation point, and
 * no other library's interposer sees them.
 *
 * Where an architecture has no code here, libc's syscall(2) makes the call, and
 * CMA_RAW_SYSCALL is not defined: then syscall(2) itself must not be replaced.
 */
#ifndef CMA_RAW_SYSCALL_HPP
#define CMA_RAW_SYSCALL_HPP

#if defined(__x86_64__) || defined(__aarch64__) || defined(__powerpc64__)
#define CMA_RAW_SYSCALL 1
#else
#include <cerrno>
#include <unistd.h>
#endif

inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0,
                        long e = 0, long f = 0)
{
#if defined(__x86_64__)
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "+a"(number)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return number;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
#elif defined(__powerpc64__)
  register long r0 asm("r0") = number;
  register long r3 asm("r3") = a;
  register long r4 asm("r4") = b;
  register long r5 asm("r5") = c;
  register long r6 asm("r6") = d;
  register long r7 asm("r7") = e;
  register long r8 asm("r8") = f;
  /* A failure sets a bit of cr0, and has the errno value positive. */
  asm volatile("sc\n\t"
               "bns+ 1f\n\t"
               "neg %1, %1\n"
               "1:"
               : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7), "+r"(r8)
               :
               : "r9", "r10", "r11", "r12", "cr0", "cr1", "cr5", "cr6", "cr7", "ctr",
                 "xer", "memory");
  return r3;
#else
  int saved = errno;
  long result = syscall(number, a, b, c, d, e, f);
  if (result == -1) {
    result = -errno;
    errno = saved;
  }
  return result;
#endif
}

/** Whether a result of raw_syscall() is a negative errno value. */
inline bool raw_failed(long result)
{
  return static_cast<unsigned long>(result) >= -4095UL;
}

#endif
