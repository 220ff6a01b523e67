// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See mappings.hpp.
#include "mappings.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <sys/stat.h>

namespace xpmem {
namespace {

/* As the module names its mappings. */
constexpr const char *name = "anon_inode:[cma]\n";

} // namespace

bool is_whole(Range range)
{
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/map_files/%zx-%zx", range.begin,
                range.end);
  struct stat status;
  return lstat(path, &status) == 0;
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
    if (!first || std::sscanf(line, "%zx-%zx", &mapping.begin, &mapping.end) != 2 ||
        !mapping.meets(range) || std::strstr(line, name) == nullptr)
      continue;
    found.push_back(
        {std::max(mapping.begin, range.begin), std::min(mapping.end, range.end)});
  }
  return found;
}

} // namespace xpmem
