// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The device backend off the way of a copy: opening the device, handles, limits.
#include "device.hpp"
#include <cstdlib>
#include <cstring>

namespace cma {

static_assert(CMA_CAN_PID == CMA_FEATURE_COPY_PID &&
              CMA_CAN_PIDFD == CMA_FEATURE_COPY_PIDFD &&
              CMA_CAN_HANDLE == CMA_FEATURE_COPY_HANDLE &&
              CMA_CAN_MANY == CMA_FEATURE_MANY && CMA_CAN_LARGE == CMA_FEATURE_LARGE &&
              CMA_CAN_REPORT == CMA_FEATURE_REPORT &&
              CMA_CAN_STRICT == CMA_FEATURE_STRICT &&
              CMA_CAN_WINDOW == CMA_FEATURE_WINDOW && CMA_CAN_MAP == CMA_FEATURE_MAP);

// A program with 32-bit pointers cannot map.
constexpr std::uint64_t map_feature = sizeof(void *) == 8 ? CMA_CAN_MAP : 0;

// What cma.h can name; a later module may know more.
constexpr std::uint64_t known_features = CMA_CAN_PID | CMA_CAN_PIDFD | CMA_CAN_HANDLE |
                                         CMA_CAN_MANY | CMA_CAN_LARGE | CMA_CAN_REPORT |
                                         CMA_CAN_STRICT | CMA_CAN_WINDOW | map_feature;

const char *device_path()
{
  const char *path = ::secure_getenv("CMA_DEVICE");
  return path != nullptr && *path != '\0' ? path : "/dev/cma";
}

int Device::open()
{
  const int fd = sys::open(device_path(), O_RDWR);
  if (fd < 0)
    return fd;
  info_.size = sizeof(info_);
  if (sys::ioctl(fd, CMA_IOC_INFO, &info_) < 0 || info_.abi_version != CMA_ABI_VERSION) {
    sys::close(fd);
    return -EPROTO;
  }
  fd_ = fd;
  return 0;
}

int Device::handle_open(cma_peer peer) const
{
  cma_ioc_open open = {};
  open.size = sizeof(open);
  open.peer_type = peer.type;
  open.peer = peer.id;
  const int error = sys::ioctl(fd_, CMA_IOC_OPEN, &open);
  return error < 0 ? error : open.handle;
}

int Device::window_create(const void *base, std::size_t length, unsigned int access,
                          unsigned int mode, std::uint64_t &name) const
{
  cma_ioc_window_create create = {};
  create.size = sizeof(create);
  create.base = to_u64(base);
  create.length = length;
  create.access = access;
  create.mode = mode;
  const int error = sys::ioctl(fd_, CMA_IOC_WINDOW_CREATE, &create);
  name = create.window;
  return error;
}

int Device::window_destroy(std::uint64_t name) const
{
  cma_ioc_window_destroy destroy = {};
  destroy.size = sizeof(destroy);
  destroy.window = name;
  return sys::ioctl(fd_, CMA_IOC_WINDOW_DESTROY, &destroy);
}

int Device::window_open(std::uint64_t name, unsigned int access) const
{
  cma_ioc_open open = {};
  open.size = sizeof(open);
  open.peer_type = CMA_PEER_WINDOW;
  open.window = name;
  open.access = access;
  const int error = sys::ioctl(fd_, CMA_IOC_OPEN, &open);
  return error < 0 ? error : open.handle;
}

int Device::map(int handle, std::uint64_t offset, std::size_t length, int protection,
                unsigned int flags, void *&address) const
{
  const bool fixed = (flags & CMA_MAP_FIXED) != 0;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t before = offset % page;
  auto at = fixed ? to_u64(address) - before : 0;
  address = nullptr;
  if ((flags & ~(CMA_MAP_POPULATE | CMA_MAP_FIXED)) != 0 || handle <= 0 || length == 0 ||
      offset >= CMA_MAP_SPACE || length > CMA_MAP_SPACE - offset || at % page != 0)
    return -EINVAL;
  if ((info_.features & CMA_FEATURE_MAP) == 0 || sizeof(off_t) < sizeof(std::uint64_t) ||
      sizeof(void *) < sizeof(std::uint64_t))
    return -EOPNOTSUPP;

  auto *pages = reinterpret_cast<void *>(static_cast<std::uintptr_t>(at));
  const int error =
      sys::map(pages, before + length, protection,
               MAP_SHARED | (fixed ? MAP_FIXED : 0) |
                   ((flags & CMA_MAP_POPULATE) != 0 ? MAP_POPULATE : 0),
               fd_, static_cast<off_t>(CMA_MAP_OFFSET(handle, offset - before)));
  if (error == 0)
    address = static_cast<char *>(pages) + before;
  return error;
}

int Device::handle_close(int handle) const
{
  cma_ioc_close close = {};
  close.size = sizeof(close);
  close.handle = handle;
  return sys::ioctl(fd_, CMA_IOC_CLOSE, &close);
}

void Device::query(cma_limits &limits) const
{
  limits.features = info_.features & known_features;
  limits.max_iov = info_.max_iov;
  limits.max_iov_many = info_.max_iov_many;
  limits.max_bytes = info_.max_bytes;
  limits.max_bytes_large = wide_iovec ? info_.max_bytes_large : info_.max_bytes;
  limits.max_handles = info_.max_handles;
  limits.verdict_ms = info_.verdict_ms;
  limits.abi_version = info_.abi_version;
  static_assert(sizeof(limits.module_version) == sizeof(info_.version));
  std::memcpy(limits.module_version, info_.version, sizeof(info_.version));
  limits.module_version[sizeof(limits.module_version) - 1] = '\0';
}

} // namespace cma
