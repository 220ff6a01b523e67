// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The C functions of cma.h: check whose context it is, choose the backend. The way
// of a copy holds nothing else: no lock, no allocation.
#include "context.hpp"
#include <cstdlib>
#include <new>
#include <unistd.h>

using cma::Fault;

namespace {

constexpr unsigned int copy_flags = CMA_MANY | CMA_LARGE | CMA_STRICT | CMA_INTERRUPTIBLE;

bool uses_device(const cma_context *context)
{
  return context->backend == CMA_BACKEND_DEVICE;
}

inline ssize_t copy(const cma_context *context, const cma_request &request, Fault *fault)
{
  if (!uses_device(context))
    return context->syscalls.copy(request, fault);
  return context->device.copy(request.peer, request.flags, request.local,
                              request.local_count, request.remote, request.remote_count,
                              fault);
}

// What is not inline would only make the device's way longer.
[[gnu::noinline]] ssize_t copy_by_syscall(const cma_context *context, cma_peer peer,
                                          const iovec *local, size_t local_count,
                                          const iovec *remote, size_t remote_count,
                                          unsigned int flags)
{
  const cma_request request = {peer,   flags,       CMA_SIDE_NONE, local,
                               remote, local_count, remote_count,  0};
  return context->syscalls.copy(request, nullptr);
}

inline ssize_t copy_vectors(const cma_context *context, cma_peer peer, const iovec *local,
                            size_t local_count, const iovec *remote, size_t remote_count,
                            unsigned int flags)
{
  if (!uses_device(context))
    return copy_by_syscall(context, peer, local, local_count, remote, remote_count,
                           flags);
  return context->device.copy(peer, flags, local, local_count, remote, remote_count,
                              nullptr);
}

[[gnu::noinline]] ssize_t copy_range_as_list(const cma_context *context, cma_peer peer,
                                             void *local, uintptr_t remote, size_t length,
                                             unsigned int flags)
{
  const iovec to = {local, length};
  const iovec from = {reinterpret_cast<void *>(remote), length};
  return copy_vectors(context, peer, &to, 1, &from, 1, flags);
}

inline ssize_t copy_range(const cma_context *context, cma_peer peer, void *local,
                          uintptr_t remote, size_t length, unsigned int flags)
{
  if (!context->guard.ours())
    return -ESTALE;
  if (uses_device(context) && context->device.takes_ranges())
    return context->device.copy_range(peer, local, remote, length, flags);
  return copy_range_as_list(context, peer, local, remote, length, flags);
}

int open_backend(cma_context &context, unsigned int flags)
{
  if (const int error = context.guard.arm(); error < 0)
    return error;
  if ((flags & CMA_OPEN_SYSCALL) == 0) {
    context.device_error = context.device.open();
    if (context.device_error == 0) {
      context.backend = CMA_BACKEND_DEVICE;
      return 0;
    }
    if ((flags & CMA_OPEN_DEVICE) != 0)
      return context.device_error;
  }
  const int error = context.syscalls.open();
  if (error == 0)
    context.backend = CMA_BACKEND_SYSCALL;
  return error;
}

} // namespace

