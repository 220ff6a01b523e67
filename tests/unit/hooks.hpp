// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// System calls of the test program, libcma's among them, put into the test's hands:
// the C library's functions of these names are replaced here, and do what a hook
// says, or else the real thing. Hooks are set before other threads run, and end with
// the test.
#ifndef CMA_TESTS_UNIT_HOOKS_HPP
#define CMA_TESTS_UNIT_HOOKS_HPP

#include <functional>
#include <optional>
#include <sys/types.h>
#include <sys/uio.h>

namespace hooks {

// What a replaced call returns: 0 or more, or a negative errno value; or nothing, for
// the real call to be made.
using Result = std::optional<ssize_t>;

inline std::function<Result(int fd, unsigned long request, void *argument)> ioctl;
inline std::function<Result(bool write, pid_t pid)> process_vm;
inline std::function<Result(int advice)> madvise;
inline std::function<Result()> seccomp_mode; // PR_GET_SECCOMP of prctl(2)

// What libcma asks of mmap(2) for a descriptor, and what that returns.
struct Map {
  void *address;
  std::size_t length;
  int protection, flags, fd;
  off_t offset;
};
inline std::function<Result(const Map &)> mmap;

} // namespace hooks

#endif
