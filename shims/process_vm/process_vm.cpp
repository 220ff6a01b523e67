// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * libcma-process-vm.so: answers process_vm_readv(2) and process_vm_writev(2)
 * from /dev/cma in a program that knows nothing of it. `cma run` preloads it.
 *
 * It sits on the ioctl itself and not on libcma: the two calls are one ioctl
 * each, and what runs inside a stranger's process has to be smaller than a
 * library may be. From a peer that the module does not know the real call makes
 * the first copies: it costs less (known.hpp, which libcma goes by, too).
 * Invariants:
 *
 *  - Same result to the byte and errno. The device answers where it and the
 *    system calls agree by contract; in any doubt (no device, another ABI, an
 *    error that process_vm_* does not know, a refusal) the real call is made.
 *    That is always possible: a copy that failed has moved nothing.
 *  - No allocation, lock, C++ runtime, or libc call, once main() has begun:
 *    callable from any thread and from signal handlers; errno is set by a
 *    failure and otherwise never touched.
 *  - Files are opened before main() and never again, nor closed: open(2) takes
 *    the lowest free number, which another thread may count on, and a number
 *    may be the program's own by the time that it is closed. A program that
 *    closes the descriptor has its calls made by the kernel from then on.
 *  - The number never changes, but for none once it is seen to be another
 *    file's. So fork(2), vfork(2) and clone(2) need no care: a child goes on
 *    with the file that it inherited, in which every call is judged, and every
 *    verdict kept, by the credentials of who makes it. (Only a policy that has
 *    each process publish its memory has a child of fork(3), whose one thread is
 *    still in there, open another file under the same number: policy.cpp.)
 *
 * What a peer publishes comes first where that policy is in force, and all of the
 * above comes after it.
 *
 * A refusal by the device is asked of the kernel again, so a program never gets
 * less than it had. Where a seccomp filter refuses openat(2) or ioctl(2) with
 * an errno, the real call serves; a program whose filter kills for ioctl(2)
 * cannot run with this library.
 */
#include <cerrno>
#include <cstdint>

#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "descriptor.hpp"
#include "known.hpp"
#include "policy.hpp"
#include "raw_syscall.hpp"
#include "uapi/cma.h"

static_assert(sizeof(iovec) == sizeof(cma_iovec),
              "segments are handed to the device as they are");

