/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * The ABI of /dev/cma: the one contract between the module and everything
 * else.
 *
 * Rules that hold for every structure:
 *  - Only fixed-width integers, naturally aligned, size a multiple of eight,
 *    so that a 32-bit process on a 64-bit kernel uses the same bytes. A user
 *    pointer travels as __u64; a process with 32-bit pointers zero-extends.
 *  - @size comes first and holds sizeof() as the caller knows it. A shorter
 *    structure than the first version is EINVAL; a longer one is accepted
 *    while its unknown tail is zero, else E2BIG.
 *  - Reserved fields and unknown flag bits must be zero, else EINVAL. What
 *    a running module knows is found with %CMA_IOC_INFO.
 *  - Numbers of bytes come back in 64-bit fields. Every ioctl returns 0 or
 *    fails with errno; an unknown command is ENOTTY.
 *
 * An open file of /dev/cma carries the handles opened through it, and is
 * meant for one process. It may be shared (dup(), fork(), SCM_RIGHTS): who
 * holds it can use its handles, as who holds a descriptor of /proc/PID/mem
 * can use that. Local addresses are always the calling process's own.
 */
#ifndef _UAPI_CMA_H
#define _UAPI_CMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CMA_ABI_VERSION 1

#define CMA_IOC_MAGIC 0xC3

/**
 * enum cma_ioc_nr - ioctl numbers; the structure's size is not part of them
 * @CMA_IOC_NR_INFO: &struct cma_ioc_info
 * @CMA_IOC_NR_COPY: &struct cma_ioc_copy
 * @CMA_IOC_NR_OPEN: &struct cma_ioc_open
 * @CMA_IOC_NR_CLOSE: &struct cma_ioc_close
 */
enum cma_ioc_nr {
	CMA_IOC_NR_INFO = 0,
	CMA_IOC_NR_COPY = 1,
	CMA_IOC_NR_OPEN = 2,
	CMA_IOC_NR_CLOSE = 3,
};

#define CMA_IOC_INFO _IO(CMA_IOC_MAGIC, CMA_IOC_NR_INFO)
#define CMA_IOC_COPY _IO(CMA_IOC_MAGIC, CMA_IOC_NR_COPY)
#define CMA_IOC_OPEN _IO(CMA_IOC_MAGIC, CMA_IOC_NR_OPEN)
#define CMA_IOC_CLOSE _IO(CMA_IOC_MAGIC, CMA_IOC_NR_CLOSE)

/* cma_ioc_info.features */
#define CMA_FEATURE_COPY_PID (1ULL << 0) /* %CMA_PEER_PID */
#define CMA_FEATURE_COPY_PIDFD (1ULL << 1) /* %CMA_PEER_PIDFD */
#define CMA_FEATURE_COPY_HANDLE (1ULL << 2) /* %CMA_PEER_HANDLE */
#define CMA_FEATURE_MANY (1ULL << 3) /* %CMA_COPY_MANY */
#define CMA_FEATURE_LARGE (1ULL << 4) /* %CMA_COPY_LARGE */
#define CMA_FEATURE_REPORT (1ULL << 5) /* %CMA_COPY_REPORT */
#define CMA_FEATURE_STRICT (1ULL << 6) /* %CMA_COPY_STRICT */

/**
 * struct cma_ioc_info - what the running module offers
 * @size: in: sizeof(struct cma_ioc_info)
 * @abi_version: out: %CMA_ABI_VERSION of the module
 * @features: out: CMA_FEATURE_* bits
 * @max_iov: out: segments a side that a copy takes by default (1024)
 * @max_iov_many: out: segments a side with %CMA_COPY_MANY
 * @max_bytes: out: bytes that one copy moves by default (0x7ffff000)
 * @max_bytes_large: out: bytes that one copy moves with %CMA_COPY_LARGE
 * @max_handles: out: handles that one open file may hold
 * @verdict_ms: out: milliseconds for which a permission verdict may be
 *	reused by %CMA_IOC_COPY; 0: never
 * @version: out: the module's version, a NUL-terminated string padded with NUL
 *
 * A caller that knows a shorter structure gets as much as it knows.
 * Errors: EINVAL, E2BIG (@size), EFAULT.
 */
struct cma_ioc_info {
	__u32 size;
	__u32 abi_version;
	__u64 features;
	__u64 max_iov;
	__u64 max_iov_many;
	__u64 max_bytes;
	__u64 max_bytes_large;
	__u32 max_handles;
	__u32 verdict_ms;
	char version[32];
};

/**
 * struct cma_iovec - one segment of memory
 * @base: address of its first byte
 * @len: its length in bytes; at most the caller's SSIZE_MAX
 *
 * On 64-bit architectures its bytes are those of struct iovec.
 */
struct cma_iovec {
	__u64 base;
	__u64 len;
};

/* cma_ioc_copy.peer_type, cma_ioc_open.peer_type: what @peer names */
#define CMA_PEER_PID 1 /* a process or thread, in the caller's pid namespace */
#define CMA_PEER_PIDFD 2 /* a descriptor of pidfd_open(2) or clone(2) */
#define CMA_PEER_HANDLE 3 /* a handle of this open file; not for an open */

