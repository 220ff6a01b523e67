// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See mappings.hpp.
#include "mappings.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace xpmem {
namespace {

/* As the module names its mappings. */
constexpr const char *name = "anon_inode:[cma]\n";

} // namespace

bool is_unmapped(uintptr_t address)
{
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident;
  return mincore(reinterpret_cast<void *>(address / page * page), page, &resident) < 0 &&
         errno == ENOMEM;
}

std::vector<Range> mappings_of_device(Range range)
{
  FILE *maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr)
    return {range};
  auto found = mappings_of_device(range, maps);
  std::fclose(maps);
  return found;
}

std::vector<Range> mappings_of_device(Range range, FILE *maps)
{
  std::vector<Range> found;
  char line[512]; /* a longer name is not the device's */
  bool begins = true;
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    const bool first = std::exchange(begins, std::strchr(line, '\n') != nullptr);
    Range mapping;
    int named = 0;
    if (!first ||
        std::sscanf(line, "%zx-%zx %*s %*s %*s %*s %n", &mapping.begin, &mapping.end,
                    &named) != 2 ||
        !mapping.meets(range) || std::strcmp(line + named, name) != 0)
      continue;
    found.push_back(
        {std::max(mapping.begin, range.begin), std::min(mapping.end, range.end)});
  }
  return found;
}

} // namespace xpmem
