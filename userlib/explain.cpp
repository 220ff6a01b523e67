// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_explain_call(): errors in words, for whoever asks what to do now: each answer
// names the cause and what would help. What needs no look at the system stands in
// explain_words.cpp, the rules of a refusal in refusal.cpp.
#include "explain.hpp"
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
    return text.add("cma_open() does not know these flags, or they exclude each other: "
                    "give 0, CMA_OPEN_DEVICE or CMA_OPEN_SYSCALL.");
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

// Windows and mappings are the device's.
void explain_no_device(Text &text, const cma_context *context, enum cma_call call)
{
  const char *what = call == CMA_CALL_MAP ? "Mappings" : "Windows";
  if (sizeof(void *) < 8 && call == CMA_CALL_MAP)
    return text.add("A program with 32-bit pointers cannot map a peer's memory: copy "
                    "it, or build the program with 64-bit ones.");
  if (context->backend == CMA_BACKEND_DEVICE)
    return text.add("%s are more than the loaded module can do. Install the module "
                    "that comes with libcma %s, then as root: modprobe -r cma; "
                    "modprobe cma.",
                    what, CMA_VERSION);
  if (context->device_error == 0)
    return text.add("%s need the device, and the context was opened with "
                    "CMA_OPEN_SYSCALL. Open one without.",
                    what);
  text.add("%s need the device, and this context has to do without. ", what);
  const int before = text.length();
  explain_open(text, context->device_error);
  if (text.length() == before)
    add_words(text, CMA_CALL_OPEN, {}, context->device_error);
}

void explain_unsupported(Text &text, const cma_context *context, enum cma_call call,
                         cma_peer peer)
{
  if (call == CMA_CALL_REDUCE &&
      (context->backend == CMA_BACKEND_DEVICE || peer.type <= CMA_PEER_PID))
    return; // it is the operation
  if (peer.type == CMA_PEER_PUBLISHED ||
      (call != CMA_CALL_COPY && call != CMA_CALL_REDUCE && call != CMA_CALL_HANDLE_OPEN))
    return explain_no_device(text, context, call);
  if (call == CMA_CALL_HANDLE_OPEN && peer.type == CMA_PEER_HANDLE)
    return text.add("A handle is opened for a pid or a pidfd, not for a handle: it can "
                    "be used as it is.");
  text.add("Without the device, pidfds and handles need a /proc of this pid namespace. "
           "Mount one, load the module cma, or copy by pid.");
}

// What the system has to be asked about.
void explain_case(Text &text, const cma_context *context, enum cma_call call,
                  cma_peer peer, int error)
{
  const bool of_process =
      call == CMA_CALL_COPY || call == CMA_CALL_REDUCE || call == CMA_CALL_HANDLE_OPEN;
  if (call == CMA_CALL_OPEN)
    explain_open(text, error);
  else if (error == -EPERM && of_process)
    explain_refusal(text, peer, context->backend);
  else if (error == -ESRCH && (of_process || call == CMA_CALL_MAP))
    explain_absence(text, peer);
  else if (error == -EOPNOTSUPP && call != CMA_CALL_UNMAP)
    explain_unsupported(text, context, call, peer);
}

// A copy by cma_published() fails as what it spares: a handle's open.
bool fails_as_open(cma_peer peer, int error)
{
  return peer.type == CMA_PEER_PUBLISHED && (error == -ENOENT || error == -EACCES);
}

// What cma_explain() takes a failure for.
enum cma_call likely_call(const cma_context *context, cma_peer peer, int error)
{
  if (context == nullptr)
    return CMA_CALL_OPEN;
  const bool handle = peer.type == CMA_PEER_HANDLE;
  if (error == -ENOSPC || (error == -EOPNOTSUPP && handle))
    return CMA_CALL_HANDLE_OPEN;
  if (peer.type == 0 || (!handle && (error == -ENOENT || error == -EACCES)))
    return CMA_CALL_WINDOW_OPEN;
  return CMA_CALL_COPY;
}

} // namespace
} // namespace cma

extern "C" {

int cma_explain_call(const struct cma_context *context, enum cma_call call,
                     struct cma_peer peer, int error, char *text, size_t size)
{
  const int saved = errno;
  cma::Text words(text, size);
  if (context == nullptr && call != CMA_CALL_UNMAP)
    call = CMA_CALL_OPEN;
  else if (call <= CMA_CALL_ANY || call > CMA_CALL_REDUCE)
    call = cma::likely_call(context, peer, error);
  if ((call == CMA_CALL_COPY || call == CMA_CALL_REDUCE ||
       call == CMA_CALL_WINDOW_OPEN) &&
      cma::fails_as_open(peer, error))
    call = CMA_CALL_HANDLE_OPEN;
  if (error >= 0)
    words.add("No error.");
  else
    cma::explain_case(words, context, call, peer, error);
  if (words.empty())
    cma::add_words(words, call, peer, error);
  if (words.empty()) {
    errno = -error;
    words.add("%m.");
  }
  errno = saved;
  return words.length();
}

int cma_explain(const struct cma_context *context, struct cma_peer peer, int error,
                char *text, size_t size)
{
  return cma_explain_call(context, CMA_CALL_ANY, peer, error, text, size);
}

} // extern "C"
