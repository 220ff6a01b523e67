// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_explain(): errors in words. Each answer names the cause and what would help.
// The rules of a refusal are in refusal.cpp.
#include "context.hpp"
#include "procfs.hpp"
#include "refusal.hpp"
#include "text.hpp"
#include <sys/utsname.h>

namespace cma {
namespace {

void explain_missing_device(Text &text, const char *device)
{
  struct stat ignored;
  if (sys::stat("/sys/module/cma", &ignored) == 0) {
    text.add(
        "The module cma is loaded, but there is no %s here. Into a container it must "
        "be passed (--device %s); elsewhere udev or devtmpfs makes it.",
        device, device);
    return;
  }
  utsname kernel = {};
  ::uname(&kernel);
  char list[128];
  std::snprintf(list, sizeof(list), "/lib/modules/%s/modules.dep", kernel.release);
  if (file_contains(list, "/cma.ko"))
    text.add("There is no %s: the module cma is not loaded. As root: modprobe cma.",
             device);
  else
    text.add(
        "There is no %s: the module cma is not installed for this kernel (%s). "
        "Install it (package cma-dkms, or make install), then as root: modprobe cma.",
        device, kernel.release);
}

void explain_closed_device(Text &text, const char *device)
{
  struct stat node = {};
  if (const int error = sys::stat(device, &node); error < 0) {
    text.add("User %u may not look at %s: a directory above it is closed to others.",
             ::geteuid(), device);
    return;
  }
  text.add("User %u may not open %s: it belongs to user %u and group %u with mode %04o. "
           "The udev rule that comes with the module (60-cma.rules) opens it to all, as "
           "every access is judged; or have the user join that group.",
           ::geteuid(), device, node.st_uid, node.st_gid, node.st_mode & 07777);
}

void explain_open(Text &text, int error)
{
  const char *device = device_path();
  switch (-error) {
  case ENOENT:
    return explain_missing_device(text, device);
  case EACCES:
    return explain_closed_device(text, device);
  case EPERM:
    return text.add("The device controller of this process's control group refuses %s. "
                    "Pass the device to the container (--device %s).",
                    device, device);
  case ENXIO:
  case ENODEV:
    return text.add("%s is left over from a module that is not loaded. As root: "
                    "modprobe cma.",
                    device);
  case EPROTO:
    return text.add("%s does not speak the ABI of this library (version %d): the module "
                    "and libcma %s are not of one kind. Install both from one release, "
                    "then as root: modprobe -r cma; modprobe cma.",
                    device, CMA_ABI_VERSION, CMA_VERSION);
  case ENOSYS:
    return text.add("This kernel has no process_vm_readv(2) "
                    "(CONFIG_CROSS_MEMORY_ATTACH), and %s cannot be used.",
                    device);
  case EINVAL:
    return text.add("cma_open() does not know these flags, or they exclude each other.");
  default:
    return;
  }
}

void explain_absence(Text &text, cma_peer peer)
{
  if (peer.type == CMA_PEER_HANDLE)
    return text.add("The process of handle %d exited or called execve(2). Open a new "
                    "handle if it still runs.",
                    peer.id);
  const pid_t pid = pid_of(peer);
  ProcessStatus status = {};
  if (pid <= 0 && peer.type == CMA_PEER_PIDFD)
    text.add("The process of pidfd %d has exited, or is not in this pid namespace.",
             peer.id);
  else if (pid <= 0 || read_process_status(pid, status) == -ENOENT)
    text.add("There is no process %d in this pid namespace; it may have exited.",
             peer.id);
  else if (status.zombie)
    text.add("Process %d has exited; its parent has not waited for it yet.", pid);
  else if (!status.has_memory)
    text.add("Process %d has no memory of its own: it is a kernel thread.", pid);
  else
    text.add("Process %d was not there when it was asked for; it is now.", pid);
}

void explain_copy(Text &text, const cma_context *context, cma_peer peer, int error)
{
  switch (-error) {
  case EPERM:
    return explain_refusal(text, peer, context->backend);
  case ESRCH:
    return explain_absence(text, peer);
  case EFAULT:
    return text.add("No byte could be moved: the first one is not mapped, or not for "
                    "this kind of access, in this process or in the peer. cma_copy() "
                    "tells which in fault_side and fault_addr.");
  case EBADF:
    return text.add("Descriptor %d is not a pidfd (pidfd_open(2)).", peer.id);
  case ENOENT:
    if (peer.type != CMA_PEER_HANDLE)
      return text.add("There is no window of this name: it ended, or never was.");
    return text.add("%d is not an open handle of this context.", peer.id);
  case EIDRM:
    return text.add("The window of handle %d was ended by its owner, or with it.",
                    peer.id);
  case EACCES:
    return text.add("The window does not allow this: its mode, or its access bits, "
                    "leave out this user or this direction. Its owner can create one "
                    "that allows it.");
  case EOPNOTSUPP:
    if (peer.type == CMA_PEER_HANDLE)
      return text.add("A handle is opened for a pid or a pidfd, not for a handle.");
    return text.add(
        "Without the device there are no windows, and pidfds and handles need "
        "a /proc of this pid namespace.");
  case EINVAL:
    return text.add("The call has unknown flags, an unknown type of peer, too many "
                    "segments (see CMA_MANY) or a length above SSIZE_MAX.");
  case ENOSPC:
    return text.add("The context holds as many handles as it can (cma_query() tells how "
                    "many). Close some, or open another context.");
  case ESTALE:
    return text.add("The context was opened by another process, of which this one is a "
                    "fork. Open one here.");
  default:
    return;
  }
}

} // namespace
} // namespace cma

extern "C" int cma_explain(const struct cma_context *context, struct cma_peer peer,
                           int error, char *text, size_t size)
{
  const int saved = errno;
  cma::Text words(text, size);
  if (error >= 0)
    words.add("No error.");
  else if (context == nullptr)
    cma::explain_open(words, error);
  else
    cma::explain_copy(words, context, peer, error);
  if (words.empty()) {
    errno = -error;
    words.add("%m.");
  }
  errno = saved;
  return words.length();
}
