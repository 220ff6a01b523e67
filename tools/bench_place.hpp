// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Which processors the processes of a measurement run on, by what these share: a copy
 * between two cores of one cache is another thing than one between two sockets.
 */
#ifndef CMA_TOOLS_BENCH_PLACE_HPP
#define CMA_TOOLS_BENCH_PLACE_HPP

#include <cstddef>
#include <optional>
#include <vector>

namespace bench {

/** A processor, and what it is in; -1 for what is not known of this machine. */
struct Processor {
  unsigned number; /* the kernel's */
  int core;
  int cache; /* the last level's */
  int node;  /* of memory */
  int package;
};

/** Where those who read are, seen from the owner of the memory. */
enum class Place {
  any,     /* wherever the scheduler puts them */
  core,    /* on other hardware threads of its core */
  complex, /* on other cores of its last level cache */
  socket,  /* in its package, beyond that cache */
  node,    /* in its package, at another node of memory */
  across,  /* in other packages */
};

struct PlaceName {
  const char *name;
  Place place;
  const char *meaning;
};

extern const std::vector<PlaceName> place_names;

/** The owner's processor first; nothing where this machine has no such place for so many
 *  processes. Those who read have cores of their own, but for Place::core. */
std::optional<std::vector<unsigned>> choose(const std::vector<Processor> &processors,
                                            Place place, size_t processes);

/** The calling process on this processor alone. Throws std::system_error. */
void pin(unsigned processor);

/** The processors that this process may run on, by their numbers. */
std::vector<unsigned> allowed_processors();

} // namespace bench

#endif
