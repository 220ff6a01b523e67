// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * libcma-process-vm.so: answers process_vm_readv(2) and process_vm_writev(2)
 * from /dev/cma in a program that knows nothing of it. `cma run` preloads it.
 *
 * It sits on the ioctl itself and not on libcma: the two calls are one ioctl
 * each, and what runs inside a stranger's process has to be smaller than a
 * library may be. Invariants:
 *
 *  - Same result to the byte and errno. The device answers where it and the
 *    system calls agree by contract; in any doubt (no device, another ABI, an
 *    error that process_vm_* does not know, a refusal) the real call is made.
 *    That is always possible: a copy that failed has moved nothing.
 *  - No allocation, lock, C++ runtime, or libc call but secure_getenv(3), once:
 *    callable from any thread and from signal handlers; errno is set by a
 *    failure and otherwise never touched.
 *  - The descriptor is this process's own. Its number is kept in a page which
 *    fork(2) empties, so that a child opens its own. A program may close it
 *    and reuse its number: a copy that did not succeed beyond doubt makes sure
 *    that the file is still ours, and opens another if it is not. A file that
 *    is not ours is never closed.
 *
 * A refusal by the device is asked of the kernel again, so a program never gets
 * less than it had. Where a seccomp filter refuses openat(2) or ioctl(2) with
 * an errno, the real call serves; a program whose filter kills for them cannot
 * run with this library.
 */
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "raw_syscall.hpp"
#include "uapi/cma.h"

static_assert(sizeof(iovec) == sizeof(cma_iovec),
              "segments are handed to the device as they are");

namespace {

/* What process::device holds besides a descriptor, which is never below 3. */
constexpr int untried = 0; /* the content of a page emptied by fork(2) */
constexpr int none = -1;   /* there is no usable device */

/* Out of the way of programs that count on low numbers, yet below the usual
 * limit of 1024 and so no burden on the size of the descriptor table. */
constexpr int high_number = 960;

struct process {
  std::atomic<int> device;
};

constinit std::atomic<process *> published{nullptr};

/* The page of this process; nullptr if there can be none. */
process *this_process()
{
  process *known = published.load(std::memory_order_acquire);
  if (known)
    return known;

  long page = raw_syscall(SYS_mmap, 0, sizeof(process), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw_failed(page))
    return nullptr;
  auto *fresh = new (reinterpret_cast<void *>(page)) process{untried};
  if (!raw_failed(raw_syscall(SYS_madvise, page, sizeof(process), MADV_WIPEONFORK)) &&
      published.compare_exchange_strong(known, fresh))
    return fresh;
  raw_syscall(SYS_munmap, page, sizeof(process));
  return known;
}

bool speaks_cma(int fd)
{
  cma_ioc_info info = {};
  info.size = sizeof(info);
  return raw_syscall(SYS_ioctl, fd, CMA_IOC_INFO, reinterpret_cast<long>(&info)) == 0 &&
         info.abi_version == CMA_ABI_VERSION && (info.features & CMA_FEATURE_COPY_PID);
}

/* A descriptor of the device; none; or untried, if trying again may help. */
int open_device()
{
  const char *path = secure_getenv("CMA_DEVICE"); /* for tests */
  long fd =
      raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path ? path : "/dev/cma"),
                  O_RDWR | O_CLOEXEC);
  if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -EINTR)
    return untried;
  if (raw_failed(fd))
    return none;

  int result = none;
  if (speaks_cma(fd)) {
    long high = raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, high_number);
    if (raw_failed(high))
      high = raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    result = raw_failed(high) ? untried : static_cast<int>(high);
  }
  raw_syscall(SYS_close, fd);
  return result;
}

/* Put a newly opened device in the place of what was there. */
int replace(process &self, int old)
{
  int fresh = open_device();
  if (self.device.compare_exchange_strong(old, fresh))
    return fresh;
  if (fresh > 0)
    raw_syscall(SYS_close, fresh);
  return old; /* another thread was faster */
}

