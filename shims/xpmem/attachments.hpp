// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Which parts of this process's memory are attachments, and by which permit: ranges
 * that do not meet. It may hold more than there is, since a program can unmap an
 * attachment behind the library's back; it never holds less.
 */
#ifndef CMA_SHIMS_XPMEM_ATTACHMENTS_HPP
#define CMA_SHIMS_XPMEM_ATTACHMENTS_HPP

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "device.hpp"
#include "xpmem.h"

namespace xpmem {

class Attachments {
public:
  /** What was there before is there no more. */
  void insert(Range range, xpmem_apid_t permit);
  void erase(Range range);
  void clear();

  /** The attachment that holds an address. */
  std::optional<Range> find(uintptr_t address) const;
  /** The attachments that a range meets. */
  std::vector<Range> meeting(Range range) const;
  /** The attachments by a permit. */
  std::vector<Range> of(xpmem_apid_t permit) const;

private:
  struct Entry {
    uintptr_t end;
    xpmem_apid_t permit;
  };
  using Place = std::map<uintptr_t, Entry>::const_iterator;

  Place first_meeting(Range range) const;

  std::map<uintptr_t, Entry> entries; /* by their beginning */
  std::set<std::pair<xpmem_apid_t, uintptr_t>> beginnings;
};

} // namespace xpmem

#endif
