// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// One table: for a call and an error, what happened and what to do about it. A row for
// every call (CMA_CALL_ANY) comes last and holds where the call has none of its own. A
// reduction fails as the copies that it is made of. The errors are those that the headers
// document; explain.cpp has the ones that need a look at the system.
#include "explain.hpp"
#include <cerrno>

namespace cma {
namespace {

struct Words {
  enum cma_call call;
  int error;
  const char *text; // may name the peer's number, once: %d
};

constexpr Words table[] = {
    {CMA_CALL_QUERY, EINVAL,
     "limits->size is not that of this library's struct cma_limits: set it to sizeof "
     "before the call, and build the program with the cma.h of the libcma that it runs "
     "with."},

    {CMA_CALL_REDUCE, EINVAL,
     "The reduction has an unknown operation, type, flag or type of peer, no peer or "
     "more than CMA_MAX_OPERANDS, more elements to pass over than there are, a list that "
     "holds less of them than that, or a segment with a part of one."},
    {CMA_CALL_REDUCE, EOPNOTSUPP,
     "Bitwise and logical operations are for integers, not for float and double."},
    {CMA_CALL_REDUCE, EFAULT,
     "No element could be reduced: the first one is not mapped, or not to be read, in "
     "the peer that fault_operand tells, at fault_addr; /proc/PID/maps has what is "
     "mapped."},

    {CMA_CALL_COPY, EINVAL,
     "The copy has unknown flags, an unknown type of peer (cma_pid(), cma_pidfd(), "
     "cma_published() and cma_handle() make them), more segments on one side than 1024 "
     "(more with CMA_MANY), "
     "or a length above SSIZE_MAX."},
    {CMA_CALL_COPY, EFAULT,
     "No byte could be moved: the first one is not mapped, or not for this kind of "
     "access, in this process or in the peer. cma_copy() tells which in fault_side and "
     "fault_addr; /proc/PID/maps has what is mapped."},
    {CMA_CALL_COPY, EBADF,
     "Descriptor %d is not a pidfd: get one from pidfd_open(2), or copy by pid."},
    {CMA_CALL_COPY, ENOENT,
     "%d is not an open handle of this context: a handle is good from cma_handle_open() "
     "or cma_window_open() to cma_handle_close(), in the context it was opened in."},
    {CMA_CALL_COPY, EIDRM,
     "The window of handle %d was ended by its owner, or with it. Close the handle, and "
     "ask for the name of a new window."},
    {CMA_CALL_COPY, EACCES,
     "The window of handle %d does not allow copies in this direction. Its owner can "
     "create one with CMA_ACCESS_READ and CMA_ACCESS_WRITE; cma_window_open() with the "
     "access that is needed tells at once whether it is there."},
    {CMA_CALL_COPY, ENOMEM,
     "The kernel has no memory for the copy: free some, or raise the limit of this "
     "process's control group (memory.max), and copy again."},

    {CMA_CALL_HANDLE_OPEN, EINVAL,
     "A handle is opened for a peer that cma_pid(), cma_pidfd() or cma_published() "
     "made."},
    {CMA_CALL_HANDLE_OPEN, EBADF,
     "Descriptor %d is not a pidfd: get one from pidfd_open(2), or open the handle by "
     "pid."},
    {CMA_CALL_HANDLE_OPEN, ENOSPC,
     "As many handles are open as may be: in this context (max_handles of "
     "cma_query()), or by all processes of this user (max_user_handles and "
     "max_user_spaces of the module cma). Close some, open another context, or have the "
     "module's bound raised."},
    {CMA_CALL_HANDLE_OPEN, ENOENT,
     "Process %d publishes no window: have it call cma_window_publish(), again after "
     "fork(2) and execve(2), or run it by cma run --policy window."},
    {CMA_CALL_HANDLE_OPEN, EACCES,
     "The window that process %d publishes does not allow this user that access: its "
     "mode (as a file's, for the owner's user, group, and others) or its access bits "
     "leave it out."},
    {CMA_CALL_HANDLE_CLOSE, ENOENT,
     "This handle is not open in this context: it was closed before, or opened in "
     "another one."},

    {CMA_CALL_WINDOW_CREATE, EINVAL,
     "A window has a length above 0 that does not reach beyond the address space, an "
     "access of CMA_ACCESS_READ or CMA_ACCESS_WRITE or both, and a mode of read and "
     "write "
     "bits alone, as 0600 or 0666."},
    {CMA_CALL_WINDOW_CREATE, ENOSPC,
     "As many windows exist as may: in this context (max_handles of cma_query()), or of "
     "all processes of this user (max_user_windows and max_user_spaces of the module "
     "cma). Destroy some, open another context, or have the module's bound raised; one "
     "window can be of the whole address space."},
    {CMA_CALL_WINDOW_CREATE, EEXIST,
     "This process publishes a window, and one is all that it can: destroy that one "
     "first."},
    {CMA_CALL_WINDOW_DESTROY, ENOENT,
     "This context holds no window of this name: it was destroyed before, or is another "
     "context's, which alone can destroy it."},
    {CMA_CALL_WINDOW_OPEN, EINVAL,
     "The access wanted is CMA_ACCESS_READ or CMA_ACCESS_WRITE or both, or 0 for all "
     "that there is."},
    {CMA_CALL_WINDOW_OPEN, ENOENT,
     "There is no window of this name: it ended, or never was. Ask its owner, who has to "
     "keep its context open, for the name of one."},
    {CMA_CALL_WINDOW_OPEN, EIDRM,
     "The window was ended by its owner in this moment. Ask for the name of a new one."},
    {CMA_CALL_WINDOW_OPEN, ESRCH,
     "The process that created the window exited or called execve(2), and its memory is "
     "gone. Have it create another, if it still runs."},
    {CMA_CALL_WINDOW_OPEN, EACCES,
     "The window does not allow this user that access: its mode (as a file's, for the "
     "owner's user, group, and others) or its access bits leave it out. Its owner can "
     "create one with another mode; or ask for less access, or for 0, all there is."},
    {CMA_CALL_WINDOW_OPEN, ENOSPC,
     "As many handles are open as may be: in this context (max_handles of "
     "cma_query()), or by all processes of this user (max_user_handles and "
     "max_user_spaces of the module cma). Close some, open another context, or have the "
     "module's bound raised."},

    {CMA_CALL_MAP, EINVAL,
     "A mapping has a handle, a length above 0, an end below 2^48, no flags but "
     "CMA_MAP_POPULATE and CMA_MAP_FIXED, and with the latter an address that lies in "
     "its page where the offset lies in its own."},
    {CMA_CALL_MAP, EACCES,
     "Handle %d does not allow this mapping. PROT_READ needs a handle that can be read, "
     "PROT_WRITE one that can be written, too; PROT_EXEC cannot be had. Ask for less, or "
     "have a window's owner create one that allows more."},
    {CMA_CALL_MAP, EPERM,
     "A peer's memory cannot be mapped with PROT_EXEC. Map it with PROT_READ, and "
     "PROT_WRITE."},
    {CMA_CALL_MAP, ENXIO,
     "Handle %d does not reach all of the pages around these bytes. A window is mapped "
     "by whole pages that are all its own: map less, or have its owner create it from "
     "the beginning of a page to the end of one."},
    {CMA_CALL_MAP, ENOENT,
     "%d is not an open handle of this context: a handle is good from cma_handle_open() "
     "or cma_window_open() to cma_handle_close(), in the context it was opened in."},
    {CMA_CALL_MAP, EIDRM,
     "The window of handle %d was ended by its owner, or with it. Close the handle, and "
     "ask for the name of a new window."},
    {CMA_CALL_MAP, ENOMEM,
     "There is no room for the mapping: this process has as many as it may "
     "(vm.max_map_count), or as much address space (ulimit -v), or the kernel has no "
     "memory. Unmap some, or raise the limit."},
    {CMA_CALL_UNMAP, EINVAL,
     "These bytes are not in the address space, or there are none. Give an address that "
     "cma_map() returned, or one within, and a length above 0."},

    {CMA_CALL_ANY, EMFILE,
     "This process has as many files open as it may (ulimit -n). Close some, or raise "
     "the limit."},
    {CMA_CALL_ANY, ENFILE,
     "The system has as many files open as it may (fs.file-max). Close some; as root, "
     "raise the limit."},
    {CMA_CALL_ANY, EINTR, "A signal came before anything was done. Call again."},
    {CMA_CALL_ANY, ENOMEM,
     "There is no memory for this: free some, or raise the limit of this process's "
     "control group (memory.max)."},
    {CMA_CALL_ANY, ESTALE,
     "The context was opened by another process, of which this one is a fork. Open one "
     "here."},
};

} // namespace

void add_words(Text &text, enum cma_call call, cma_peer peer, int error)
{
  for (const Words &words : table)
    if ((words.call == call || words.call == CMA_CALL_ANY ||
         (call == CMA_CALL_REDUCE && words.call == CMA_CALL_COPY)) &&
        words.error == -error)
      return text.add(words.text, peer.id);
}

} // namespace cma
