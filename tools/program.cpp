// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What ld.so(8) says of LD_PRELOAD: it is for programs that have a dynamic linker, of
 * the library's own class, and not with slashes in what runs with others' rights
 * (AT_SECURE: set-user-id, set-group-id, file capabilities).
 */
#include "program.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <elf.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

bool runs_with_others_rights(const fs::path &program)
{
  struct stat status = {};
  if (stat(program.c_str(), &status) != 0)
    return false;
  return ((status.st_mode & S_ISUID) && status.st_uid != getuid()) ||
         ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) &&
          status.st_gid != getgid()) ||
         (getuid() != 0 &&
          getxattr(program.c_str(), "security.capability", nullptr, 0) > 0);
}

/* Whether it names a dynamic linker, or is one. */
template<typename Header, typename Segment>
bool is_linked_dynamically(std::istream &file, const fs::path &program)
{
  Header header;
  file.seekg(0);
  file.read(reinterpret_cast<char *>(&header), sizeof(header));
  for (int i = 0; file && i < header.e_phnum; i++) {
    Segment segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * header.e_phentsize));
    file.read(reinterpret_cast<char *>(&segment), sizeof(segment));
    if (file && segment.p_type == PT_INTERP)
      return true;
  }
  return program.filename().string().starts_with("ld-");
}

std::string why_not_elf(std::istream &file, const char *ident, const fs::path &program)
{
  const bool wide = ident[EI_CLASS] == ELFCLASS64;
  const bool dynamic = wide
                           ? is_linked_dynamically<Elf64_Ehdr, Elf64_Phdr>(file, program)
                           : is_linked_dynamically<Elf32_Ehdr, Elf32_Phdr>(file, program);
  if (!file)
    return {}; /* cut short: no program */
  if (!dynamic)
    return "is linked statically";
  if (wide != (sizeof(void *) == 8))
    return wide ? "is a 64-bit program, and the library is for 32-bit ones"
                : "is a 32-bit program, and the library is for 64-bit ones";
  if (runs_with_others_rights(program))
    return "runs with more rights than its caller has (set-user-id, set-group-id or "
           "file capabilities)";
  return {};
}

} // namespace

std::optional<fs::path> find_program(const std::string &command)
{
  if (command.find('/') != command.npos)
    return command;
  const char *path = std::getenv("PATH");
  std::istringstream directories(path ? path : "/bin:/usr/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    fs::path found = fs::path(directory.empty() ? "." : directory) / command;
    if (access(found.c_str(), X_OK) == 0 && fs::is_regular_file(found))
      return found;
  }
  return std::nullopt;
}

std::string why_not_preloaded(const fs::path &program)
{
  std::ifstream file(program, std::ios::binary);
  std::array<char, EI_NIDENT> ident{};
  file.read(ident.data(), ident.size());
  if (ident[0] == '#' && ident[1] == '!') {
    std::string line(256, '\0');
    file.clear();
    file.seekg(2);
    std::getline(file, line);
    std::string interpreter;
    std::istringstream(line) >> interpreter;
    std::ifstream again(interpreter, std::ios::binary);
    again.read(ident.data(), ident.size());
    if (!again || std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0)
      return {};
    std::string why = why_not_elf(again, ident.data(), interpreter);
    return why.empty() ? why : "is a script of " + interpreter + ", which " + why;
  }
  if (!file || std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0)
    return {};
  return why_not_elf(file, ident.data(), program);
}
