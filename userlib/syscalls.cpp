// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// How the system calls are made to answer as the device does: copies beyond their
// limits, peers that are no pids, the side that stopped a copy.
#include "syscalls.hpp"
#include "procfs.hpp"
#include "segments.hpp"
#include <algorithm>
#include <climits>
#include <uapi/cma.h>

namespace cma {
namespace {

// The device's limit, so that a program meets the same with both backends.
constexpr size_t max_iov_many = 65536;

// No process has this number: the system calls check the arguments, return 0 for
// no bytes, and only then find nobody.
constexpr pid_t nobody = 0;

size_t whole_pages(size_t bytes)
{
  return bytes & ~(static_cast<size_t>(::sysconf(_SC_PAGESIZE)) - 1);
}

// What one system call moves at most: the kernel's MAX_RW_COUNT.
size_t max_bytes()
{
  return whole_pages(INT_MAX);
}

// What a count of bytes can say; with 32 bits that is not more.
size_t max_bytes_large()
{
  return whole_pages(SSIZE_MAX);
}

size_t limit_of(const cma_request &request)
{
  return (request.flags & CMA_LARGE) != 0 ? max_bytes_large() : max_bytes();
}

bool is_write(const cma_request &request)
{
  return (request.flags & CMA_WRITE) != 0;
}

Segments local_of(const cma_request &request)
{
  return {request.local, request.local_count};
}

Segments remote_of(const cma_request &request)
{
  return {request.remote, request.remote_count};
}

// Returns 1 if there are bytes to copy, 0 if not, or an error, in the kernel's order.
int check_lists(const cma_request &request)
{
  const int local = local_of(request).check(max_iov_many);
  return local <= 0 ? local : remote_of(request).check(max_iov_many);
}

// Copies what one system call cannot, from byte number done on. The lists are good.
ssize_t move_on(pid_t pid, const cma_request &request, size_t done)
{
  Walk local(local_of(request));
  Walk remote(remote_of(request));
  local.skip(done);
  remote.skip(done);
  for (const size_t limit = limit_of(request); done < limit;) {
    const Walk::Piece mine(local, std::min(limit - done, max_bytes()));
    const Walk::Piece theirs(remote, mine.bytes());
    const ssize_t moved = sys::process_vm(is_write(request), pid, mine.list(),
                                          mine.count(), theirs.list(), theirs.count());
    if (moved <= 0)
      return done > 0 ? static_cast<ssize_t>(done) : moved;
    done += moved;
    local.skip(moved);
    remote.skip(moved);
  }
  return static_cast<ssize_t>(done);
}

ssize_t move(pid_t pid, const cma_request &request)
{
  if ((request.flags & CMA_MANY) != 0 &&
      (request.local_count > IOV_MAX || request.remote_count > IOV_MAX)) {
    const int bytes = check_lists(request);
    return bytes <= 0 ? bytes : move_on(pid, request, 0);
  }
  const ssize_t moved =
      sys::process_vm(is_write(request), pid, request.local, request.local_count,
                      request.remote, request.remote_count);
  if ((request.flags & CMA_LARGE) != 0 && moved == static_cast<ssize_t>(max_bytes()))
    return move_on(pid, request, moved);
  return moved;
}

// The kernel does not tell which side stopped a copy. Read the byte at which it
// stopped as the copy did, but into a byte of our own: the side that is read is to
// blame if this fails too, else the side that is written.
Fault find_fault(pid_t pid, const cma_request &request, ssize_t moved)
{
  const Segments local = local_of(request);
  const Segments remote = remote_of(request);
  if (moved == 0 || (moved < 0 && moved != -EFAULT) ||
      (moved < 0 && !(local.readable() && remote.readable())))
    return {};

  const size_t done = moved > 0 ? moved : 0;
  void *local_byte = local.address_of(done);
  void *remote_byte = remote.address_of(done);
  if (local_byte == nullptr || remote_byte == nullptr || done == limit_of(request))
    return {};

  char byte;
  const iovec own = {&byte, 1};
  const iovec source = {is_write(request) ? local_byte : remote_byte, 1};
  const ssize_t probed = is_write(request)
                             ? sys::process_vm(true, ::getpid(), &source, 1, &own, 1)
                             : sys::process_vm(false, pid, &own, 1, &source, 1);
  if (probed < 0 && probed != -EFAULT)
    return {};
  const bool source_stopped = probed < 0;
  if (source_stopped == is_write(request))
    return {CMA_SIDE_LOCAL, to_u64(local_byte)};
  return {CMA_SIDE_REMOTE, to_u64(remote_byte)};
}

ssize_t copy_pid(pid_t pid, const cma_request &request, Fault *fault)
{
  const ssize_t moved = move(pid, request);
  if (fault != nullptr)
    *fault = find_fault(pid, request, moved);
  return moved;
}

// What a copy comes to whose peer cannot be had: bad arguments, and no bytes, come
// before that.
ssize_t refuse(const cma_request &request, int error)
{
  const ssize_t result = move(nobody, request);
  return result == -ESRCH ? error : result;
}

// Whether the process can be found and copied from at all. Access is judged before
// the address is looked at.
int judge(pid_t pid)
{
  char byte;
  const iovec local = {&byte, 1};
  const iovec remote = {nullptr, 1};
  const ssize_t result = sys::process_vm(false, pid, &local, 1, &remote, 1);
  return result >= 0 || result == -EFAULT ? 0 : static_cast<int>(result);
}

} // namespace

int Syscalls::open()
{
  // A filter that refuses (seccomp(2)) is told from a kernel without.
  if (sys::process_vm(false, ::getpid(), nullptr, 0, nullptr, 0) == -ENOSYS)
    return -ENOSYS;
  procfs_ = procfs_is_ours();
  return handles_.create();
}

ssize_t Syscalls::copy(const cma_request &request, Fault *fault) const
{
  switch (request.peer.type) {
  case CMA_PEER_PID:
    return copy_pid(request.peer.id, request, fault);
  case CMA_PEER_PIDFD:
    return copy_pidfd(request, fault);
  case CMA_PEER_HANDLE:
    return copy_handle(request, fault);
  case CMA_PEER_PUBLISHED:
    return refuse(request, -EOPNOTSUPP);
  default:
    return -EINVAL;
  }
}

ssize_t Syscalls::copy_pidfd(const cma_request &request, Fault *fault) const
{
  const pid_t pid = procfs_ ? pidfd_to_pid(request.peer.id) : -EOPNOTSUPP;
  if (pid < 0)
    return refuse(request, pid);
  const ssize_t moved = copy_pid(pid, request, fault);
  return pidfd_to_pid(request.peer.id) == pid ? moved : refuse(request, -ESRCH);
}

ssize_t Syscalls::copy_handle(const cma_request &request, Fault *fault) const
{
  Handles::Slot *slot = handles_.acquire(request.peer.id);
  if (slot == nullptr)
    return refuse(request, -ENOENT);
  ssize_t result = -ESRCH;
  if (!address_space_ended(slot->memory()))
    result = copy_pid(slot->pid(), request, fault);
  if (address_space_ended(slot->memory()))
    result = refuse(request, -ESRCH);
  slot->release();
  return result;
}

int Syscalls::handle_open(cma_peer peer) const
{
  if (peer.type == CMA_PEER_HANDLE || peer.type == CMA_PEER_PUBLISHED || !procfs_)
    return -EOPNOTSUPP;
  if (peer.type != CMA_PEER_PID && peer.type != CMA_PEER_PIDFD)
    return -EINVAL;

  const pid_t pid = peer.type == CMA_PEER_PID ? peer.id : pidfd_to_pid(peer.id);
  if (pid < 0)
    return peer.type == CMA_PEER_PID ? -ESRCH : pid;
  if (const int error = judge(pid); error < 0)
    return error;
  const int memory = open_address_space(pid);
  if (memory < 0)
    return memory;

  int handle = -ESRCH;
  if (peer.type == CMA_PEER_PID || pidfd_to_pid(peer.id) == pid)
    handle = handles_.add(pid, memory);
  if (handle < 0)
    sys::close(memory);
  return handle;
}

void Syscalls::query(cma_limits &limits) const
{
  limits.features =
      CMA_CAN_PID | CMA_CAN_MANY | CMA_CAN_LARGE | CMA_CAN_REPORT | CMA_CAN_STRICT;
  if (procfs_)
    limits.features |= CMA_CAN_PIDFD | CMA_CAN_HANDLE;
  limits.max_iov = IOV_MAX;
  limits.max_iov_many = max_iov_many;
  limits.max_bytes = max_bytes();
  limits.max_bytes_large = max_bytes_large();
  limits.max_handles = Handles::capacity;
}

} // namespace cma
