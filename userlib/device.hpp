// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The device backend: one open file of /dev/cma. A copy is one ioctl and nothing
// else; what the kernel checks is not checked here. The flags and peer types of
// cma.h are those of the kernel's ABI, so that nothing needs translating; only a
// program with 32-bit pointers has its segment lists widened (device_narrow.cpp).
#ifndef CMA_USERLIB_DEVICE_HPP
#define CMA_USERLIB_DEVICE_HPP

#include "fault.hpp"
#include "sys.hpp"
#include <cma.h>
#include <cstdint>
#include <uapi/cma.h>

namespace cma {

static_assert(CMA_WRITE == CMA_COPY_WRITE && CMA_MANY == CMA_COPY_MANY &&
              CMA_LARGE == CMA_COPY_LARGE && CMA_STRICT == CMA_COPY_STRICT);
static_assert(CMA_SIDE_NONE == CMA_FAULT_NONE && CMA_SIDE_LOCAL == CMA_FAULT_LOCAL &&
              CMA_SIDE_REMOTE == CMA_FAULT_REMOTE);

// Whether struct iovec is struct cma_iovec to the byte: on 64-bit architectures.
inline constexpr bool wide_iovec = sizeof(iovec) == sizeof(cma_iovec);
static_assert(!wide_iovec || (offsetof(iovec, iov_base) == offsetof(cma_iovec, base) &&
                              offsetof(iovec, iov_len) == offsetof(cma_iovec, len)));

class Device {
public:
  Device() = default;
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  ~Device()
  {
    if (fd_ >= 0)
      sys::close(fd_);
  }

  // Returns 0, what open(2) says, or -EPROTO where something else answers.
  int open();

  ssize_t copy(const cma_request &request, Fault *fault) const
  {
    if constexpr (wide_iovec)
      return submit(request, request.local, request.remote, fault);
    else
      return widen(request, fault);
  }

  // One segment a side, put into the request itself; see CMA_COPY_SINGLE.
  bool takes_ranges() const { return (info_.features & CMA_FEATURE_SINGLE) != 0; }
  ssize_t copy_range(cma_peer peer, void *local, std::uintptr_t remote,
                     std::size_t length, unsigned int flags) const
  {
    cma_ioc_copy copy = {};
    copy.size = sizeof(copy);
    copy.flags = flags | CMA_COPY_SINGLE;
    copy.peer_type = peer.type;
    copy.peer = peer.id;
    copy.local_iov = to_u64(local);
    copy.remote_iov = remote;
    copy.local_cnt = length;
    copy.remote_cnt = length;
    const int error = sys::ioctl(fd_, CMA_IOC_COPY, &copy);
    return error < 0 ? error : static_cast<ssize_t>(copy.copied);
  }

  int window_create(const void *base, std::size_t length, unsigned int access,
                    unsigned int mode, std::uint64_t &name) const;
  int window_destroy(std::uint64_t name) const;
  int window_open(std::uint64_t name, unsigned int access) const;
  int map(int handle, std::uint64_t offset, std::size_t length, int protection,
          unsigned int flags, void *&address) const;
  int handle_open(cma_peer peer) const;
  int handle_close(int handle) const;
  void query(cma_limits &limits) const;

private:
  // The lists as the kernel reads them, struct cma_iovec; never looked at here.
  ssize_t submit(const cma_request &request, const void *local, const void *remote,
                 Fault *fault) const
  {
    cma_ioc_copy copy = {};
    copy.size = sizeof(copy);
    copy.flags = request.flags;
    copy.peer_type = request.peer.type;
    copy.peer = request.peer.id;
    copy.local_iov = to_u64(local);
    copy.remote_iov = to_u64(remote);
    copy.local_cnt = request.local_count;
    copy.remote_cnt = request.remote_count;
    if (fault != nullptr)
      copy.flags |= CMA_COPY_REPORT;

    const int error = sys::ioctl(fd_, CMA_IOC_COPY, &copy);
    if (fault != nullptr)
      *fault = {static_cast<enum cma_side>(copy.fault_side), copy.fault_addr};
    return error < 0 ? error : static_cast<ssize_t>(copy.copied);
  }

  ssize_t widen(const cma_request &request, Fault *fault) const;

  int fd_ = -1;
  cma_ioc_info info_ = {};
};

// The device file: $CMA_DEVICE, unless in a set-user-id program, or /dev/cma.
const char *device_path();

} // namespace cma

#endif
