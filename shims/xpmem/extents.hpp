// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Attachments, and the mappings that they are carved out of.
 *
 * Where a few parts of a segment were attached that lie near each other, what comes
 * there lies in one mapping, most of whose pages are hidden; to attach is to show pages
 * there, and to detach is to hide them. Both are one call of the device, which
 * neither makes a mapping nor ends one. A mapping that nothing is attached in is
 * kept for a while, all hidden: registration caches attach the same memory again and
 * again. How many are kept, and how much address space they take, is bounded; none
 * outlives its permit.
 *
 * Attachments never overlap: memory that is attached already is attached again in
 * another mapping. So is what a program wants at a place of its own choice, and that
 * mapping is ended when it is detached.
 *
 * A program may unmap an attachment itself, and what comes there is none of ours: a
 * mapping of which the device says that it is not whole any more is used for nothing
 * new, and no more of it is unmapped than /proc shows to be the device's.
 */
#ifndef CMA_SHIMS_XPMEM_EXTENTS_HPP
#define CMA_SHIMS_XPMEM_EXTENTS_HPP

#include <list>
#include <map>
#include <tuple>
#include <utility>

#include "device.hpp"
#include "extent.hpp"

namespace xpmem {

/** A part of a segment, in bytes. */
struct Part {
  uint64_t offset;
  size_t length;

  bool operator<(const Part &other) const
  {
    return std::tie(offset, length) < std::tie(other.offset, other.length);
  }
};

struct Permit;

struct Mapping {
  Extent extent;
  Permit *permit;
  bool closed;        /* nothing new is attached in it */
  bool hides = false; /* some pages, so that others must be shown */
  bool kept = false;  /* idle, all hidden, for the next that wants it */
  std::list<Mapping *>::iterator node{}; /* in its permit's list, or the kept ones' */
};

using Mappings = std::map<uintptr_t, Mapping>; /* by their beginning */

/** A mapping that attachments are carved out of, once there were a few near it. */
struct Arena {
  unsigned attempts = 0;
  Mapping *mapping = nullptr;
};

/** By what is attached: a handle of the segment, and the mappings through it. */
struct Permit {
  int handle;
  unsigned access;
  int64_t segment;
  std::list<Mapping *> live{};            /* those with attachments */
  std::map<uint64_t, Arena> arenas{};     /* by their number */
  std::multimap<Part, Mapping *> spare{}; /* kept, and not carved */
};

class Extents {
public:
  static constexpr size_t arena_size = size_t{64} << 20;
  static constexpr size_t largest_carved = arena_size / 4;
  static constexpr size_t largest_kept = arena_size;
  static constexpr size_t most_kept = 64;
  static constexpr unsigned few = 2; /* attachments that are mappings of their own */

  explicit Extents(Device &device) : device(device) {}

  /** where: the place, or 0. Result: the address, or a negative errno value. */
  intptr_t attach(Permit &permit, Part part, uintptr_t where);
  enum class Detached {
    Done,
    Before,  /**< there was an attachment once, and is nothing now */
    Unknown, /**< what is there is none of ours */
    Failed   /**< it stays attached: the kernel has no room to unmap a part */
  };
  Detached detach(uintptr_t address);
  /** End all of a permit's. */
  void release(Permit &permit);
  /** Whether a range meets an attachment that is still there. */
  bool has(Range range);

private:
  intptr_t attach_in(Mapping &mapping, Range range);
  intptr_t attach_in_arena(Permit &permit, Part part);
  intptr_t attach_again(Permit &permit, Part part);
  Mapping *arena_for(Permit &permit, uint64_t number);
  int map(Permit &permit, Part part, uintptr_t where, bool carved, Mapping *&made);
  Mapping &enter(Permit &permit, Extent extent, bool closed);
  void cut(Range hole);
  void keep(Mapping &mapping);
  void close(Mapping &mapping);
  void forget(Mapping &mapping);
  void drop(Mapping &mapping);
  void drop_kept(Permit &permit);
  bool is_whole(const Mapping &mapping);
  Mapping *find(uintptr_t address);
  Mapping *last_meeting(Range range);

  Device &device;
  Mappings mappings;
  std::list<Mapping *> kept; /* the oldest first */
};

} // namespace xpmem

#endif
