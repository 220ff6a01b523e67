// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Memory that is copied from or to: touched, on pages of one kind, and where it was
 * wanted. Its contents are the same in every process, and no two parts of it are alike.
 */
#ifndef CMA_TOOLS_BENCH_MEMORY_HPP
#define CMA_TOOLS_BENCH_MEMORY_HPP

#include <cstddef>
#include <optional>

#include "bench_topology.hpp"

namespace bench {

enum class Pages {
  as_usual, /* what malloc(3) would get */
  small,    /* no huge ones */
  huge,     /* transparent huge pages, as far as the kernel has them */
};

/** Where memory is wanted; without a node it comes from that of the processor. */
struct Home {
  const Topology *topology = nullptr;
  std::optional<int> node = {};
};

/** Fill a piece of memory that begins with a 2 MB page. To the end of the process.
 *  Throws if there is none, or if it does not lie where it should. */
char *make_memory(size_t length, Pages pages, const Home &home = {});

} // namespace bench

#endif
