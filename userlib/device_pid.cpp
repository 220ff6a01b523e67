// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Copies by pid: the module's from peers that it knows, and the system call's from
// others (known.hpp). Which of them made a copy does not show in what comes of it:
//
//  - What only one of them refuses, the other makes. A filter of system calls may refuse
//    the system call, and in a case or two the module is stricter than the kernel.
//  - Other errors mean the same from both.
//  - What is beyond the system call is the module's alone.
//
// Each way is a function of its own, with no more to do before it than it needs.
#include "device.hpp"

#include <sys/uio.h>

namespace cma {
namespace {

template<typename Object>
Object *to_pointer(std::uint64_t address)
{
  return reinterpret_cast<Object *>(static_cast<std::uintptr_t>(address));
}

bool is_single(const cma_ioc_copy &copy)
{
  return (copy.flags & CMA_COPY_SINGLE) != 0;
}

// What the system call does not do. To tell where a copy stopped, its lists would have to
// be read after it, which may have written to them. Those of a program with 32-bit
// pointers are widened by now. Of the number of segments here it takes 32 bits.
bool is_beyond(const cma_ioc_copy &copy)
{
  return (copy.flags & (CMA_COPY_MANY | CMA_COPY_LARGE | CMA_COPY_REPORT)) != 0 ||
         (!is_single(copy) &&
          (!wide_iovec || copy.local_cnt > UIO_MAXIOV || copy.remote_cnt > UIO_MAXIOV));
}

// Whether what the system call says is what the device would.
bool is_answer(ssize_t moved)
{
  return moved >= 0 || is_same_error(moved);
}

ssize_t make_by_kernel(const cma_ioc_copy &copy)
{
  const bool single = is_single(copy);
  const iovec local = {to_pointer<void>(copy.local_iov),
                       static_cast<std::size_t>(copy.local_cnt)};
  const iovec remote = {to_pointer<void>(copy.remote_iov),
                        static_cast<std::size_t>(copy.remote_cnt)};
  return sys::process_vm(
      (copy.flags & CMA_COPY_WRITE) != 0, copy.peer,
      single ? &local : to_pointer<iovec>(copy.local_iov), single ? 1 : local.iov_len,
      single ? &remote : to_pointer<iovec>(copy.remote_iov), single ? 1 : remote.iov_len);
}

} // namespace

// In a child of fork(2) the table is cleared, if the kernel can: it is of no use there,
// and each page of it would cost the parent a fault.
Known *Device::map_known() const
{
  // Behind a filter of system calls, one that nobody foresaw may be the last.
  if ((info_.features & CMA_FEATURE_KNOWN) == 0 || sys::is_filtered())
    return nullptr;
  auto *known = static_cast<Known *>(sys::map_anonymous(sizeof(Known)));
  if (known != nullptr)
    sys::madvise(known, sizeof(Known), MADV_WIPEONFORK);
  return known;
}

ssize_t Device::make_by_pid(cma_ioc_copy &copy) const
{
  return known_->has(copy.peer) ? make_of_known(copy) : meet(copy);
}

[[gnu::noinline]] ssize_t Device::make_of_known(cma_ioc_copy &copy) const
{
  copy.flags |= CMA_COPY_KNOWN;
  const ssize_t moved = make_by_device(copy);
  if (moved >= 0 || (moved != -EAGAIN && moved != -EPERM))
    return moved;
  copy.flags &= ~CMA_COPY_KNOWN;
  known_->entry_of(copy.peer).forget();
  return meet(copy);
}

// The peer is not known.
[[gnu::noinline]] ssize_t Device::meet(cma_ioc_copy &copy) const
{
  if (is_beyond(copy))
    return learn_by_device(copy);
  const auto peer = known_->entry_of(copy.peer);
  if (peer.is_due(is_single(copy) ? copy.local_cnt : 0))
    return meet_when_due(copy);
  return meet_by_kernel(copy, peer);
}

[[gnu::noinline]] ssize_t Device::meet_when_due(cma_ioc_copy &copy) const
{
  const ssize_t moved = learn_by_device(copy);
  if (moved != -EPERM)
    return moved;
  auto peer = known_->entry_of(copy.peer);
  peer.forget();
  return meet_by_kernel(copy, peer);
}

[[gnu::noinline]] ssize_t Device::meet_by_kernel(cma_ioc_copy &copy,
                                                 Known::Entry peer) const
{
  const ssize_t moved = make_by_kernel(copy);
  if (moved > 0)
    peer.credit(static_cast<std::size_t>(moved));
  return is_answer(moved) ? moved : learn_by_device(copy);
}

[[gnu::noinline]] ssize_t Device::learn_by_device(cma_ioc_copy &copy) const
{
  const ssize_t moved = make_by_device(copy);
  if (moved > 0)
    known_->entry_of(copy.peer).learn();
  return moved;
}

} // namespace cma