/* cma_ioc_copy.flags */
#define CMA_COPY_WRITE (1U << 0) /* local to remote; else remote to local */
#define CMA_COPY_MANY (1U << 1) /* up to max_iov_many segments a side */
#define CMA_COPY_LARGE (1U << 2) /* up to max_bytes_large bytes */
#define CMA_COPY_REPORT (1U << 3) /* fill in @fault_side and @fault_addr */
#define CMA_COPY_STRICT (1U << 4) /* let the kernel judge this very call */

/* cma_ioc_copy.fault_side */
#define CMA_FAULT_NONE 0
#define CMA_FAULT_LOCAL 1
#define CMA_FAULT_REMOTE 2

/**
 * struct cma_ioc_copy - move bytes between the caller and a peer
 * @size: in: sizeof(struct cma_ioc_copy)
 * @flags: in: CMA_COPY_*
 * @peer_type: in: CMA_PEER_*
 * @peer: in: the pid, the pidfd or the handle
 * @local_iov: in: address of @local_cnt &struct cma_iovec, the caller's memory
 * @remote_iov: in: address of @remote_cnt &struct cma_iovec, the peer's memory
 * @local_cnt: in: segments at @local_iov
 * @remote_cnt: in: segments at @remote_iov
 * @copied: out: bytes moved; 0 after a failure
 * @fault_addr: out, %CMA_COPY_REPORT: the address at which the copy stopped
 * @fault_side: out, %CMA_COPY_REPORT: whose memory stopped it, CMA_FAULT_*
 * @reserved: must be 0
 *
 * The bytes of one side's segments, strung together in order, are copied onto
 * the other side's; the shorter side ends the copy. The order of checks, the
 * errors and the counts are those of process_vm_readv(2) and
 * process_vm_writev(2):
 *
 *  - EINVAL: too many segments, or a length above SSIZE_MAX;
 *  - EFAULT: the structure, a segment list or local memory is not the
 *    caller's to use;
 *  - 0 with @copied 0 if either side holds no byte: the peer is not looked at;
 *  - ESRCH: no such process, or one without memory of its own (a zombie, a
 *    kernel thread), or a handle whose process exited or called execve(2);
 *  - EPERM: the kernel's ptrace rules refuse (PTRACE_MODE_ATTACH_REALCREDS,
 *    see ptrace(2));
 *  - EBADF: @peer is not a pidfd; ENOENT: @peer is not a handle;
 *  - ENOMEM; EINTR: a fatal signal is pending.
 *
 * Once a byte is moved the call succeeds and @copied tells how many were; a
 * hole in the peer's memory stops a copy at a page boundary. With
 * %CMA_COPY_REPORT a copy that stopped at unusable memory names it, whether
 * it succeeded in part or failed with EFAULT; fields marked so are otherwise
 * left as they were. Nothing orders two copies, or a copy and the peer's own
 * accesses.
 *
 * Access is judged when the call begins. Unless %CMA_COPY_STRICT is given, a
 * verdict on the same peer, with unchanged credentials on both sides, may be
 * reused for verdict_ms; a handle was judged when it was opened, as a
 * descriptor of /proc/PID/mem is. With %CMA_COPY_STRICT it is judged again.
 */
struct cma_ioc_copy {
	__u32 size;
	__u32 flags;
	__u32 peer_type;
	__s32 peer;
	__u64 local_iov;
	__u64 remote_iov;
	__u64 local_cnt;
	__u64 remote_cnt;
	__u64 copied;
	__u64 fault_addr;
	__u32 fault_side;
	__u32 reserved;
};

/**
 * struct cma_ioc_open - open a handle
 * @size: in: sizeof(struct cma_ioc_open)
 * @flags: in: must be 0
 * @peer_type: in: %CMA_PEER_PID or %CMA_PEER_PIDFD
 * @peer: in: the pid or the pidfd
 * @handle: out: the handle, above 0, valid in this open file only
 * @reserved: must be 0
 *
 * A handle is bound to the peer's address space as it is now: it ends with
 * the peer's exit or execve(2), never passes to another process that comes to
 * have the same pid, and does not keep the peer's memory alive.
 *
 * Errors: ESRCH, EPERM, EBADF as for a copy; EINVAL: @peer_type or a reserved
 * field; EOPNOTSUPP: %CMA_PEER_HANDLE; ENOSPC: max_handles are open; ENOMEM.
 */
struct cma_ioc_open {
	__u32 size;
	__u32 flags;
	__u32 peer_type;
	__s32 peer;
	__s32 handle;
	__u32 reserved;
};

/**
 * struct cma_ioc_close - close a handle
 * @size: in: sizeof(struct cma_ioc_close)
 * @handle: in: the handle
 *
 * A copy that is under way through it comes to its end. Errors: ENOENT: no
 * such handle in this open file.
 */
struct cma_ioc_close {
	__u32 size;
	__s32 handle;
};

#endif /* _UAPI_CMA_H */
