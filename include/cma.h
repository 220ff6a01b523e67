/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file cma.h
 * libcma: move data between the processes of one machine with a single copy.
 *
 * A context is a way to other processes' memory: /dev/cma where the module is
 * loaded, otherwise process_vm_readv(2) and process_vm_writev(2). Both give
 * the same results, so that a program linked with libcma runs everywhere;
 * cma_backend() tells which it is.
 *
 * Results: functions that move data return the number of bytes moved, others
 * 0; every failure is a negative errno value. errno itself is never set. No
 * function prints, and none allocates or takes a lock on the way of a copy
 * (one exception: a 32-bit program's call with more than 1024 segments).
 *
 * Threads: every function may be called from any thread at any time, except
 * that cma_close() must be the last call on its context.
 *
 * Fork: a context belongs to the process that opened it. In a child made by
 * fork(2) every call on it fails with -ESTALE, except cma_close(), which gives
 * back what the child inherited; the child opens a context of its own. So a
 * child never acts in its parent's name by accident.
 */
#ifndef CMA_H
#define CMA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CMA_VERSION_MAJOR 0
#define CMA_VERSION_MINOR 1
#define CMA_VERSION_PATCH 0
#define CMA_VERSION "0.1.0"

#if defined(__GNUC__)
#define CMA_API __attribute__((visibility("default")))
#else
#define CMA_API
#endif

/** A way to other processes' memory; opaque. */
struct cma_context;

/** By what means a context moves data. */
enum cma_backend {
	CMA_BACKEND_NONE = 0,	 /**< no context, or one of another process */
	CMA_BACKEND_DEVICE = 1,	 /**< /dev/cma */
	CMA_BACKEND_SYSCALL = 2, /**< process_vm_readv(2), _writev(2) */
};

/** cma_open(): fail rather than fall back to the system calls. */
#define CMA_OPEN_DEVICE (1U << 0)
/** cma_open(): use the system calls even where there is a device. */
#define CMA_OPEN_SYSCALL (1U << 1)

/**
 * Open a context.
 *
 * @param[out] context the new context; NULL after a failure
 * @param flags 0, CMA_OPEN_DEVICE or CMA_OPEN_SYSCALL
 * @return 0, or
 *  -EINVAL: unknown flags, or both;
 *  -ENOENT, -EACCES, -EMFILE, ...: CMA_OPEN_DEVICE, and open(2) of the device
 *   failed so;
 *  -EPROTO: CMA_OPEN_DEVICE, and the device does not speak this library's ABI;
 *  -ENOSYS: the system calls were wanted, and this kernel has none;
 *  -ENOMEM.
 *
 * Without CMA_OPEN_DEVICE a device that cannot be used is no failure;
 * cma_query() tells why it was not used. The environment variable CMA_DEVICE
 * names another device file than /dev/cma; it is ignored in set-user-id
 * programs.
 */
CMA_API int cma_open(struct cma_context **context, unsigned int flags);

/**
 * Close a context and its handles. NULL is allowed.
 *
 * @param context from cma_open(); must not be used any more
 */
CMA_API void cma_close(struct cma_context *context);

/**
 * @param context from cma_open(), or NULL
 * @return by what means the context moves data
 */
CMA_API enum cma_backend cma_backend(const struct cma_context *context);

/** @return the library's version, "major.minor.patch" */
CMA_API const char *cma_version(void);

/** cma_limits.features: what a context can do. */
#define CMA_CAN_PID (1ULL << 0)	      /**< peers by pid */
#define CMA_CAN_PIDFD (1ULL << 1)     /**< peers by pidfd */
#define CMA_CAN_HANDLE (1ULL << 2)    /**< peers by handle */
#define CMA_CAN_MANY (1ULL << 3)      /**< CMA_MANY */
#define CMA_CAN_LARGE (1ULL << 4)     /**< CMA_LARGE */
#define CMA_CAN_REPORT (1ULL << 5)    /**< cma_request.fault_side, fault_addr */
#define CMA_CAN_STRICT (1ULL << 6)    /**< CMA_STRICT */
#define CMA_CAN_WINDOW (1ULL << 8)    /**< windows */
#define CMA_CAN_MAP (1ULL << 9)	      /**< cma_map() */
#define CMA_CAN_POPULATE (1ULL << 10) /**< CMA_MAP_POPULATE */
#define CMA_CAN_SHOW (1ULL << 12)     /**< cma_show() */
#define CMA_CAN_LENGTH (1ULL << 13)   /**< cma_window_open_sized() */
#define CMA_CAN_PUBLISH (1ULL << 15)  /**< cma_window_publish() */

/** What a context can do, and its limits; filled in by cma_query(). */
struct cma_limits {
	/** in: sizeof(struct cma_limits), so that the structure can grow */
	size_t size;
	/** by what means the context moves data */
	enum cma_backend backend;
	/** why the device is not used, a negative errno value; 0: it is used,
	 *  or CMA_OPEN_SYSCALL was given */
	int device_error;
	/** CMA_CAN_* */
	uint64_t features;
	/** segments a side: by default, with CMA_MANY */
	uint64_t max_iov, max_iov_many;
	/** bytes a copy: by default, with CMA_LARGE */
	uint64_t max_bytes, max_bytes_large;
	/** handles that the context can hold */
	uint32_t max_handles;
	/** milliseconds for which a permission verdict may be reused */
	uint32_t verdict_ms;
	/** the module's ABI version; 0 without the device */
	uint32_t abi_version;
	/** the module's version; empty without the device */
	char module_version[32];
};

/**
 * Tell what a context can do.
 *
 * @param context from cma_open()
 * @param[in,out] limits its size field set by the caller
 * @return 0, -EINVAL (limits->size is none that this library knows), -ESTALE
 */
CMA_API int cma_query(const struct cma_context *context,
		      struct cma_limits *limits);

/**
 * Whose memory: a process by pid, by pidfd, by the window that it published, or
 * an opened handle. Made by cma_pid(), cma_pidfd(), cma_published() and
 * cma_handle(); a plain value.
 */
struct cma_peer {
	uint32_t type; /**< 1 pid, 2 pidfd, 3 handle, 5 published window */
	int32_t id;
};

/** @param pid a process or thread in the caller's pid namespace */
static inline struct cma_peer cma_pid(pid_t pid)
{
	struct cma_peer peer = {1, pid};
	return peer;
}

/** @param pidfd a descriptor of pidfd_open(2) or clone(2); stays the caller's */
static inline struct cma_peer cma_pidfd(int pidfd)
{
	struct cma_peer peer = {2, pidfd};
	return peer;
}

/**
 * By the window that the process published (cma_window_publish()), and not by the
 * rules of ptrace. The addresses are the peer's own.
 *
 * @param pid a process or thread in the caller's pid namespace
 */
static inline struct cma_peer cma_published(pid_t pid)
{
	struct cma_peer peer = {5, pid};
	return peer;
}

/** @param handle from cma_handle_open() on the same context */
static inline struct cma_peer cma_handle(int handle)
{
	struct cma_peer peer = {3, handle};
	return peer;
}

/**
 * Open a handle: permission is judged once, and copies through it cost less.
 * It is bound to the peer's address space as it is now and ends with the
 * peer's exit or execve(2): later use is -ESRCH. It does not keep the peer's
 * memory alive.
 *
 * @param context from cma_open()
 * @param peer from cma_pid(), cma_pidfd() or cma_published()
 * @return the handle, above 0, valid in this context only; or -ESRCH, -EPERM, -EBADF,
 *  -ENOENT, -EACCES (see cma_copy()), -EOPNOTSUPP (the peer is itself a handle),
 *  -ENOSPC (cma_limits.max_handles are open, or all processes of the user have
 *  as many as it may have: cma(4)), -EMFILE, -ENOMEM, -ESTALE
 */
CMA_API int cma_handle_open(struct cma_context *context, struct cma_peer peer);

/**
 * Close a handle. A copy that is under way through it comes to its end.
 *
 * @param context from cma_open()
 * @param handle from cma_handle_open()
 * @return 0, or -ENOENT (no such handle), -ESTALE
 */
CMA_API int cma_handle_close(struct cma_context *context, int handle);

/** What a window lets others do with its memory. */
#define CMA_ACCESS_READ (1U << 0)
#define CMA_ACCESS_WRITE (1U << 1)

/**
 * Let others reach a part of this process's memory by a name: a window. It
 * works where the rules of ptrace refuse (Yama, containers, other users),
 * because its owner said yes. Needs the device.
 *
 * @param context from cma_open()
 * @param base the window's first byte
 * @param length bytes, above 0; the range may have holes, and may be the whole
 *  address space (NULL, INTPTR_MAX)
 * @param access CMA_ACCESS_* that others can get
 * @param mode who can get it, as in a file's mode (read and write bits of
 *  owner, group and others, such as 0600); the ids are the file system's now
 * @param[out] name a random number above 0 and below 2^63, to be handed to
 *  whom it concerns
 * @return 0, or -EINVAL (length, access, mode), -ENOSPC (cma_limits.max_handles
 *  windows exist, or all processes of the user have as many as it may have:
 *  cma(4)), -EOPNOTSUPP (no device), -ENOMEM, -ESTALE
 *
 * The window ends with cma_window_destroy(), with the context, and with this
 * process's memory (exit, execve(2)). A child of fork(2) is not part of it,
 * but the context is not closed before its child's copy is (cma_close()).
 */
CMA_API int cma_window_create(struct cma_context *context, const void *base,
			      size_t length, unsigned int access,
			      unsigned int mode, uint64_t *name);

/**
 * Let others reach all of this process's memory by its pid, cma_published(): a
 * window (cma_window_create()) of the whole address space whose name nobody need be
 * told. One process has one at most; a child of fork(2), and the program after
 * execve(2), has none until it publishes its own.
 *
 * @param context from cma_open()
 * @param access CMA_ACCESS_* that others can get
 * @param mode who can get it, as in a file's mode; with 0600, every process of this
 *  user may use this one's memory
 * @param[out] name the window's, for cma_window_destroy()
 * @return as cma_window_create(), or -EEXIST: this process publishes a window; also
 *  -EOPNOTSUPP: the module cannot (CMA_CAN_PUBLISH)
 */
CMA_API int cma_window_publish(struct cma_context *context, unsigned int access,
			       unsigned int mode, uint64_t *name);

/**
 * End a window. Copies through handles of it fail with -EIDRM from now on. Once
 * the call has returned, no byte of the window's memory is copied any more: a
 * copy that is under way ends, short or with -EIDRM, whatever it waits for.
 *
 * @param context that it was created in
 * @param name from cma_window_create()
 * @return 0, or -ENOENT (no such window of this context), -EOPNOTSUPP, -ESTALE
 */
CMA_API int cma_window_destroy(struct cma_context *context, uint64_t name);

/**
 * Open a handle of another process's window. Remote addresses of copies
 * through it are offsets from the window's beginning, and its end is a hole in
 * the peer's memory.
 *
 * @param context from cma_open()
 * @param name from the owner's cma_window_create()
 * @param access CMA_ACCESS_* that is wanted; 0: all there is
 * @return the handle, above 0, for cma_handle() and cma_handle_close(); or
 *  -ENOENT (no such window), -ESRCH (its owner's memory is gone), -EACCES
 *  (its mode does not allow that), -EIDRM (it ended meanwhile), -EINVAL,
 *  -ENOSPC (as cma_handle_open()), -EOPNOTSUPP (no device), -ENOMEM, -ESTALE
 */
CMA_API int cma_window_open(struct cma_context *context, uint64_t name,
			    unsigned int access);

/**
 * Open a handle of another process's window, and be told how long that is.
 *
 * @param context from cma_open()
 * @param name from the owner's cma_window_create()
 * @param access CMA_ACCESS_* that is wanted; 0: all there is
 * @param[out] length the window's length in bytes; 0 after a failure, or where
 *  the module does not tell (CMA_CAN_LENGTH)
 * @return as cma_window_open()
 */
CMA_API int cma_window_open_sized(struct cma_context *context, uint64_t name,
				  unsigned int access, uint64_t *length);

/** cma_map(): have what is there mapped when the call returns, as far as that
 *  succeeds; without CMA_CAN_POPULATE it does nothing. */
#define CMA_MAP_POPULATE (1U << 0)
/** cma_map(): map at this very address, in place of what is mapped there. */
#define CMA_MAP_FIXED (1U << 1)

/**
 * Map a part of a peer's memory: loads and stores reach it without a system
 * call. Needs the device, and a 64-bit program.
 *
 * The mapping follows the peer's address space. Memory that the peer does not
 * have, or may not access so itself, is SIGBUS on touch, as all of it is once
 * the peer or the window has ended; what the peer maps there later can be
 * touched. Nothing is pinned and nothing of the peer's memory is kept. The
 * mapping stays until cma_unmap() or munmap(2), whether or not the handle or
 * the context is closed before; a child of fork(2) does not inherit it, and no
 * core dump holds it. The kernel does not take it for direct I/O, vmsplice(2)
 * or RDMA registration (EFAULT).
 *
 * @param context from cma_open()
 * @param handle from cma_handle_open() or cma_window_open()
 * @param offset bytes from the beginning of the page that the handle's memory
 *  begins in: the address in a peer that was opened by pid, and the offset in a
 *  window that begins with a page; below 2^48
 * @param length bytes, above 0; the pages around them must all be the handle's
 * @param protection PROT_READ, and PROT_WRITE where the handle allows it
 * @param flags CMA_MAP_POPULATE, CMA_MAP_FIXED
 * @param[in,out] address out: where the byte at offset is mapped, NULL after a
 *  failure; in: where it shall be, with CMA_MAP_FIXED, at the same place in
 *  its page as offset
 * @return 0, or
 *  -EINVAL: flags, offset, length, or *address does not go with offset;
 *  -EACCES: the handle does not allow that, or PROT_EXEC;
 *  -ENXIO: a page is not, or not all of it, the handle's;
 *  -ENOENT: not a handle; -ESRCH: its process exited or called execve(2);
 *  -EIDRM: its window ended;
 *  -EOPNOTSUPP: no device, or its module cannot (CMA_CAN_MAP);
 *  -ENOMEM; -ESTALE
 */
CMA_API int cma_map(struct cma_context *context, int handle, uint64_t offset,
		    size_t length, int protection, unsigned int flags,
		    void **address);

/**
 * Unmap what cma_map() mapped, or a part of it: munmap(2) of the pages around
 * these bytes.
 *
 * @param address from cma_map(), or within
 * @param length bytes
 * @return 0, or -EINVAL
 */
CMA_API int cma_unmap(void *address, size_t length);

/** cma_show(): the pages can be touched. */
#define CMA_SHOW_PAGES 1
/** cma_show(): the same, and none of the mapping's others. */
#define CMA_SHOW_ONLY 2
/** cma_show(): they cannot be touched any more. */
#define CMA_HIDE_PAGES 3

/**
 * Choose which pages of a mapping can be touched: all at first. Hiding pages and
 * showing them again is many times cheaper than to unmap and map them.
 *
 * To touch a hidden page is SIGSEGV, as if nothing were mapped there, and a system
 * call that is given it fails with EFAULT. When the call returns, no thread
 * reaches the peer's page by it any more.
 *
 * @param context any that is open on the device
 * @param how CMA_SHOW_PAGES, CMA_SHOW_ONLY or CMA_HIDE_PAGES
 * @param address the first page, in a mapping by cma_map()
 * @param length bytes, a multiple of the page size, above 0
 * @return 0, or, with nothing changed,
 *  -EINVAL: how, address or length;
 *  -EFAULT: the pages are not all in one mapping, or lie in different parts of one
 *  that was split, as mprotect(2) and munmap(2) of a part do;
 *  -E2BIG: the mapping is larger than 1 GiB; -ENOMEM;
 *  except when hiding: -ESRCH: the peer exited or called execve(2); -EIDRM: the
 *  window ended;
 *  -EOPNOTSUPP: no device, or its module cannot (CMA_CAN_SHOW); -ESTALE
 */
CMA_API int cma_show(const struct cma_context *context, unsigned int how,
		     void *address, size_t length);

/** Copy local to remote; without it, remote to local. Only for cma_copy(). */
#define CMA_WRITE (1U << 0)
/** Allow cma_limits.max_iov_many segments a side instead of 1024. */
#define CMA_MANY (1U << 1)
/** Move up to cma_limits.max_bytes_large bytes instead of 0x7ffff000. */
#define CMA_LARGE (1U << 2)
/** Let the kernel judge access for this very call, whatever was judged before. */
#define CMA_STRICT (1U << 4)
/** End a copy beyond the limits that CMA_MANY and CMA_LARGE lift at any signal,
 *  with the bytes moved so far, or -EINTR if there are none. */
#define CMA_INTERRUPTIBLE (1U << 16)

/** Whose memory stopped a copy. */
enum cma_side {
	CMA_SIDE_NONE = 0,
	CMA_SIDE_LOCAL = 1,
	CMA_SIDE_REMOTE = 2,
};

/** A copy with all it can take and tell; see cma_copy(). */
struct cma_request {
	/** in: whose memory the remote segments are */
	struct cma_peer peer;
	/** in: CMA_WRITE, CMA_MANY, CMA_LARGE, CMA_STRICT, CMA_INTERRUPTIBLE */
	uint32_t flags;
	/** out: whose memory stopped the copy */
	enum cma_side fault_side;
	/** in: the caller's memory */
	const struct iovec *local;
	/** in: the peer's memory; addresses are the peer's */
	const struct iovec *remote;
	/** in: segments at local, at remote */
	size_t local_count, remote_count;
	/** out: the address at which the copy stopped; 0 if it did not, or if
	 *  the backend cannot tell */
	uint64_t fault_addr;
};

/**
 * Copy between the caller's memory and a peer's.
 *
 * The bytes of one side's segments, strung together in order, are copied onto
 * the other side's; the shorter side ends the copy. Limits, order of checks,
 * errors and counts are those of process_vm_readv(2) and process_vm_writev(2);
 * CMA_MANY and CMA_LARGE lift its limits. The system calls cannot do more than
 * their limits in one go: there the library makes several calls, and a peer
 * that dies in between ends the copy short. A program with 32-bit pointers gets
 * SIGSEGV and not -EFAULT for a bad segment list, where the device is used; and
 * CMA_LARGE lifts nothing for it, as a count of bytes is an ssize_t.
 *
 * Where the device is used, the first copies by pid from each process are made by
 * the system call all the same, except those that cma_copy() makes. For a peer that
 * is seldom copied from it costs less than the device does, with the same result.
 * Where one of the two refuses, the other is asked. So a filter of system calls (seccomp(2)) that a
 * program sets up has to allow process_vm_readv(2) and process_vm_writev(2), or to
 * refuse them with an errno, and not to kill for them; or the program copies by
 * handles. Where a filter is in force already when the context is opened, they are
 * not made.
 *
 * A signal that does not kill never ends a copy within those limits. One beyond
 * them lets signal handlers run, and the process be stopped and frozen, on the
 * way, and then goes on by itself, as if no more than one call had been made: a
 * peer that dies, or a window that ends, ends the copy short. With
 * CMA_INTERRUPTIBLE it does not go on: the caller gets the short count, and
 * cma_request.fault_side CMA_SIDE_NONE, or -EINTR. The system calls do not end
 * at signals; there it has no effect. To go on, the lists are read again: those of
 * such a copy must not lie in memory that it writes to.
 *
 * @param context from cma_open()
 * @param[in,out] request what to copy; its out fields are always written
 * @return bytes moved, short if memory ran out on the way; or
 *  -EINVAL: unknown flags or peer type, too many segments, or a length above
 *   SSIZE_MAX;
 *  -EFAULT: the first byte could not be moved, or a segment list is bad;
 *  -ESRCH: no such process, or it has no memory (a zombie, a kernel thread),
 *   or the handle's process exited or called execve(2);
 *  -EPERM: the kernel's ptrace rules refuse (ptrace(2), "Ptrace access mode
 *   checking"); cma_explain() says which and what would allow it;
 *  -EBADF: not a pidfd; -ENOENT: not a handle, or the peer publishes no window;
 *  -EIDRM: the handle's window ended; -EACCES: the window allows reading, or
 *   writing, only, or does not allow this user;
 *  -EOPNOTSUPP: this backend cannot reach such a peer (cma_limits.features);
 *  -EINTR: a fatal signal is pending, or, with CMA_INTERRUPTIBLE, any; -ENOMEM;
 *  -ESTALE: the context is another process's (see "Fork" above).
 */
CMA_API ssize_t cma_copy(const struct cma_context *context,
			 struct cma_request *request);

/**
 * Read a peer's memory: process_vm_readv(2) with a peer in place of a pid.
 *
 * @param context from cma_open()
 * @param peer whose memory
 * @param local,local_count segments of the caller's memory, written
 * @param remote,remote_count segments of the peer's memory, read
 * @param flags CMA_MANY, CMA_LARGE, CMA_STRICT, CMA_INTERRUPTIBLE
 * @return as cma_copy()
 */
CMA_API ssize_t cma_readv(const struct cma_context *context,
			  struct cma_peer peer, const struct iovec *local,
			  size_t local_count, const struct iovec *remote,
			  size_t remote_count, unsigned int flags);

/**
 * Write a peer's memory: process_vm_writev(2) with a peer in place of a pid.
 *
 * @param context from cma_open()
 * @param peer whose memory
 * @param local,local_count segments of the caller's memory, read
 * @param remote,remote_count segments of the peer's memory, written
 * @param flags CMA_MANY, CMA_LARGE, CMA_STRICT, CMA_INTERRUPTIBLE
 * @return as cma_copy()
 */
CMA_API ssize_t cma_writev(const struct cma_context *context,
			   struct cma_peer peer, const struct iovec *local,
			   size_t local_count, const struct iovec *remote,
			   size_t remote_count, unsigned int flags);

/**
 * Read one range of a peer's memory.
 *
 * @param context from cma_open()
 * @param peer whose memory
 * @param[out] local length bytes of the caller's memory
 * @param remote address in the peer
 * @param length bytes
 * @return as cma_copy()
 */
CMA_API ssize_t cma_read(const struct cma_context *context,
			 struct cma_peer peer, void *local, uintptr_t remote,
			 size_t length);

/**
 * Write one range of a peer's memory.
 *
 * @param context from cma_open()
 * @param peer whose memory
 * @param[in] local length bytes of the caller's memory
 * @param remote address in the peer
 * @param length bytes
 * @return as cma_copy()
 */
CMA_API ssize_t cma_write(const struct cma_context *context,
			  struct cma_peer peer, const void *local,
			  uintptr_t remote, size_t length);

/**
 * Say in words why a call failed: for -EPERM, which policy refuses (Yama's
 * ptrace_scope, user ids, capabilities, a process that is not dumpable, a user
 * namespace) and what would allow it; for a device that cannot be used, what
 * to do about it. It looks at the system as it is now, and guesses where the
 * kernel does not tell; meant for messages to people, not for decisions. It
 * takes the failure for one of a copy or of opening a handle or a window;
 * cma_explain_call() is told.
 *
 * @param context from cma_open(); NULL to explain a failure of cma_open()
 * @param peer whose memory the call was about; ignored if context is NULL
 * @param error the negative errno value that the call returned
 * @param[out] text a NUL-terminated sentence, cut at size
 * @param size bytes at text
 * @return bytes of the whole sentence without the NUL, as snprintf(3) does
 */
CMA_API int cma_explain(const struct cma_context *context, struct cma_peer peer,
			int error, char *text, size_t size);

/** A function of this library, for cma_explain_call(). */
enum cma_call {
	CMA_CALL_ANY = 0,	  /**< what cma_explain() takes it for */
	CMA_CALL_OPEN = 1,	  /**< cma_open(), or cma_limits.device_error */
	CMA_CALL_QUERY = 2,	  /**< cma_query() */
	CMA_CALL_COPY = 3,	  /**< cma_copy() and the other copies */
	CMA_CALL_HANDLE_OPEN = 4, /**< cma_handle_open() */
	CMA_CALL_HANDLE_CLOSE = 5,   /**< cma_handle_close() */
	CMA_CALL_WINDOW_CREATE = 6,  /**< cma_window_create() */
	CMA_CALL_WINDOW_DESTROY = 7, /**< cma_window_destroy() */
	CMA_CALL_WINDOW_OPEN = 8,    /**< cma_window_open(), _open_sized() */
	CMA_CALL_MAP = 9,	     /**< cma_map() */
	CMA_CALL_UNMAP = 10,	     /**< cma_unmap() */
	CMA_CALL_REDUCE = 11,	     /**< cma_reduce(), of cma_reduce.h */
};

/**
 * Say in words why a call of this function failed, as cma_explain() does, but
 * knowing which it was: the same error means another thing elsewhere.
 *
 * @param context the one that the call was made on; NULL where there is none
 * @param call the function that failed; one that this library does not know is
 *  CMA_CALL_ANY
 * @param peer whose memory the call was about: for cma_map() its handle; any,
 *  for calls that have no peer
 * @param error the negative errno value that the call returned
 * @param[out] text a NUL-terminated sentence, cut at size
 * @param size bytes at text
 * @return bytes of the whole sentence without the NUL, as snprintf(3) does
 */
CMA_API int cma_explain_call(const struct cma_context *context,
			     enum cma_call call, struct cma_peer peer,
			     int error, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* CMA_H */
