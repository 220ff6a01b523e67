// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Windows by their raw ioctls, for peers and for the test.
 */
#pragma once

#include "device.hpp"

namespace cma_test {

constexpr uint32_t read_and_write = CMA_ACCESS_READ | CMA_ACCESS_WRITE;

/// In the owner: the result is the new window's name.
inline Outcome create_window(const Device &device, uintptr_t base, uint64_t length,
                             uint32_t mode, uint32_t access = read_and_write,
                             uint32_t flags = 0)
{
  auto window = sized<cma_ioc_window_create>();
  window.flags = flags;
  window.base = base;
  window.length = length;
  window.access = access;
  window.mode = mode;
  const Outcome outcome = device.call(CMA_IOC_WINDOW_CREATE, &window);
  return outcome.error != 0 ? outcome : gives(static_cast<int64_t>(window.window));
}

/// The open file in which a process publishes its memory, and has nothing else.
inline Device &publishing_device()
{
  static Device device;
  return device;
}

/// In the owner: all of its memory, to be found by its pid.
inline Outcome publish_all(uint32_t mode = 0600, uint32_t access = read_and_write)
{
  return create_window(publishing_device(), 0, INT64_MAX, mode, access,
                       CMA_WINDOW_PUBLISH);
}

/// The window's end.
inline Outcome destroy_window(const Device &device, int64_t name)
{
  auto window = sized<cma_ioc_window_destroy>();
  window.window = static_cast<uint64_t>(name);
  return device.call(CMA_IOC_WINDOW_DESTROY, &window);
}

/// The result is a handle.
inline Outcome open_window(const Device &device, int64_t name, uint32_t access = 0)
{
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = static_cast<uint64_t>(name);
  open.access = access;
  const Outcome outcome = device.call(CMA_IOC_OPEN, &open);
  return outcome.error != 0 ? outcome : gives(open.handle);
}

} // namespace cma_test
