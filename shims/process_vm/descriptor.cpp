// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * How the device is opened, under a number that is in nobody's way. Nothing is kept of a
 * path but its place: that of $CMA_DEVICE, which is for tests, is the environment's.
 */
#include "descriptor.hpp"

#include <cstdlib>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "raw_syscall.hpp"
#include "uapi/cma.h"

constinit std::atomic<int> device{none};

namespace {

/* Out of the way of programs that count on low numbers, yet below the usual
 * limit of 1024 and so no burden on the size of the descriptor table. */
constexpr unsigned long high_number = 960;

constinit const char *path = "/dev/cma";

bool ask(long fd, cma_ioc_info &info)
{
  info.size = sizeof(info);
  return raw_syscall(SYS_ioctl, fd, CMA_IOC_INFO, reinterpret_cast<long>(&info)) == 0 &&
         info.abi_version == CMA_ABI_VERSION;
}

/* Where the limit is lower, near its end. */
long lowest_number()
{
  rlimit64 limit = {};
  raw_syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, reinterpret_cast<long>(&limit));
  unsigned long last = limit.rlim_cur - limit.rlim_cur / 16;
  return static_cast<long>(last <= high_number ? last - 1 : high_number);
}

long open_path()
{
  return raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path),
                     O_RDWR | O_CLOEXEC);
}

} /* namespace */

bool speaks_cma(long fd)
{
  constexpr std::uint64_t needed = CMA_FEATURE_COPY_PID | CMA_FEATURE_KNOWN;
  cma_ioc_info info = {};
  return ask(fd, info) && (info.features & needed) == needed;
}

std::uint64_t features_of_device()
{
  cma_ioc_info info = {};
  return ask(device.load(std::memory_order_relaxed), info) ? info.features : 0;
}

void open_device()
{
  if (const char *other = secure_getenv("CMA_DEVICE"))
    path = other;
  long fd = open_path();
  if (raw_failed(fd))
    return;
  if (speaks_cma(fd)) {
    long high = raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest_number());
    if (!raw_failed(high))
      device.store(static_cast<int>(high), std::memory_order_relaxed);
  }
  raw_syscall(SYS_close, fd);
}

bool renew_device()
{
  int number = device.load(std::memory_order_relaxed);
  if (number == none || !speaks_cma(number))
    return false;
  long fd = open_path();
  if (raw_failed(fd))
    return false;
  bool done = speaks_cma(fd) && !raw_failed(raw_syscall(SYS_dup3, fd, number, O_CLOEXEC));
  raw_syscall(SYS_close, fd);
  return done;
}
