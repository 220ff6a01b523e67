// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What this machine looks like, as hwloc tells. That is loaded when it is asked: cma is
 * built and runs without it, and then only knows the numbers of its processors.
 */
#ifndef CMA_TOOLS_BENCH_TOPOLOGY_HPP
#define CMA_TOOLS_BENCH_TOPOLOGY_HPP

#include <cstddef>
#include <memory>
#include <vector>

#include "bench_place.hpp"

namespace bench {

class Topology {
public:
  /** Throws std::runtime_error, saying why, where hwloc cannot be had. */
  Topology();

  /** Those that this process may run on. */
  std::vector<Processor> processors() const;

  /** From now on these pages come from that node of memory. Throws if they cannot. */
  void bind(const void *memory, size_t length, int node) const;

  /** Whether all of these pages, which were touched, lie there. */
  bool lies_at(const void *memory, size_t length, int node) const;

private:
  struct Library;
  std::shared_ptr<const Library> library;
};

} // namespace bench

#endif