/* Errors that mean the same from the device and from the system calls. EPERM
 * is not among them: a refusal can come from elsewhere (seccomp), and in cases
 * the module knows to be judged too strictly. */
bool answers(long error)
{
  return error == -EINVAL || error == -EFAULT || error == -ESRCH || error == -ENOMEM ||
         error == -EINTR;
}

/* A call without its flags, which are 0. */
struct call {
  long number, pid, local, local_count, remote, remote_count;
};

/* Have the device answer. False: ask the kernel. */
bool device_answers(const call &c, long &result)
{
  constexpr uint64_t untouched = UINT64_MAX;
  process *self = this_process();
  int fd = self ? self->device.load(std::memory_order_relaxed) : none;
  if (fd == untried)
    fd = replace(*self, untried);

  for (int attempt = 0; fd > 0 && attempt < 3; attempt++) {
    cma_ioc_copy copy = {};
    copy.size = sizeof(copy);
    copy.flags = c.number == SYS_process_vm_writev ? CMA_COPY_WRITE : 0;
    copy.peer_type = CMA_PEER_PID;
    copy.peer = static_cast<int32_t>(c.pid);
    copy.local_iov = c.local;
    copy.local_cnt =
        static_cast<unsigned int>(c.local_count); /* as import_iovec() takes it */
    copy.remote_iov = c.remote;
    copy.remote_cnt = c.remote_count;
    copy.copied = untouched;
    result = raw_syscall(SYS_ioctl, fd, CMA_IOC_COPY, reinterpret_cast<long>(&copy));
    if (result == 0 && copy.copied != untouched) {
      result = static_cast<long>(copy.copied);
      return true;
    }
    if (speaks_cma(fd))
      return answers(result);
    fd = replace(*self, fd);
  }
  return false;
}

/* From the kernel's convention to libc's. */
[[gnu::noinline]] long fail(long result)
{
  errno = static_cast<int>(-result);
  return -1;
}

/* Either call, by number, with the arguments as they came. */
[[gnu::noinline]] long serve(long number, long pid, long local, long local_count,
                             long remote, long remote_count, long flags)
{
  if (flags)
    return fail(-EINVAL);
  long result;
  if (!device_answers({number, pid, local, local_count, remote, remote_count}, result))
    result = raw_syscall(number, pid, local, local_count, remote, remote_count, 0);
  return raw_failed(result) ? fail(result) : result;
}

long as_long(const void *pointer)
{
  return reinterpret_cast<long>(pointer);
}

} /* namespace */

extern "C" {

#define EXPORT __attribute__((visibility("default")))

EXPORT ssize_t process_vm_readv(pid_t pid, const iovec *local, unsigned long local_count,
                                const iovec *remote, unsigned long remote_count,
                                unsigned long flags) noexcept
{
  return serve(SYS_process_vm_readv, pid, as_long(local), static_cast<long>(local_count),
               as_long(remote), static_cast<long>(remote_count),
               static_cast<long>(flags));
}

EXPORT ssize_t process_vm_writev(pid_t pid, const iovec *local, unsigned long local_count,
                                 const iovec *remote, unsigned long remote_count,
                                 unsigned long flags) noexcept
{
  return serve(SYS_process_vm_writev, pid, as_long(local), static_cast<long>(local_count),
               as_long(remote), static_cast<long>(remote_count),
               static_cast<long>(flags));
}

#ifdef CMA_RAW_SYSCALL
/* syscall(2). Its caller passes variadic arguments, which on the architectures
 * of raw_syscall.hpp lie where those of a plain function do. Tail calls alone
 * leave the way of every other system call without a frame, as in libc. */
EXPORT long any_syscall(long number, long a, long b, long c, long d, long e,
                        long f) asm("syscall");

long any_syscall(long number, long a, long b, long c, long d, long e, long f)
{
  if (number == SYS_process_vm_readv || number == SYS_process_vm_writev)
    return serve(number, a, b, c, d, e, f);
  long result = raw_syscall(number, a, b, c, d, e, f);
  return raw_failed(result) ? fail(result) : result;
}
#endif
}
