// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The device backend: one open file of /dev/cma. A copy is one ioctl and nothing
// else; what the kernel checks is not checked here. Only by pid, from a process that the
// module does not know, it is one system call (device_pid.cpp). The flags and peer types
// of cma.h are those of the kernel's ABI, so that nothing needs translating; only a
// program with 32-bit pointers has its segment lists widened (device_narrow.cpp).
#ifndef CMA_USERLIB_DEVICE_HPP
#define CMA_USERLIB_DEVICE_HPP

#include "fault.hpp"
#include "known.hpp"
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
    if (known_ != nullptr)
      sys::unmap(known_, sizeof(Known));
  }

  // Returns 0, what open(2) says, or -EPROTO where something else answers.
  int open();

  // A request's flags, peer and lists, each by itself: to build a request for every
  // call would cost more than all else that is done here.
  ssize_t copy(cma_peer peer, std::uint32_t flags, const iovec *local,
               std::size_t local_count, const iovec *remote, std::size_t remote_count,
               Fault *fault) const
  {
    if ((flags & (CMA_MANY | CMA_LARGE | CMA_INTERRUPTIBLE)) != 0)
      return copy_beyond(peer, flags, local, local_count, remote, remote_count, fault);
    return copy_once(peer, flags, local, local_count, remote, remote_count, fault);
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
    return make(copy);
  }

  // Elements combined by the module. Returns bytes of results, or an error: how far it
  // came, and no more, is for a copy to tell.
  bool takes_reductions() const { return (info_.features & CMA_FEATURE_REDUCE) != 0; }
  ssize_t reduce(cma_ioc_reduce &reduction) const
  {
    const int error = sys::ioctl(fd_, CMA_IOC_REDUCE, &reduction);
    return error < 0 ? error : static_cast<ssize_t>(reduction.reduced);
  }

  int window_create(const void *base, std::uint64_t length, unsigned int access,
                    unsigned int mode, std::uint64_t &name,
                    std::uint32_t flags = 0) const;
  int window_publish(unsigned int access, unsigned int mode, std::uint64_t &name) const;
  int window_destroy(std::uint64_t name) const;
  int window_open(std::uint64_t name, unsigned int access, std::uint64_t &length) const;
  int map(int handle, std::uint64_t offset, std::size_t length, int protection,
          unsigned int flags, void *&address) const;
  int show(unsigned int how, const void *address, std::size_t length) const;
  int handle_open(cma_peer peer) const;
  int handle_close(int handle) const;
  void query(cma_limits &limits) const;

private:
  void populate(const void *address, std::size_t length) const;

  ssize_t copy_once(cma_peer peer, std::uint32_t flags, const iovec *local,
                    std::size_t local_count, const iovec *remote,
                    std::size_t remote_count, Fault *fault) const
  {
    if constexpr (wide_iovec)
      return submit(peer, flags, local, local_count, remote, remote_count, fault);
    else
      return widen(peer, flags, local, local_count, remote, remote_count, fault);
  }
  ssize_t copy_beyond(cma_peer peer, std::uint32_t flags, const iovec *local,
                      std::size_t local_count, const iovec *remote,
                      std::size_t remote_count, Fault *fault) const;
  ssize_t go_on(cma_peer peer, std::uint32_t flags, const iovec *local,
                std::size_t local_count, const iovec *remote, std::size_t remote_count,
                std::size_t done, Fault &stopped) const;

  // The lists as the kernel reads them, struct cma_iovec; never looked at here.
  ssize_t submit(cma_peer peer, std::uint32_t flags, const void *local,
                 std::size_t local_count, const void *remote, std::size_t remote_count,
                 Fault *fault) const
  {
    cma_ioc_copy copy = {};
    copy.size = sizeof(copy);
    copy.flags = flags;
    copy.peer_type = peer.type;
    copy.peer = peer.id;
    copy.local_iov = to_u64(local);
    copy.remote_iov = to_u64(remote);
    copy.local_cnt = local_count;
    copy.remote_cnt = remote_count;
    if (fault != nullptr)
      copy.flags |= CMA_COPY_REPORT;

    const ssize_t moved = make(copy);
    if (fault != nullptr)
      *fault = {static_cast<enum cma_side>(copy.fault_side), copy.fault_addr};
    return moved;
  }

  // What more there is to do by pid is not inline: it would make the way by a handle
  // longer.
  ssize_t make(cma_ioc_copy &copy) const
  {
    if (copy.peer_type == CMA_PEER_PID && known_ != nullptr)
      return make_by_pid(copy);
    return make_by_device(copy);
  }
  ssize_t make_by_device(cma_ioc_copy &copy) const
  {
    const int error = sys::ioctl(fd_, CMA_IOC_COPY, &copy);
    return error < 0 ? error : static_cast<ssize_t>(copy.copied);
  }
  ssize_t make_by_pid(cma_ioc_copy &copy) const;
  ssize_t make_of_known(cma_ioc_copy &copy) const;
  ssize_t meet(cma_ioc_copy &copy) const;
  ssize_t meet_when_due(cma_ioc_copy &copy) const;
  ssize_t meet_by_kernel(cma_ioc_copy &copy, Known::Entry peer) const;
  ssize_t learn_by_device(cma_ioc_copy &copy) const;
  Known *map_known() const;

  ssize_t widen(cma_peer peer, std::uint32_t flags, const iovec *local,
                std::size_t local_count, const iovec *remote, std::size_t remote_count,
                Fault *fault) const;

  int fd_ = -1;
  Known *known_ = nullptr; // or the device makes every copy
  cma_ioc_info info_ = {};
};

// The device file: $CMA_DEVICE, unless in a set-user-id program, or /dev/cma.
const char *device_path();

} // namespace cma

#endif