extern "C" {

int cma_open(struct cma_context **context, unsigned int flags)
{
  *context = nullptr;
  if ((flags & ~(CMA_OPEN_DEVICE | CMA_OPEN_SYSCALL)) != 0 ||
      flags == (CMA_OPEN_DEVICE | CMA_OPEN_SYSCALL))
    return -EINVAL;

  void *memory = std::malloc(sizeof(cma_context));
  if (memory == nullptr)
    return -ENOMEM;
  auto *opened = new (memory) cma_context;
  const int error = open_backend(*opened, flags);
  if (error < 0)
    cma_close(opened);
  else
    *context = opened;
  return error;
}

void cma_close(struct cma_context *context)
{
  if (context == nullptr)
    return;
  context->~cma_context();
  std::free(context);
}

enum cma_backend cma_backend(const struct cma_context *context)
{
  return context != nullptr && context->guard.ours() ? context->backend
                                                     : CMA_BACKEND_NONE;
}

const char *cma_version(void)
{
  return CMA_VERSION;
}

int cma_query(const struct cma_context *context, struct cma_limits *limits)
{
  if (!context->guard.ours())
    return -ESTALE;
  if (limits->size != sizeof(*limits))
    return -EINVAL;
  *limits = {};
  limits->size = sizeof(*limits);
  limits->backend = context->backend;
  limits->device_error = context->device_error;
  if (uses_device(context))
    context->device.query(*limits);
  else
    context->syscalls.query(*limits);
  return 0;
}

int cma_handle_open(struct cma_context *context, struct cma_peer peer)
{
  if (!context->guard.ours())
    return -ESTALE;
  return uses_device(context) ? context->device.handle_open(peer)
                              : context->syscalls.handle_open(peer);
}

int cma_handle_close(struct cma_context *context, int handle)
{
  if (!context->guard.ours())
    return -ESTALE;
  return uses_device(context) ? context->device.handle_close(handle)
                              : context->syscalls.handle_close(handle);
}

int cma_window_create(struct cma_context *context, const void *base, size_t length,
                      unsigned int access, unsigned int mode, uint64_t *name)
{
  *name = 0;
  if (!context->guard.ours())
    return -ESTALE;
  return uses_device(context)
             ? context->device.window_create(base, length, access, mode, *name)
             : -EOPNOTSUPP;
}

int cma_window_publish(struct cma_context *context, unsigned int access,
                       unsigned int mode, uint64_t *name)
{
  *name = 0;
  if (!context->guard.ours())
    return -ESTALE;
  return uses_device(context) ? context->device.window_publish(access, mode, *name)
                              : -EOPNOTSUPP;
}

int cma_window_destroy(struct cma_context *context, uint64_t name)
{
  if (!context->guard.ours())
    return -ESTALE;
  return uses_device(context) ? context->device.window_destroy(name) : -EOPNOTSUPP;
}

int cma_window_open(struct cma_context *context, uint64_t name, unsigned int access)
{
  uint64_t length = 0;
  return cma_window_open_sized(context, name, access, &length);
}

int cma_window_open_sized(struct cma_context *context, uint64_t name, unsigned int access,
                          uint64_t *length)
{
  *length = 0;
  if (!context->guard.ours())
    return -ESTALE;
  return uses_device(context) ? context->device.window_open(name, access, *length)
                              : -EOPNOTSUPP;
}

int cma_map(struct cma_context *context, int handle, uint64_t offset, size_t length,
            int protection, unsigned int flags, void **address)
{
  if (context->guard.ours() && uses_device(context))
    return context->device.map(handle, offset, length, protection, flags, *address);
  *address = nullptr;
  return context->guard.ours() ? -EOPNOTSUPP : -ESTALE;
}

int cma_unmap(void *address, size_t length)
{
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t before = reinterpret_cast<uintptr_t>(address) % page;
  return cma::sys::unmap(static_cast<char *>(address) - before, before + length);
}

int cma_show(const struct cma_context *context, unsigned int how, void *address,
             size_t length)
{
  if (context->guard.ours() && uses_device(context))
    return context->device.show(how, address, length);
  return context->guard.ours() ? -EOPNOTSUPP : -ESTALE;
}

ssize_t cma_copy(const struct cma_context *context, struct cma_request *request)
{
  Fault fault;
  ssize_t result = -ESTALE;
  if (context->guard.ours())
    result = (request->flags & ~(CMA_WRITE | copy_flags)) != 0
                 ? -EINVAL
                 : copy(context, *request, &fault);
  request->fault_side = fault.side;
  request->fault_addr = fault.address;
  return result;
}

ssize_t cma_readv(const struct cma_context *context, struct cma_peer peer,
                  const struct iovec *local, size_t local_count,
                  const struct iovec *remote, size_t remote_count, unsigned int flags)
{
  if (!context->guard.ours())
    return -ESTALE;
  if ((flags & ~copy_flags) != 0)
    return -EINVAL;
  return copy_vectors(context, peer, local, local_count, remote, remote_count, flags);
}

ssize_t cma_writev(const struct cma_context *context, struct cma_peer peer,
                   const struct iovec *local, size_t local_count,
                   const struct iovec *remote, size_t remote_count, unsigned int flags)
{
  if (!context->guard.ours())
    return -ESTALE;
  if ((flags & ~copy_flags) != 0)
    return -EINVAL;
  return copy_vectors(context, peer, local, local_count, remote, remote_count,
                      flags | CMA_WRITE);
}

ssize_t cma_read(const struct cma_context *context, struct cma_peer peer, void *local,
                 uintptr_t remote, size_t length)
{
  return copy_range(context, peer, local, remote, length, 0);
}

ssize_t cma_write(const struct cma_context *context, struct cma_peer peer,
                  const void *local, uintptr_t remote, size_t length)
{
  return copy_range(context, peer, const_cast<void *>(local), remote, length, CMA_WRITE);
}

} // extern "C"
