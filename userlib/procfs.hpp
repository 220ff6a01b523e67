// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What libcma reads from /proc. All of it may be absent or belong to another pid
// namespace; each function says so rather than guess.
#ifndef CMA_USERLIB_PROCFS_HPP
#define CMA_USERLIB_PROCFS_HPP

#include "sys.hpp"
#include <cstddef>
#include <cstdint>

namespace cma {

// Reads a small file whole, as a string. Returns its length, cut at size - 1, or
// a negative errno value.
ssize_t read_file(const char *path, char *text, size_t size);

// Whether the text stands somewhere in a file of any size.
bool file_contains(const char *path, const char *text);

// Whether /proc is there and counts pids as the calling process does.
bool procfs_is_ours();

// The pid behind a pidfd. Returns -EBADF where it is none, -ESRCH where its process
// is gone. While it returns a pid, that number belongs to no other process.
pid_t pidfd_to_pid(int pidfd);

// Opens /proc/PID/mem, which from then on stands for the address space that the
// process has now. Returns -ESRCH, -EPERM, or what else open(2) says.
int open_address_space(pid_t pid);

// Whether no process lives in the address space any more.
bool address_space_ended(int fd);

// /proc/PID/status, as far as access to memory depends on it.
struct ProcessStatus {
  std::uint64_t capabilities_permitted, capabilities_effective;
  std::uint32_t uid, euid, suid;
  std::uint32_t gid, egid, sgid;
  pid_t thread_group, parent;
  unsigned int seccomp; // 2: system calls are filtered
  bool zombie;
  bool has_memory; // false: a zombie or a kernel thread
};

// Returns 0, or what open(2) says of the file: -ENOENT for no such process.
int read_process_status(pid_t pid, ProcessStatus &status);

} // namespace cma

#endif