namespace {

/* NULL without a device. A child of fork(2) begins anew, as the module does with it. */
constinit cma::Known *peers = nullptr;

/* Shared with no child, so that fork(2) makes no page of it cost a fault. */
cma::Known *map_peers()
{
  long where = raw_syscall(SYS_mmap, 0, sizeof(cma::Known), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw_failed(where))
    return nullptr;
  raw_syscall(SYS_madvise, where, sizeof(cma::Known), MADV_WIPEONFORK);
  return reinterpret_cast<cma::Known *>(where);
}

[[gnu::constructor]] void begin()
{
  open_device();
  if (device.load(std::memory_order_relaxed) != none && (peers = map_peers()) == nullptr)
    device.store(none, std::memory_order_relaxed);
  obey_policy();
}

/* The device's word, which may be about another file's ioctl(2). */
long ask_device(int fd, cma_ioc_copy &copy)
{
  constexpr uint64_t untouched = UINT64_MAX;
  copy.copied = untouched;
  long error = raw_syscall(SYS_ioctl, fd, CMA_IOC_COPY, reinterpret_cast<long>(&copy));
  if (error)
    return error;
  return copy.copied == untouched ? -ENOTTY : static_cast<long>(copy.copied);
}

/* Whether that is the answer. Else the kernel is to be asked. */
bool is_answer(int fd, long word)
{
  if (word >= 0)
    return true;
  /* Closed; perhaps only in a child of vfork(2), whose memory is its parent's. */
  if (word == -EBADF || word == -EAGAIN)
    return false;
  if (speaks_cma(fd))
    return cma::is_same_error(word);
  device.store(none, std::memory_order_relaxed);
  return false;
}

/* By what the peer publishes, whether or not it does. */
bool window_serves(int fd, cma_ioc_copy &copy, long &result)
{
  copy.peer_type = CMA_PEER_PUBLISHED;
  result = ask_device(fd, copy);
  copy.peer_type = CMA_PEER_PID;
  return is_answer(fd, result);
}

/* By the device, which then knows the peer. */
bool device_meets(int fd, cma_ioc_copy &copy, long &result)
{
  result = ask_device(fd, copy);
  if (result > 0)
    peers->entry_of(copy.peer).learn();
  return is_answer(fd, result);
}

/* The device does not know the peer, or did not answer for it. */
long meet(int fd, cma_ioc_copy &copy)
{
  auto peer = peers->entry_of(copy.peer);
  const bool due = peer.is_due();
  long result;
  if (due) {
    if (device_meets(fd, copy, result))
      return result;
    peer.forget();
  }
  result = raw_syscall(
      copy.flags & CMA_COPY_WRITE ? SYS_process_vm_writev : SYS_process_vm_readv,
      copy.peer, static_cast<long>(copy.local_iov), static_cast<long>(copy.local_cnt),
      static_cast<long>(copy.remote_iov), static_cast<long>(copy.remote_cnt), 0);
  if (result > 0)
    peer.credit(static_cast<size_t>(result));
  /* By a filter, perhaps, that does not know of the device. */
  long instead;
  if ((result == -EPERM || result == -ENOSYS) && !due && device_meets(fd, copy, instead))
    return instead;
  return result;
}

/* From the kernel's convention to libc's. */
[[gnu::noinline]] long fail(long result)
{
  errno = static_cast<int>(-result);
  return -1;
}

/* Where the device has not made the copy; word: what it said, if it was asked. */
[[gnu::noinline]] long serve_otherwise(int fd, cma_ioc_copy &copy, long word)
{
  if (copy.flags & CMA_COPY_KNOWN) {
    if (is_answer(fd, word))
      return fail(word);
    copy.flags &= ~CMA_COPY_KNOWN;
    peers->entry_of(copy.peer).forget();
  }
  long result;
  if (!by_windows || !window_serves(fd, copy, result))
    result = meet(fd, copy);
  return raw_failed(result) ? fail(result) : result;
}

/* Either call, by number, with the arguments as they came. */
[[gnu::noinline]] long serve(long number, long pid, long local, long local_count,
                             long remote, long remote_count, long flags)
{
  if (flags)
    return fail(-EINVAL);
  int fd = device.load(std::memory_order_relaxed);
  if (fd == none) {
    long result = raw_syscall(number, pid, local, local_count, remote, remote_count, 0);
    return raw_failed(result) ? fail(result) : result;
  }

  cma_ioc_copy copy = {};
  copy.size = sizeof(copy);
  copy.flags = number == SYS_process_vm_writev ? CMA_COPY_WRITE : 0;
  copy.peer_type = CMA_PEER_PID;
  copy.peer = static_cast<int32_t>(pid);
  copy.local_iov = static_cast<uint64_t>(local);
  copy.local_cnt =
      static_cast<unsigned int>(local_count); /* as import_iovec() takes it */
  copy.remote_iov = static_cast<uint64_t>(remote);
  copy.remote_cnt = static_cast<uint64_t>(remote_count);
  long word = 0;
  if (peers->has(copy.peer)) {
    copy.flags |= CMA_COPY_KNOWN;
    word = ask_device(fd, copy);
    if (word >= 0)
      return word;
  }
  return serve_otherwise(fd, copy, word);
}

#ifdef CMA_RAW_SYSCALL
/* kcmp(2): "v1 is not equal to v2, but ordering information is unavailable". */
constexpr long differ_somehow = 3;

/* kcmp(2) of this process's memory with another's was refused: by the rules of ptrace,
 * or by a filter. Whether the other is one whose memory the device serves all the same:
 * what is asked for a byte from where nothing is answers with a fault. */
[[gnu::noinline]] bool is_served(long one, long other, long type)
{
  int fd = device.load(std::memory_order_relaxed);
  long self = raw_syscall(SYS_getpid);
  if (fd == none || type != KCMP_VM || (one != self && other != self))
    return false;
  char byte;
  cma_ioc_copy copy = {};
  copy.size = sizeof(copy);
  copy.flags = CMA_COPY_SINGLE;
  copy.peer = static_cast<int32_t>(one == self ? other : one);
  copy.local_iov = reinterpret_cast<uint64_t>(&byte);
  copy.local_cnt = copy.remote_cnt = 1;
  long result;
  return window_serves(fd, copy, result) && (result >= 0 || result == -EFAULT);
}
#endif

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
  if (number == SYS_kcmp && result < 0 && by_windows && is_served(a, b, c))
    result = differ_somehow;
  return raw_failed(result) ? fail(result) : result;
}
#endif
}
