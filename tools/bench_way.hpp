// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The ways to move bytes from the memory of one process, the owner, to that of another
 * that cma bench compares. All that can be prepared is prepared once (the device opened,
 * a handle, a mapping), so that a copy is what a program pays for each message.
 */
#ifndef CMA_TOOLS_BENCH_WAY_HPP
#define CMA_TOOLS_BENCH_WAY_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <sys/types.h>

#include "bench_ring.hpp"

namespace bench {

/** What one who reads has to do with. */
struct Ground {
  pid_t owner;
  char *remote;     /* the owner's memory, at the owner's address */
  size_t span;      /* bytes there, and in each buffer here */
  uint64_t window;  /* over remote; 0: the owner could make none */
  Ring *ring;       /* to the owner */
  const char *here; /* the same bytes in the reader's own memory */
};

/** The copies of one sample: each of length bytes, one behind the other in the span, and
 *  from its beginning again. None shares a cache line with another. */
class Walk {
public:
  Walk(size_t length, size_t span)
      : length{length}, span{span}, stride{(length + 63) / 64 * 64}
  {
  }

  /** Until the walk comes to its beginning again. */
  uint64_t steps() const { return (span - length) / stride + 1; }

  /** Whether this is not the second time. */
  bool once() const { return !again; }

  void step()
  {
    offset += stride;
    if (offset + length > span) {
      offset = 0;
      again = true;
    }
  }

  size_t offset = 0;

private:
  size_t length, span, stride;
  bool again = false;
};

class Way {
public:
  Way() = default;
  Way(const Way &) = delete;
  Way &operator=(const Way &) = delete;
  virtual ~Way() = default;

  /** Walk through the span at to. Throws std::runtime_error at a copy that fell short. */
  virtual void repeat(char *to, size_t length, size_t span, uint64_t times) = 0;
};

struct Kind {
  std::string_view name;  /* in options and JSON */
  std::string_view title; /* in tables and charts */
  bool device;            /* it needs /dev/cma */
  bool ring;              /* the owner takes part */
  /** Throws std::exception, saying why, where it cannot be had. */
  std::unique_ptr<Way> (*make)(const Ground &ground);
};

/** In the order that they are shown in; the last is memcpy, which none can surpass. */
std::span<const Kind> kinds();

} // namespace bench

#endif
