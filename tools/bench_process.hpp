// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The processes of a measurement, from within: one owns memory, others read it, each into
 * memory of its own. What they tell the process that started them, and each other.
 */
#ifndef CMA_TOOLS_BENCH_PROCESS_HPP
#define CMA_TOOLS_BENCH_PROCESS_HPP

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include <sys/types.h>

#include "bench_memory.hpp"
#include "bench_way.hpp"

namespace bench {

struct Setup {
  size_t span = 0; /* bytes in each buffer */
  size_t readers = 1;
  /* The owner's, then those of the readers. None: the scheduler decides. */
  std::vector<unsigned> processors = {};
  Pages pages = Pages::as_usual;
  Home home = {}; /* of the owner's memory */
};

/** In memory that all share; the rings lie behind it. */
struct Shared {
  std::atomic<uint32_t> serving{0};             /* the owner polls its rings; a futex */
  alignas(64) std::atomic<uint64_t> arrived{0}; /* readers at the start of a sample */
  Ring *rings = nullptr;                        /* one for each who reads */
};

/** In words, empty if there is none. */
class Problem {
public:
  Problem() = default;
  explicit Problem(const std::exception &failure);

  explicit operator bool() const { return text[0] != '\0'; }
  const char *words() const { return text.data(); }

private:
  std::array<char, 400> text = {};
};

/** What the owner tells of its memory. */
struct Owned {
  pid_t pid;
  char *memory;
  uint64_t window; /* 0: it could make none */
  Problem problem;
};

struct Order {
  size_t kind;
  size_t length;  /* 0: prepare, and no more */
  uint64_t times; /* whole walks */
  uint64_t start; /* when so many readers have arrived, since ever, it begins */
};

struct Answer {
  uint64_t begin, end; /* ns */
  Problem problem;
};

/** Tells report of its memory, and serves its rings when it is told to. */
[[noreturn]] void own(const Setup &setup, Shared &shared, int report);

/** Carries out what comes from orders. number: its own among those who read. */
[[noreturn]] void read(const Setup &setup, const Owned &owned, Shared &shared,
                       size_t number, int orders);

} // namespace bench

#endif
