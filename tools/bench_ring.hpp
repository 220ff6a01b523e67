// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What is done where no process may reach into another: the owner copies its memory into
 * shared memory, the reader copies it out, both at once, piece by piece through a ring,
 * as MPI libraries do. Both poll. Each counter has one writer.
 */
#ifndef CMA_TOOLS_BENCH_RING_HPP
#define CMA_TOOLS_BENCH_RING_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <sched.h>
#include <sys/types.h>

namespace bench {

/** Polls; should the other side want the processor that this one is on, it gets it. */
template<typename Condition>
void await(Condition condition)
{
  constexpr int spins = 2000;
  while (!condition()) {
    for (int i = 0; i < spins && !condition(); i++) {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
    if (!condition())
      sched_yield();
  }
}

/** Lies in shared memory, between the owner and one who reads. */
struct Ring {
  static constexpr size_t slots = 8;
  static constexpr size_t slot_bytes = 32 << 10; /* Open MPI's, for shared memory */

  alignas(64) std::atomic<uint64_t> orders{0};
  const char *from = nullptr; /* of the latest order; an address of the owner's */
  size_t length = 0;
  alignas(64) std::atomic<uint64_t> filled{0}; /* slots, since ever */
  alignas(64) std::atomic<uint64_t> emptied{0};
  alignas(4096) char data[slots][slot_bytes];
};

/** The owner's side of a ring. */
class Sender {
public:
  explicit Sender(Ring &ring) : ring{&ring} {}

  /** Fill one slot, if one is wanted and empty. */
  void step();

private:
  Ring *ring;
  uint64_t begun = 0; /* orders */
  const char *next = nullptr;
  size_t left = 0;
};

/** The reader's side: order these bytes of the owner's, and take them. */
ssize_t receive(Ring &ring, char *to, const char *from, size_t length);

} // namespace bench

#endif
