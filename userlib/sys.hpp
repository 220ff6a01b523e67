// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The funnel: every system call that libcma makes goes through here. A failure is
// a negative errno value and errno stays as the caller left it. Each function
// calls the C library's function of the same name, which a test program replaces
// by defining it (tests/unit/scripted_device.cpp); the library itself knows
// nothing of tests and pays nothing for them.
#ifndef CMA_USERLIB_SYS_HPP
#define CMA_USERLIB_SYS_HPP

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

namespace cma::sys {

template<typename Call>
inline auto negative_errno(Call call) -> decltype(call())
{
  const int saved = errno;
  auto result = call();
  if (result < 0) {
    result = -errno;
    errno = saved;
  }
  return result;
}

inline int ioctl(int fd, unsigned int request, void *argument)
{
  return negative_errno([=] { return ::ioctl(fd, request, argument); });
}

inline ssize_t process_vm(bool write, pid_t pid, const iovec *local, size_t local_count,
                          const iovec *remote, size_t remote_count)
{
  return negative_errno([=] {
    return write ? ::process_vm_writev(pid, local, local_count, remote, remote_count, 0)
                 : ::process_vm_readv(pid, local, local_count, remote, remote_count, 0);
  });
}

// Whether a filter (seccomp(2)) judges the calling thread's system calls.
inline bool is_filtered()
{
  return negative_errno([] { return ::prctl(PR_GET_SECCOMP); }) != 0;
}

inline int open(const char *path, int flags)
{
  return negative_errno([=] { return ::open(path, flags | O_CLOEXEC); });
}

inline void close(int fd)
{
  negative_errno([=] { return ::close(fd); });
}

inline ssize_t read(int fd, void *data, size_t size)
{
  return negative_errno([=] { return ::read(fd, data, size); });
}

inline ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
  return negative_errno([=] { return ::pread(fd, data, size, offset); });
}

inline ssize_t readlink(const char *path, char *target, size_t size)
{
  return negative_errno([=] { return ::readlink(path, target, size); });
}

inline int stat(const char *path, struct stat *status)
{
  return negative_errno([=] { return ::stat(path, status); });
}

inline int madvise(void *address, size_t length, int advice)
{
  return negative_errno([=] { return ::madvise(address, length, advice); });
}

// A private anonymous mapping, or nullptr.
inline void *map_anonymous(size_t length)
{
  const int saved = errno;
  void *address =
      ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  errno = saved;
  return address == MAP_FAILED ? nullptr : address;
}

// Returns 0 and sets address, or a negative errno value and sets it to nullptr.
inline int map(void *&address, size_t length, int protection, int flags, int fd,
               off_t offset)
{
  const int saved = errno;
  void *mapped = ::mmap(address, length, protection, flags, fd, offset);
  const int error = mapped == MAP_FAILED ? -errno : 0;
  errno = saved;
  address = error == 0 ? mapped : nullptr;
  return error;
}

inline int unmap(void *address, size_t length)
{
  return negative_errno([=] { return ::munmap(address, length); });
}

} // namespace cma::sys

#endif
