// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See mappings.hpp. The format of the file is in proc(5).
#include "mappings.hpp"

#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include <fmt/core.h>

namespace {

struct Mapping {
  uint64_t begin, end;
  std::string access, name;
};

std::optional<Mapping> parse(const std::string &line)
{
  std::istringstream fields(line);
  Mapping mapping = {};
  char dash;
  std::string offset;
  std::string device;
  std::string inode;
  if (!(fields >> std::hex >> mapping.begin >> dash >> mapping.end >> mapping.access >>
        offset >> device >> inode))
    return std::nullopt;
  std::getline(fields >> std::ws, mapping.name);
  return mapping;
}

std::string describe(const Mapping &mapping)
{
  return fmt::format("{:#x}-{:#x} {} {}", mapping.begin, mapping.end, mapping.access,
                     mapping.name.empty() ? "(anonymous)" : mapping.name);
}

/* Why memory that is mapped could not be used. */
std::string describe_inside(const Mapping &mapping, bool write)
{
  std::string where = "it lies in " + describe(mapping);
  if (mapping.access.starts_with("---"))
    return where + ", which nobody may use (PROT_NONE)";
  if (write && mapping.access[1] != 'w')
    return where + ", which is not writable";
  if (!write && mapping.access[0] != 'r')
    return where + ", which is not readable";
  return where + ": special memory that the kernel does not lend, or a file that "
                 "ends before";
}

} // namespace

std::string describe_address(pid_t pid, uint64_t address, bool write)
{
  std::string path = fmt::format("/proc/{}/maps", pid);
  std::ifstream file(path);
  std::optional<Mapping> below;
  std::string around;
  for (std::string line; std::getline(file, line);) {
    auto mapping = parse(line);
    if (!mapping)
      continue;
    if (address < mapping->begin) {
      around = ", the next mapping above is " + describe(*mapping);
      break;
    }
    if (address < mapping->end)
      return describe_inside(*mapping, write);
    below = mapping;
  }
  if (below)
    around = ", the last mapping below is " + describe(*below) + around;
  if (around.empty())
    return fmt::format("what is mapped there is not known: {} cannot be read", path);
  return "nothing is mapped there" + around;
}
