// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Reading /proc by the one funnel, without the C library's streams: nothing here
// allocates, and a copy by pidfd or handle passes through.
#include "procfs.hpp"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace cma {
namespace {

// Enough for "/proc/thread-self/fdinfo/" and any int.
using Path = char[64];

// What follows "name" and its colon at the beginning of a line, or nullptr.
const char *field(const char *text, const char *name)
{
  const size_t length = std::strlen(name);
  for (const char *line = text; line != nullptr; line = std::strchr(line, '\n')) {
    line += *line == '\n';
    if (std::strncmp(line, name, length) == 0 && line[length] == ':')
      return line + length + 1;
  }
  return nullptr;
}

std::uint64_t number(const char *text, const char *name, int base = 10)
{
  const char *value = field(text, name);
  return value != nullptr ? std::strtoull(value, nullptr, base) : 0;
}

// The first three of the line's numbers: real, effective and saved id.
void ids(const char *text, const char *name, std::uint32_t (&id)[3])
{
  const char *value = field(text, name);
  for (auto &one : id) {
    char *end = nullptr;
    one =
        value != nullptr ? static_cast<std::uint32_t>(std::strtoul(value, &end, 10)) : 0;
    value = end;
  }
}

} // namespace

ssize_t read_file(const char *path, char *text, size_t size)
{
  const int fd = sys::open(path, O_RDONLY);
  if (fd < 0)
    return fd;
  size_t length = 0;
  ssize_t got = 0;
  while (length < size - 1 && (got = sys::read(fd, text + length, size - 1 - length)) > 0)
    length += static_cast<size_t>(got);
  sys::close(fd);
  text[length] = '\0';
  return got < 0 ? got : static_cast<ssize_t>(length);
}

bool file_contains(const char *path, const char *text)
{
  const int fd = sys::open(path, O_RDONLY);
  if (fd < 0)
    return false;
  const size_t overlap = std::strlen(text) - 1;
  char block[4096];
  size_t kept = 0; // the end of the block before, where the text may begin
  bool found = false;
  ssize_t got;
  while (!found && (got = sys::read(fd, block + kept, sizeof(block) - kept)) > 0) {
    const size_t length = kept + static_cast<size_t>(got);
    found = std::string_view(block, length).find(text) != std::string_view::npos;
    kept = std::min(overlap, length);
    std::memmove(block, block + length - kept, kept);
  }
  sys::close(fd);
  return found;
}

bool procfs_is_ours()
{
  char pid[16] = "";
  return sys::readlink("/proc/self", pid, sizeof(pid) - 1) > 0 &&
         std::atoi(pid) == ::getpid();
}

pid_t pidfd_to_pid(int pidfd)
{
  // The descriptor table may be the thread's own (unshare(2)).
  Path path;
  std::snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", pidfd);
  char text[1024];
  const ssize_t length = read_file(path, text, sizeof(text));
  if (length < 0)
    return length == -ENOENT ? -EBADF : static_cast<pid_t>(length);
  const char *pid = field(text, "Pid");
  if (pid == nullptr)
    return -EBADF;
  // -1 once it is reaped, 0 for one outside of this pid namespace.
  const int value = std::atoi(pid);
  return value > 0 ? value : -ESRCH;
}

int open_address_space(pid_t pid)
{
  Path path;
  std::snprintf(path, sizeof(path), "/proc/%d/mem", pid);
  const int fd = sys::open(path, O_RDONLY);
  if (fd == -ENOENT)
    return -ESRCH;
  if (fd == -EACCES)
    return -EPERM;
  if (fd >= 0 && address_space_ended(fd)) {
    sys::close(fd);
    return -ESRCH;
  }
  return fd;
}

bool address_space_ended(int fd)
{
  // Reads nothing where nobody lives; else a byte, or EIO as none is mapped there.
  char byte;
  return sys::pread(fd, &byte, 1, 0) == 0;
}

int read_process_status(pid_t pid, ProcessStatus &status)
{
  Path path;
  std::snprintf(path, sizeof(path), "/proc/%d/status", pid);
  char text[4096];
  const ssize_t length = read_file(path, text, sizeof(text));
  if (length < 0)
    return static_cast<int>(length);

  std::uint32_t uid[3];
  std::uint32_t gid[3];
  ids(text, "Uid", uid);
  ids(text, "Gid", gid);
  const char *state = field(text, "State");
  status = {};
  status.capabilities_permitted = number(text, "CapPrm", 16);
  status.capabilities_effective = number(text, "CapEff", 16);
  status.uid = uid[0], status.euid = uid[1], status.suid = uid[2];
  status.gid = gid[0], status.egid = gid[1], status.sgid = gid[2];
  status.thread_group = static_cast<pid_t>(number(text, "Tgid"));
  status.parent = static_cast<pid_t>(number(text, "PPid"));
  status.seccomp = static_cast<unsigned int>(number(text, "Seccomp"));
  status.zombie = state != nullptr && std::strncmp(state, "\tZ", 2) == 0;
  status.has_memory = field(text, "VmSize") != nullptr;
  return 0;
}

} // namespace cma
