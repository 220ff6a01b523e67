// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A device for the unit tests: windows and handles are entries of tables, a mapping
 * is memory of this process. A test reads there what the library asked for, and sets
 * what it is to be told.
 */
#ifndef CMA_SHIMS_XPMEM_FAKE_DEVICE_HPP
#define CMA_SHIMS_XPMEM_FAKE_DEVICE_HPP

#include <map>

#include <sys/types.h>

#include "device.hpp"

namespace xpmem {

/** All that the fake device knows, for every Device that is open. */
struct Fake {
  struct Window {
    uintptr_t base;
    size_t length;
    unsigned mode;
    unsigned allowed; /* CMA_ACCESS_* to those who open it */
  };
  struct Handle {
    uint64_t name;
    unsigned access;
  };

  std::map<uint64_t, Window> windows;
  std::map<int, Handle> handles;
  std::vector<Range> mapped;
  uint64_t next_name = uint64_t{1} << 62;
  int next_handle = 1;
  int opening = 0;       /* what opening the device gives */
  int showing = 0;       /* what showing pages gives */
  int opened = 0;        /* how often it was */
  size_t most_shown = 0; /* bytes, in one call */

  /** The test unmaps a range itself; the device knows, the library does not. */
  void unmap(Range range);
  /** Something else is there. */
  void forget(Range range);
};

Fake &fake();

} // namespace xpmem

#endif
