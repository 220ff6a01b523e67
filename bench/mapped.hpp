// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Memory of a peer that is mapped in place of copied: what the first touch of
// its pages costs, and a mechanism that copies out of a mapping.

#pragma once

#include "measure.hpp"
#include "mechanism.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

/// What the module knows of the memory when a mapping of it is first touched.
enum class Seen {
  kNothing, ///< the process is new
  kProcess, ///< other memory of the process was mapped, and touched
  kMemory,  ///< this memory was, by a mapping that is gone
};

enum class Access {
  kReadOnly, ///< mapped for reading, and read
  kRead,     ///< mapped for writing, too, and read
  kWritten,  ///< the same, and written
};

/// Every page of a fresh mapping touched once, in the order of their addresses.
struct Touch {
  std::string name;
  std::size_t bytes = kHugePage; ///< from the beginning of 2 MiB of the peer's on
  Pages pages = Pages::kScattered;
  Access access = Access::kReadOnly;
  Seen seen = Seen::kMemory;
  bool populate = false; ///< by MAP_POPULATE: mmap() counts, too
};

std::vector<Touch> touches();

struct Touched {
  std::uint64_t instructions; ///< all pages together
  long faults;
};

/// @return the least of several; each is proven to show, or change, the peer's bytes
Touched count(Meter &meter, const Touch &touch);

/// Copies out of, or into, a mapping of the peer's segments, with memcpy's own
/// instructions. For a peer that is known.
Mechanism mapping();

} // namespace bench
