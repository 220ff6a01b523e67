// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The device backend off the way of a copy: opening the device, handles, limits.
#include "device.hpp"
#include "segments.hpp"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace cma {

static_assert(CMA_CAN_PID == CMA_FEATURE_COPY_PID &&
              CMA_CAN_PIDFD == CMA_FEATURE_COPY_PIDFD &&
              CMA_CAN_HANDLE == CMA_FEATURE_COPY_HANDLE &&
              CMA_CAN_MANY == CMA_FEATURE_MANY && CMA_CAN_LARGE == CMA_FEATURE_LARGE &&
              CMA_CAN_REPORT == CMA_FEATURE_REPORT &&
              CMA_CAN_STRICT == CMA_FEATURE_STRICT &&
              CMA_CAN_WINDOW == CMA_FEATURE_WINDOW && CMA_CAN_MAP == CMA_FEATURE_MAP &&
              CMA_CAN_POPULATE == CMA_FEATURE_POPULATE &&
              CMA_CAN_SHOW == CMA_FEATURE_SHOW && CMA_CAN_LENGTH == CMA_FEATURE_LENGTH &&
              CMA_CAN_PUBLISH == CMA_FEATURE_PUBLISH);

// A program with 32-bit pointers cannot map.
constexpr std::uint64_t map_features =
    sizeof(void *) == 8 ? CMA_CAN_MAP | CMA_CAN_POPULATE | CMA_CAN_SHOW : 0;

// What cma.h can name; a later module may know more.
constexpr std::uint64_t known_features = CMA_CAN_PID | CMA_CAN_PIDFD | CMA_CAN_HANDLE |
                                         CMA_CAN_MANY | CMA_CAN_LARGE | CMA_CAN_REPORT |
                                         CMA_CAN_STRICT | CMA_CAN_WINDOW |
                                         CMA_CAN_LENGTH | CMA_CAN_PUBLISH | map_features;

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
  known_ = map_known();
  return 0;
}

// A copy that no system call takes in one go ends at a signal, which the caller need
// not see. The kernel has read the lists before it comes to that.
ssize_t Device::copy_beyond(cma_peer peer, std::uint32_t flags, const iovec *local,
                            std::size_t local_count, const iovec *remote,
                            std::size_t remote_count, Fault *fault) const
{
  const bool interruptible = (flags & CMA_INTERRUPTIBLE) != 0;
  flags &= ~CMA_INTERRUPTIBLE; // no flag of the kernel's
  Fault stopped;
  ssize_t moved =
      copy_once(peer, flags, local, local_count, remote, remote_count, &stopped);
  const bool short_of_memory = stopped.side != CMA_SIDE_NONE;
  if (!interruptible && (moved == -EINTR || (moved > 0 && !short_of_memory)))
    moved = go_on(peer, flags, local, local_count, remote, remote_count,
                  static_cast<std::size_t>(std::max<ssize_t>(moved, 0)), stopped);
  if (fault != nullptr)
    *fault = stopped;
  return moved;
}

// Copies on from byte number done, until all is done or something else than a signal
// stops it.
ssize_t Device::go_on(cma_peer peer, std::uint32_t flags, const iovec *local,
                      std::size_t local_count, const iovec *remote,
                      std::size_t remote_count, std::size_t done, Fault &stopped) const
{
  const std::uint64_t limit =
      wide_iovec && (flags & CMA_LARGE) != 0 ? info_.max_bytes_large : info_.max_bytes;
  Walk here({local, local_count});
  Walk there({remote, remote_count});
  here.skip(done);
  there.skip(done);
  while (done < limit && stopped.side == CMA_SIDE_NONE) {
    const Walk::Piece mine(here, limit - done);
    const Walk::Piece theirs(there, mine.bytes());
    if (theirs.bytes() == 0)
      break;
    const ssize_t moved = copy_once(peer, flags, mine.list(), mine.count(), theirs.list(),
                                    theirs.count(), &stopped);
    if (moved == -EINTR)
      continue;
    if (moved <= 0)
      return done > 0 ? static_cast<ssize_t>(done) : moved;
    done += static_cast<std::size_t>(moved);
    here.skip(static_cast<std::size_t>(moved));
    there.skip(static_cast<std::size_t>(moved));
  }
  return static_cast<ssize_t>(done);
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

int Device::window_create(const void *base, std::uint64_t length, unsigned int access,
                          unsigned int mode, std::uint64_t &name,
                          std::uint32_t flags) const
{
  cma_ioc_window_create create = {};
  create.size = sizeof(create);
  create.flags = flags;
  create.base = to_u64(base);
  create.length = length;
  create.access = access;
  create.mode = mode;
  const int error = sys::ioctl(fd_, CMA_IOC_WINDOW_CREATE, &create);
  name = create.window;
  return error;
}

int Device::window_publish(unsigned int access, unsigned int mode,
                           std::uint64_t &name) const
{
  if ((info_.features & CMA_FEATURE_PUBLISH) == 0)
    return -EOPNOTSUPP;
  return window_create(nullptr, std::numeric_limits<std::int64_t>::max(), access, mode,
                       name, CMA_WINDOW_PUBLISH);
}

int Device::window_destroy(std::uint64_t name) const
{
  cma_ioc_window_destroy destroy = {};
  destroy.size = sizeof(destroy);
  destroy.window = name;
  return sys::ioctl(fd_, CMA_IOC_WINDOW_DESTROY, &destroy);
}

// A module that does not know the length leaves it 0.
int Device::window_open(std::uint64_t name, unsigned int access,
                        std::uint64_t &length) const
{
  cma_ioc_open open = {};
  open.size = sizeof(open);
  open.peer_type = CMA_PEER_WINDOW;
  open.window = name;
  open.access = access;
  const int error = sys::ioctl(fd_, CMA_IOC_OPEN, &open);
  if (error < 0)
    return error;
  length = open.length;
  return open.handle;
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
      sys::map(pages, before + length, protection, MAP_SHARED | (fixed ? MAP_FIXED : 0),
               fd_, static_cast<off_t>(CMA_MAP_OFFSET(handle, offset - before)));
  if (error != 0)
    return error;
  address = static_cast<char *>(pages) + before;
  if ((flags & CMA_MAP_POPULATE) != 0)
    populate(address, length);
  return 0;
}

// What cannot be populated is mapped when it is touched.
void Device::populate(const void *address, std::size_t length) const
{
  if ((info_.features & CMA_FEATURE_POPULATE) == 0)
    return;
  cma_ioc_populate populate = {};
  populate.size = sizeof(populate);
  populate.address = to_u64(address);
  populate.length = length;
  sys::ioctl(fd_, CMA_IOC_POPULATE, &populate);
}

int Device::show(unsigned int how, const void *address, std::size_t length) const
{
  if ((info_.features & map_features & CMA_FEATURE_SHOW) == 0)
    return -EOPNOTSUPP;
  cma_ioc_show show = {};
  show.size = sizeof(show);
  show.how = how;
  show.address = to_u64(address);
  show.length = length;
  return sys::ioctl(fd_, CMA_IOC_SHOW, &show);
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
