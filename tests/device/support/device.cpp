// SPDX-License-Identifier: MIT OR BSD-2-Clause
// The raw ioctls; see device.hpp.
#include "device.hpp"

#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <ostream>
#include <sys/ioctl.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace cma_test {

void Fd::reset(int fd)
{
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = fd;
}

std::ostream &operator<<(std::ostream &out, const Outcome &outcome)
{
  if (outcome.error != 0)
    return out << strerrorname_np(outcome.error);
  return out << outcome.result;
}

Device::Device() : fd_(::open("/dev/cma", O_RDWR | O_CLOEXEC))
{
  if (!fd_)
    throw std::system_error(errno, std::generic_category(), "/dev/cma");
}

Outcome Device::call(unsigned long command, void *argument) const
{
  return Outcome::of(::ioctl(fd_.get(), command, argument));
}

cma_ioc_info Device::info() const
{
  auto info = sized<cma_ioc_info>();
  if (call(CMA_IOC_INFO, &info).error != 0)
    throw std::system_error(errno, std::generic_category(), "CMA_IOC_INFO");
  return info;
}

Outcome Device::copy(cma_ioc_copy &request) const
{
  const Outcome outcome = call(CMA_IOC_COPY, &request);
  if (outcome.error != 0)
    return outcome;
  return gives(static_cast<int64_t>(request.copied));
}

Outcome Device::open(uint32_t peer_type, int32_t peer) const
{
  auto request = sized<cma_ioc_open>();
  request.peer_type = peer_type;
  request.peer = peer;
  const Outcome outcome = call(CMA_IOC_OPEN, &request);
  return outcome.error != 0 ? outcome : gives(request.handle);
}

Outcome Device::close(int32_t handle) const
{
  auto request = sized<cma_ioc_close>();
  request.handle = handle;
  return call(CMA_IOC_CLOSE, &request);
}

Outcome Device::populate(uint64_t address, uint64_t length) const
{
  auto request = sized<cma_ioc_populate>();
  request.address = address;
  request.length = length;
  return call(CMA_IOC_POPULATE, &request);
}

Outcome Device::show(uint32_t how, uint64_t address, uint64_t length) const
{
  auto request = sized<cma_ioc_show>();
  request.how = how;
  request.address = address;
  request.length = length;
  return call(CMA_IOC_SHOW, &request);
}

int64_t module_counter(const std::string &name)
{
  int64_t number = -1;
  std::ifstream("/sys/class/misc/cma/" + name) >> number;
  return number;
}

void outlast_verdicts()
{
  std::this_thread::sleep_for(std::chrono::milliseconds(Device().info().verdict_ms + 30));
}

} // namespace cma_test
