// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Copies of a program with 32-bit pointers: its segment lists are widened to the
// kernel's, on the stack up to the usual 1024 segments a side. A list too long for
// the call is passed on unread: the kernel refuses it by its count, in its own
// order of checks. Unlike the kernel this code reads the lists itself, so that a
// list that is not the program's memory is its SIGSEGV and not an EFAULT.
#include "device.hpp"
#include <climits>
#include <cstdlib>
#include <memory>

namespace cma {
namespace {

class WideList {
public:
  // Returns false when there is no memory.
  bool fill(const iovec *list, size_t count, std::uint64_t limit)
  {
    list_ = list;
    if (count > limit)
      return true;
    cma_iovec *wide = stack_;
    if (count > IOV_MAX) {
      heap_.reset(static_cast<cma_iovec *>(std::malloc(count * sizeof(cma_iovec))));
      wide = heap_.get();
      if (wide == nullptr)
        return false;
    }
    for (size_t i = 0; i < count; i++)
      wide[i] = {to_u64(list[i].iov_base), list[i].iov_len};
    list_ = wide;
    return true;
  }

  [[nodiscard]] const void *list() const { return list_; }

private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };

  const void *list_ = nullptr;
  std::unique_ptr<cma_iovec, Free> heap_;
  cma_iovec stack_[IOV_MAX];
};

} // namespace

ssize_t Device::widen(cma_peer peer, std::uint32_t flags, const iovec *local,
                      std::size_t local_count, const iovec *remote,
                      std::size_t remote_count, Fault *fault) const
{
  const auto limit = (flags & CMA_MANY) != 0 ? info_.max_iov_many : info_.max_iov;
  WideList wide_local;
  WideList wide_remote;
  if (!wide_local.fill(local, local_count, limit) ||
      !wide_remote.fill(remote, remote_count, limit))
    return -ENOMEM;

  // A count of bytes must fit ssize_t.
  return submit(peer, flags & ~CMA_LARGE, wide_local.list(), local_count,
                wide_remote.list(), remote_count, fault);
}

} // namespace cma
