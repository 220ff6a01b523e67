// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * One mapping of a part of a segment, and which pages of it are attachments: ranges
 * that do not meet, told apart also where they are neighbours. Knows nothing of who
 * maps it.
 */
#ifndef CMA_SHIMS_XPMEM_EXTENT_HPP
#define CMA_SHIMS_XPMEM_EXTENT_HPP

#include <optional>
#include <vector>

#include "device.hpp"

namespace xpmem {

class Extent {
public:
  /** What many attachments can be carved out of; carved: else it is one as a whole. */
  Extent(Range place, uint64_t offset, bool carved);

  Range place() const { return where; }
  /** Where in the segment it begins. */
  uint64_t offset() const { return from; }
  bool is_carved() const { return !used.empty(); }

  /** Whether there is no attachment at all. */
  bool is_idle() const { return attachments == 0; }
  /** Whether none is in a range. */
  bool is_free(Range part) const;
  /** The one that holds an address. */
  std::optional<Range> at(uintptr_t address) const;
  /** Those that a range meets. */
  std::vector<Range> meeting(Range part) const;

  void add(Range attachment);
  void remove(Range attachment);

  /** What is left of it without a range: of an attachment that this cuts, the rest. */
  std::vector<Extent> without(Range hole) const;

private:
  using Bits = std::vector<uint64_t>; /* one for each page */

  size_t page_of(uintptr_t address) const;
  uintptr_t address_of(size_t index) const;

  Range where;
  uint64_t from;
  size_t attachments = 0;
  Bits used;
  Bits first; /* of an attachment */
};

} // namespace xpmem

#endif
