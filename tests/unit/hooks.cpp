// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "hooks.hpp"
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// As the C library reports it.
ssize_t report(ssize_t result)
{
  if (result >= 0)
    return result;
  errno = static_cast<int>(-result);
  return -1;
}

template<typename Hook, typename... Arguments>
hooks::Result ask(const Hook &hook, Arguments... arguments)
{
  return hook ? hook(arguments...) : std::nullopt;
}

// What a test set is gone before the next.
class Reset : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo &) override
  {
    hooks::ioctl = nullptr;
    hooks::process_vm = nullptr;
    hooks::madvise = nullptr;
    hooks::mmap = nullptr;
    hooks::seccomp_mode = nullptr;
    ::unsetenv("CMA_DEVICE");
  }
};

[[maybe_unused]] const bool registered = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new Reset);
  return true;
}();

} // namespace

extern "C" {

int ioctl(int fd, unsigned long request, ...) noexcept
{
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  if (const auto result = ask(hooks::ioctl, fd, request, argument))
    return static_cast<int>(report(*result));
  return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
}

ssize_t process_vm_readv(pid_t pid, const iovec *local, unsigned long local_count,
                         const iovec *remote, unsigned long remote_count,
                         unsigned long flags) noexcept
{
  if (const auto result = ask(hooks::process_vm, false, pid))
    return report(*result);
  return ::syscall(SYS_process_vm_readv, pid, local, local_count, remote, remote_count,
                   flags);
}

ssize_t process_vm_writev(pid_t pid, const iovec *local, unsigned long local_count,
                          const iovec *remote, unsigned long remote_count,
                          unsigned long flags) noexcept
{
  if (const auto result = ask(hooks::process_vm, true, pid))
    return report(*result);
  return ::syscall(SYS_process_vm_writev, pid, local, local_count, remote, remote_count,
                   flags);
}

int madvise(void *address, size_t length, int advice) noexcept
{
  if (const auto result = ask(hooks::madvise, advice))
    return static_cast<int>(report(*result));
  return static_cast<int>(::syscall(SYS_madvise, address, length, advice));
}

int prctl(int option, ...) noexcept
{
  unsigned long arguments[4];
  va_list list;
  va_start(list, option);
  for (auto &argument : arguments)
    argument = va_arg(list, unsigned long);
  va_end(list);
  if (option == PR_GET_SECCOMP)
    if (const auto result = ask(hooks::seccomp_mode))
      return static_cast<int>(report(*result));
  return static_cast<int>(::syscall(SYS_prctl, option, arguments[0], arguments[1],
                                    arguments[2], arguments[3]));
}

void *mmap(void *address, size_t length, int protection, int flags, int fd,
           off_t offset) noexcept
{
  // The C library's own calls come before there are hooks.
  if (fd >= 0 && hooks::mmap)
    if (const auto result = hooks::mmap({address, length, protection, flags, fd, offset}))
      return reinterpret_cast<void *>(report(*result));
#ifdef SYS_mmap2
  return reinterpret_cast<void *>(
      ::syscall(SYS_mmap2, address, length, protection, flags, fd, offset / 4096));
#else
  return reinterpret_cast<void *>(
      ::syscall(SYS_mmap, address, length, protection, flags, fd, offset));
#endif
}

} // extern "C"
