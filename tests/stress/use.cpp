// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "use.hpp"

#include "../device/support/mapping.hpp"
#include "../device/support/memory.hpp"
#include "../device/support/peer.hpp"
#include "../device/support/twin.hpp"
#include "traffic.hpp"

#include <algorithm>
#include <memory>
#include <sys/mman.h>
#include <sys/uio.h>

namespace cma_test {
namespace {

/// One copy at most; each at the beginning of the caller's memory.
constexpr size_t piece = 1UL << 20;

/// Of the memory that the first use is of; before each page `prepare` is called.
template<class Prepare>
Use loads(pid_t owner, const Prepare &prepare)
{
  auto device = std::make_shared<Device>();
  const int32_t handle = handle_of(*device, owner);
  std::shared_ptr<Mapping> mapping;
  return [=](uintptr_t at, size_t bytes) mutable {
    if (!mapping)
      mapping = std::make_shared<Mapping>(device->fd(), handle, at, bytes, PROT_READ);
    for (size_t i = 0; i < bytes; i += page) {
      prepare(*device, mapping->at(i));
      *reinterpret_cast<const volatile char *>(mapping->at(i));
    }
  };
}

} // namespace

uintptr_t make_sparse(size_t chunks)
{
  void *const at = mmap(nullptr, chunks * chunk, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(at != MAP_FAILED, "mmap of much memory");
  madvise(at, chunks * chunk, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < chunks; i++)
    static_cast<volatile char *>(at)[i * chunk] = 1;
  return reinterpret_cast<uintptr_t>(at);
}

int32_t handle_of(const Device &device, pid_t pid)
{
  return static_cast<int32_t>(device.open(CMA_PEER_PID, pid).result);
}

int64_t read_by_handle(const Device &device, int32_t handle, uintptr_t local,
                       uintptr_t remote, size_t bytes)
{
  const iovec mine = segment(local, bytes);
  const iovec theirs = segment(remote, bytes);
  return run(device, Route::Handle, {0, -1, handle, 0}, {false, &mine, 1, &theirs, 1, 0})
      .result;
}

Use copies_by_handle(pid_t owner)
{
  auto device = std::make_shared<Device>();
  auto mine = std::make_shared<Buffer>(piece);
  const int32_t handle = handle_of(*device, owner);
  return [=](uintptr_t at, size_t bytes) {
    for (size_t i = 0; i < bytes; i += piece)
      read_by_handle(*device, handle, mine->address(), at + i,
                     std::min(piece, bytes - i));
  };
}

Use copies_by_the_system_call(pid_t owner)
{
  auto mine = std::make_shared<Buffer>(piece);
  return [=](uintptr_t at, size_t bytes) {
    for (size_t i = 0; i < bytes; i += piece) {
      const iovec local = segment(mine->address(), std::min(piece, bytes - i));
      const iovec remote = segment(at + i, local.iov_len);
      process_vm_readv(owner, &local, 1, &remote, 1, 0);
    }
  };
}

Use loads_through_a_mapping(pid_t owner)
{
  return loads(owner, [](const Device &, uintptr_t) {});
}

Use loads_after_hiding(pid_t owner)
{
  return loads(owner, [](const Device &device, uintptr_t at) {
    device.show(CMA_HIDE_PAGES, at, page);
    device.show(CMA_SHOW_PAGES, at, page);
  });
}

} // namespace cma_test
