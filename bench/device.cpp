// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Every request is whole: size, and zeros where nothing is said.

#include "device.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <system_error>

namespace bench {
namespace {

constexpr const char *kDevice = "/dev/cma";

int opened(int fd, cma_ioc_open request)
{
  request.size = sizeof request;
  if (ioctl(fd, CMA_IOC_OPEN, &request) != 0)
    throw std::system_error(errno, std::generic_category(), "CMA_IOC_OPEN");
  return request.handle;
}

} // namespace

Device::Device() : fd_(open(kDevice, O_RDWR | O_CLOEXEC))
{
  if (fd_ < 0)
    throw std::system_error(errno, std::generic_category(), kDevice);
}

Device::~Device()
{
  close(fd_);
}

ssize_t Device::copy(cma_ioc_copy &request) const
{
  return ioctl(fd_, CMA_IOC_COPY, &request) == 0 ? static_cast<ssize_t>(request.copied)
                                                 : -1;
}

int Device::open_process(pid_t pid) const
{
  cma_ioc_open request{};
  request.peer_type = CMA_PEER_PID;
  request.peer = pid;
  return opened(fd_, request);
}

int Device::open_window(std::uint64_t window) const
{
  cma_ioc_open request{};
  request.peer_type = CMA_PEER_WINDOW;
  request.window = window;
  return opened(fd_, request);
}

std::uint64_t Device::create_window() const
{
  cma_ioc_window_create request{};
  request.size = sizeof request;
  request.length = std::numeric_limits<std::int64_t>::max();
  request.access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
  request.mode = 0600;
  if (ioctl(fd_, CMA_IOC_WINDOW_CREATE, &request) != 0)
    throw std::system_error(errno, std::generic_category(), "CMA_IOC_WINDOW_CREATE");
  return request.window;
}

void *Device::map(int handle, const std::byte *remote, std::size_t bytes,
                  int rights) const
{
  const auto offset = CMA_MAP_OFFSET(handle, reinterpret_cast<std::uintptr_t>(remote));
  void *memory =
      mmap(nullptr, bytes, rights, MAP_SHARED, fd_, static_cast<off_t>(offset));
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap of /dev/cma");
  return memory;
}

void Device::populate(const std::byte *address, std::size_t bytes) const
{
  cma_ioc_populate request = {};
  request.size = sizeof(request);
  request.address = reinterpret_cast<std::uintptr_t>(address);
  request.length = bytes;
  if (ioctl(fd_, CMA_IOC_POPULATE, &request) < 0)
    throw std::system_error(errno, std::generic_category(), "CMA_IOC_POPULATE");
}

} // namespace bench
