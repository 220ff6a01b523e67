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
 * @CMA_IOC_NR_WINDOW_CREATE: &struct cma_ioc_window_create
 * @CMA_IOC_NR_WINDOW_DESTROY: &struct cma_ioc_window_destroy
 * @CMA_IOC_NR_POPULATE: &struct cma_ioc_populate
 * @CMA_IOC_NR_SHOW: &struct cma_ioc_show
 * @CMA_IOC_NR_REDUCE: &struct cma_ioc_reduce
 */
enum cma_ioc_nr {
	CMA_IOC_NR_INFO = 0,
	CMA_IOC_NR_COPY = 1,
	CMA_IOC_NR_OPEN = 2,
	CMA_IOC_NR_CLOSE = 3,
	CMA_IOC_NR_WINDOW_CREATE = 4,
	CMA_IOC_NR_WINDOW_DESTROY = 5,
	CMA_IOC_NR_POPULATE = 6,
	CMA_IOC_NR_SHOW = 7,
	CMA_IOC_NR_REDUCE = 8,
};

#define CMA_IOC_INFO _IO(CMA_IOC_MAGIC, CMA_IOC_NR_INFO)
#define CMA_IOC_COPY _IO(CMA_IOC_MAGIC, CMA_IOC_NR_COPY)
#define CMA_IOC_OPEN _IO(CMA_IOC_MAGIC, CMA_IOC_NR_OPEN)
#define CMA_IOC_CLOSE _IO(CMA_IOC_MAGIC, CMA_IOC_NR_CLOSE)
#define CMA_IOC_WINDOW_CREATE _IO(CMA_IOC_MAGIC, CMA_IOC_NR_WINDOW_CREATE)
#define CMA_IOC_WINDOW_DESTROY _IO(CMA_IOC_MAGIC, CMA_IOC_NR_WINDOW_DESTROY)
#define CMA_IOC_POPULATE _IO(CMA_IOC_MAGIC, CMA_IOC_NR_POPULATE)
#define CMA_IOC_SHOW _IO(CMA_IOC_MAGIC, CMA_IOC_NR_SHOW)
#define CMA_IOC_REDUCE _IO(CMA_IOC_MAGIC, CMA_IOC_NR_REDUCE)

/* cma_ioc_info.features */
#define CMA_FEATURE_COPY_PID (1ULL << 0) /* %CMA_PEER_PID */
#define CMA_FEATURE_COPY_PIDFD (1ULL << 1) /* %CMA_PEER_PIDFD */
#define CMA_FEATURE_COPY_HANDLE (1ULL << 2) /* %CMA_PEER_HANDLE */
#define CMA_FEATURE_MANY (1ULL << 3) /* %CMA_COPY_MANY */
#define CMA_FEATURE_LARGE (1ULL << 4) /* %CMA_COPY_LARGE */
#define CMA_FEATURE_REPORT (1ULL << 5) /* %CMA_COPY_REPORT */
#define CMA_FEATURE_STRICT (1ULL << 6) /* %CMA_COPY_STRICT */
#define CMA_FEATURE_SINGLE (1ULL << 7) /* %CMA_COPY_SINGLE */
#define CMA_FEATURE_WINDOW (1ULL << 8) /* windows */
#define CMA_FEATURE_MAP (1ULL << 9) /* mmap() of a handle */
#define CMA_FEATURE_POPULATE (1ULL << 10) /* %CMA_IOC_POPULATE */
#define CMA_FEATURE_KNOWN (1ULL << 11) /* %CMA_COPY_KNOWN */
#define CMA_FEATURE_SHOW (1ULL << 12) /* %CMA_IOC_SHOW */
#define CMA_FEATURE_LENGTH (1ULL << 13) /* cma_ioc_open.length */
#define CMA_FEATURE_REDUCE (1ULL << 14) /* %CMA_IOC_REDUCE */
#define CMA_FEATURE_PUBLISH (1ULL << 15) /* %CMA_WINDOW_PUBLISH */

/**
 * struct cma_ioc_info - what the running module offers
 * @size: in: sizeof(struct cma_ioc_info)
 * @abi_version: out: %CMA_ABI_VERSION of the module
 * @features: out: CMA_FEATURE_* bits
 * @max_iov: out: segments a side that a copy takes by default (1024)
 * @max_iov_many: out: segments a side with %CMA_COPY_MANY
 * @max_bytes: out: bytes that one copy moves by default (0x7ffff000)
 * @max_bytes_large: out: bytes that one copy moves with %CMA_COPY_LARGE
 * @max_handles: out: handles, and windows, that one open file may hold
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
#define CMA_PEER_WINDOW 4 /* a window, by @window; only for an open */
#define CMA_PEER_PUBLISHED 5 /* the window that a process published, by its pid */

/* What a window or a handle allows; see cma_ioc_open.access */
#define CMA_ACCESS_READ (1U << 0)
#define CMA_ACCESS_WRITE (1U << 1)

/* cma_ioc_window_create.flags */
#define CMA_WINDOW_PUBLISH (1U << 0) /* it is found by its process's pid, too */

/* cma_ioc_copy.flags */
#define CMA_COPY_WRITE (1U << 0) /* local to remote; else remote to local */
#define CMA_COPY_MANY (1U << 1) /* up to max_iov_many segments a side */
#define CMA_COPY_LARGE (1U << 2) /* up to max_bytes_large bytes */
#define CMA_COPY_REPORT (1U << 3) /* fill in @fault_side and @fault_addr */
#define CMA_COPY_STRICT (1U << 4) /* let the kernel judge this very call */
#define CMA_COPY_SINGLE (1U << 5) /* one segment a side, given in place */
#define CMA_COPY_KNOWN (1U << 6) /* EAGAIN for a peer that is not known yet */

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
 * With %CMA_COPY_SINGLE there are no lists: @local_iov and @remote_iov are the
 * addresses and @local_cnt and @remote_cnt the lengths in bytes of one segment
 * a side. It means the same and spares two accesses to the caller's memory.
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
 *  - EBADF: @peer is not a pidfd; or, before anything is looked at but flags
 *    and types, this file is open neither for both nor for this direction
 *    (O_RDONLY: reading a peer, O_WRONLY: writing into one);
 *  - ENOENT: @peer is not a handle, or the process publishes no window;
 *  - EIDRM: the handle's window was destroyed; EACCES: the handle, or the
 *    published window, does not allow this direction;
 *  - EAGAIN: %CMA_COPY_KNOWN, and the peer is not known;
 *  - ENOMEM; EINTR: a fatal signal is pending, or any, where the copy is one
 *    that ends at signals.
 *
 * Once a byte is moved the call succeeds and @copied tells how many were; a
 * hole in the peer's memory stops a copy at a page boundary. With
 * %CMA_COPY_REPORT a copy that stopped at unusable memory names it, whether
 * it succeeded in part or failed with EFAULT; fields marked so are otherwise
 * left as they were. Nothing orders two copies, or a copy and the peer's own
 * accesses.
 *
 * A copy of what process_vm_readv() does not take in one call (more than
 * max_bytes bytes, or max_iov segments on a side) ends at any signal that is
 * pending, and when it is to be stopped or frozen: within 2 MB, with the count
 * so far, or EINTR if that is 0. No shorter copy does, unless the signal kills.
 *
 * While a copy waits for memory of the caller's, or for its turn, it holds
 * nothing of the peer's: neither its pages nor its address space.
 *
 * Access is judged when the call begins. Unless %CMA_COPY_STRICT is given, a
 * verdict on the same peer, with unchanged credentials on both sides, may be
 * reused for verdict_ms; a handle was judged when it was opened, as a
 * descriptor of /proc/PID/mem is. With %CMA_COPY_STRICT it is judged again.
 *
 * The first copy by pid or pidfd costs more than process_vm_readv() does: much
 * has to be found out. With %CMA_COPY_KNOWN that is not done: unless this file
 * knows the peer, the caller's credentials and the peer's address space being
 * what they were, the answer is EAGAIN, after the check of the arguments. It
 * means nothing for a handle.
 *
 * Through a handle of a window the remote addresses are offsets from the
 * window's beginning, and its end is a hole in the peer's memory.
 *
 * With %CMA_PEER_PUBLISHED the copy goes through the window that the process of
 * this pid publishes now, whatever ptrace's rules say: its mode is what is judged,
 * as by an open, and the remote addresses are the peer's own. All else is as by pid:
 * what is not the process's any more (it called execve(2), or the pid is another
 * one's) is never reached.
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
 * @peer_type: in: %CMA_PEER_PID, %CMA_PEER_PIDFD, %CMA_PEER_WINDOW or
 *	%CMA_PEER_PUBLISHED
 * @peer: in: the pid or the pidfd; with %CMA_PEER_WINDOW must be 0
 * @window: in: the window's name; else must be 0
 * @access: in: CMA_ACCESS_* that are wanted; 0: all that there are
 *	out: CMA_ACCESS_* that the handle allows
 * @handle: out: the handle, above 0, valid in this open file only
 * @length: out, %CMA_FEATURE_LENGTH: bytes that the handle reaches: the window's
 *	length; 2^64 - 1 for one that was opened by pid or pidfd
 *
 * A handle is bound to the peer's address space as it is now: it ends with
 * the peer's exit or execve(2), never passes to another process that comes to
 * have the same pid, and does not keep the peer's memory alive. (Processes that
 * share one address space, as after vfork(2), are one peer in this.) One that was
 * opened by pid or pidfd reaches all of the address space, at its addresses.
 * One that was opened by a window reaches the window, at offsets from its
 * beginning, and ends with it, too. A handle allows no more than the mode in
 * which the file was opened: to read from others, to write into them, or both.
 *
 * The first version of the structure ended with @handle. A module that knows no
 * other accepts this one with @length 0, and leaves it so.
 *
 * Errors: ESRCH (also a window whose owner's memory is gone), EPERM, EBADF as
 * for a copy (also: this open file is not open for @access, or for any of what
 * there is); EINVAL: @peer_type, unknown @access, or a field that must be 0;
 * EOPNOTSUPP: %CMA_PEER_HANDLE; ENOENT: no such window, or the process publishes
 * none; EACCES: the window's mode does not allow the caller the access wanted, or
 * any; ENOSPC: max_handles are open in this open file, or
 * those of all processes of the caller's user come to the module's parameter
 * max_user_handles, or the peers they are of, and live, to max_user_spaces;
 * ENOMEM.
 */
struct cma_ioc_open {
	__u32 size;
	__u32 flags;
	__u32 peer_type;
	__s32 peer;
	__u64 window;
	__u32 access;
	__s32 handle;
	__u64 length;
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

/**
 * struct cma_ioc_window_create - let others reach a part of one's memory
 * @size: in: sizeof(struct cma_ioc_window_create)
 * @flags: in: 0 or %CMA_WINDOW_PUBLISH
 * @base: in: address of the window's first byte, in the caller's memory
 * @length: in: bytes; above 0
 * @access: in: CMA_ACCESS_* that others can get
 * @mode: in: who can get it, bits of 0666 as in a file's mode: read and write
 *	for processes with the owner's uid, with its gid, and all others
 * @window: out: the window's name, a random number above 0 and below 2^63
 *
 * The range need not be mapped, now or ever: holes fault when they are copied
 * from, and what is mapped there later can be reached. It may be the whole
 * address space (@base 0, @length 2^63 - 1).
 *
 * Who knows the name and is allowed by @mode opens the window with
 * %CMA_IOC_OPEN, whatever the rules of ptrace say of the two processes. The
 * owner's ids are those that a new file would get: the caller's fsuid and fsgid
 * at creation. Others are judged as by a file: by fsuid, fsgid and supplementary
 * groups; a process with CAP_DAC_OVERRIDE in the owner's user namespace counts
 * as allowed by @mode. A file opened in any mode can make windows.
 *
 * A window of the whole address space can be published (%CMA_WINDOW_PUBLISH,
 * %CMA_FEATURE_PUBLISH): others need not be told its name, but find it by the pid
 * of the process, with %CMA_PEER_PUBLISHED. Who may use it is judged as ever, and
 * nobody is told the name. An address space has at most one published window, which
 * is so until it ends.
 *
 * The window ends with %CMA_IOC_WINDOW_DESTROY, with the last descriptor of
 * the open file it was created in, and with the creator's address space (exit
 * and execve(2); a child of fork(2) is not part of it).
 *
 * Errors: EINVAL: @length 0, a range that wraps around, unknown bits in
 * @access, @mode or @flags, @access 0, a window to be published that is not the
 * whole address space; EEXIST: the caller's publishes one already; ENOSPC:
 * max_handles windows exist in this open file, or those of all processes of the
 * caller's user come to the module's parameter max_user_windows, or the processes
 * they and its handles are of to max_user_spaces; ENOMEM.
 */
struct cma_ioc_window_create {
	__u32 size;
	__u32 flags;
	__u64 base;
	__u64 length;
	__u32 access;
	__u32 mode;
	__u64 window;
};

/**
 * struct cma_ioc_window_destroy - end a window
 * @size: in: sizeof(struct cma_ioc_window_destroy)
 * @reserved: must be 0
 * @window: in: its name
 *
 * Copies through handles of it fail with EIDRM from now on. No byte of its
 * memory is copied, or shown by a mapping, once the call has returned: a copy
 * that is under way has ended by then, or ends, short or with EIDRM, when it
 * goes on. The call waits for copiers no longer than it takes to copy 256 KiB.
 * The same holds when the last descriptor of its file is closed. Errors:
 * ENOENT: this open file holds no such window.
 */
struct cma_ioc_window_destroy {
	__u32 size;
	__u32 reserved;
	__u64 window;
};

/**
 * DOC: Mapping a peer's memory
 *
 * mmap(2) of an open file of /dev/cma, with MAP_SHARED, maps pages of the peer
 * of a handle: loads and stores reach them without a system call. The offset
 * is CMA_MAP_OFFSET(handle, offset), with @offset in bytes, a multiple of the
 * page size, from the beginning of the page that the handle's memory begins
 * in (the window's; address 0 of a peer that was opened by pid). Every page
 * must belong to the handle's memory as a whole. Addresses from %CMA_MAP_SPACE
 * on are reached through a window, and a 32-bit process cannot map.
 *
 * The mapping follows the peer's address space: what the peer maps there later
 * can be touched, copy-on-write shows the peer's page, and memory that is
 * not there, or that the peer itself may not access so, is SIGBUS on touch, as
 * it is after the peer's end or the window's. The same memory may be touched
 * once more when the peer has it again. Nothing of the peer's memory is kept or
 * pinned. The mapping lasts until munmap(2), whether or not the handle and
 * the file are closed meanwhile. It is not inherited over fork(2), does not
 * grow by mremap(2), and is not in core dumps. get_user_pages() does not take
 * its pages: direct I/O, vmsplice(2), RDMA registration and the like fail with
 * EFAULT.
 *
 * What /proc/PID/maps and the like show as the offset is that in the handle's
 * memory; in a mapping with room for a page of 2 MB it may be larger by the
 * place within 2 MB, which is then the same in both processes.
 *
 * Errors of mmap(2): ENOENT: no such handle; EINVAL: MAP_PRIVATE; EACCES:
 * the file is not open for reading, or, with PROT_WRITE, not for both (nor does
 * mprotect(2) allow it later), PROT_EXEC, or the
 * handle does not allow reading, or, with PROT_WRITE, does
 * not allow writing (nor does mprotect(2) later); ENXIO: not all of it is the
 * handle's; ESRCH: the peer exited or called execve(2); EIDRM: the window was
 * destroyed; ENOMEM.
 *
 * MAP_POPULATE does nothing: %CMA_IOC_POPULATE does it, once there is a mapping.
 */
#define CMA_MAP_SHIFT 48
#define CMA_MAP_SPACE (1ULL << CMA_MAP_SHIFT)
#define CMA_MAP_OFFSET(handle, offset) \
	(((__u64)(handle) << CMA_MAP_SHIFT) | (offset))

/**
 * struct cma_ioc_populate - have what is there mapped before it is touched
 * @size: in: sizeof(struct cma_ioc_populate)
 * @flags: in: must be 0
 * @address: in: of the first byte, in the caller's own mappings of /dev/cma
 * @length: in: bytes; above 0
 *
 * The pages around these bytes are read by the kernel in the caller's place,
 * once in each stretch that one touch maps, so that touches of what the peer
 * has there take no page fault; what it does not have, or may not read itself,
 * is passed over. The mappings may be by any handle and any open file.
 *
 * Errors: EINVAL: @flags, @length 0, a range that wraps around; EFAULT: a page
 * that is not in a mapping of /dev/cma, or in one without PROT_READ; ESRCH: the
 * peer exited or called execve(2); EIDRM: the window was destroyed; ENOMEM;
 * EINTR: a fatal signal is pending. What comes before such a page may be
 * populated then.
 */
struct cma_ioc_populate {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u64 length;
};

/* cma_ioc_show.how: what becomes of the pages */
#define CMA_SHOW_PAGES 1 /* they can be touched */
#define CMA_SHOW_ONLY 2 /* the same, and none of the mapping's others */
#define CMA_HIDE_PAGES 3 /* they cannot be touched any more */

/* Bytes of the largest mapping that can have hidden pages */
#define CMA_SHOW_MAX (1ULL << 30)

/**
 * struct cma_ioc_show - choose which pages of a mapping can be touched
 * @size: in: sizeof(struct cma_ioc_show)
 * @how: in: %CMA_SHOW_PAGES, %CMA_SHOW_ONLY or %CMA_HIDE_PAGES
 * @address: in: of the first page, in one of the caller's mappings of /dev/cma
 * @length: in: bytes, a multiple of the page size; above 0
 *
 * A new mapping shows all of its pages. To touch a hidden one is SIGSEGV, as if
 * nothing were mapped there, and a system call that is given it fails with
 * EFAULT; when the call returns no thread reaches the peer's page by it any
 * more. What is left of a mapping after munmap(2), and the parts it was split
 * into by mprotect(2), keep what they show.
 *
 * Errors: EINVAL: @how, @length 0, not pages, a range that wraps around; EFAULT:
 * not all of it is in one mapping of /dev/cma, or in one part of one that was
 * split; E2BIG: the mapping is larger than %CMA_SHOW_MAX; ENOMEM; EINTR: a fatal signal is
 * pending; except when hiding: ESRCH: the peer exited or called execve(2); EIDRM: the
 * window was destroyed. Nothing is changed then.
 */
struct cma_ioc_show {
	__u32 size;
	__u32 how;
	__u64 address;
	__u64 length;
};

/* cma_ioc_reduce.op: what becomes of two elements */
#define CMA_REDUCE_SUM 1
#define CMA_REDUCE_PRODUCT 2
#define CMA_REDUCE_MIN 3
#define CMA_REDUCE_MAX 4
#define CMA_REDUCE_BAND 5 /* bitwise; it and what follows: integers only */
#define CMA_REDUCE_BOR 6
#define CMA_REDUCE_BXOR 7

/*
 * cma_ioc_reduce.type: what an element is. cma_reduce(3) has types beyond these,
 * which are not computed here.
 */
#define CMA_REDUCE_INT8 1
#define CMA_REDUCE_INT16 2
#define CMA_REDUCE_INT32 3
#define CMA_REDUCE_INT64 4
#define CMA_REDUCE_UINT8 5
#define CMA_REDUCE_UINT16 6
#define CMA_REDUCE_UINT32 7
#define CMA_REDUCE_UINT64 8
#define CMA_REDUCE_FLOAT 9 /* IEEE 754 binary32 */
#define CMA_REDUCE_DOUBLE 10 /* IEEE 754 binary64 */

/* Operands of one reduction */
#define CMA_REDUCE_OPERANDS 4

/**
 * struct cma_ioc_operand - a peer's part in a reduction
 * @peer_type: in: %CMA_PEER_PID, %CMA_PEER_PIDFD, %CMA_PEER_HANDLE or
 *	%CMA_PEER_PUBLISHED
 * @peer: in: the pid, the pidfd or the handle
 * @address: in: of its first element, in the peer
 */
struct cma_ioc_operand {
	__u32 peer_type;
	__s32 peer;
	__u64 address;
};

/**
 * struct cma_ioc_reduce - combine elements of the caller's with peers'
 * @size: in: sizeof(struct cma_ioc_reduce)
 * @flags: in: 0, %CMA_COPY_STRICT or %CMA_COPY_KNOWN, as for a copy
 * @op: in: CMA_REDUCE_SUM and the like
 * @type: in: CMA_REDUCE_INT8 and the like
 * @local: in: address of the caller's first element
 * @out: in: where the first result goes; may be @local
 * @length: in: bytes of elements, in each of the places; above 0
 * @reduced: out: bytes of results written at @out; 0 after a failure
 * @operand_cnt: in: operands, 1 to %CMA_REDUCE_OPERANDS
 * @reserved: must be 0
 * @operand: in: the operands; those beyond @operand_cnt are not looked at
 *
 * out[i] = local[i] op operand0[i] op operand1[i] ..., from left to right,
 * straight out of the peers' memory. Nothing need be aligned. Integers wrap;
 * floating-point numbers are rounded once, to the nearest, denormals are kept,
 * and of two NaNs the first one stays, made quiet. A minimum or maximum is what is
 * so far if that is less (greater), and else the operand, bit by bit.
 *
 * This is the fast part of a reduction, and not all of it: it works on memory of
 * the peers' that the module has, or can have, translations of (docs/cache.md), and
 * ends where something else is needed, or a signal is pending. It does not say what
 * it was: after a short @reduced, or EAGAIN, the caller copies the next elements,
 * which tells, and computes them itself, before it goes on here. cma_reduce(3) does
 * that. Each result is written once, as a whole, or not at all, and nothing is
 * reduced twice when the caller goes on at @reduced.
 *
 * @out must share no memory with @local but element for element, nor, in the
 * caller's own process, with an operand.
 *
 * Errors: EINVAL: @op, @type, @flags, @operand_cnt, @reserved, a @peer_type,
 * or a @length that is 0 or not whole elements; EOPNOTSUPP: the processor has no
 * instruction for @op on @type (products of 8 and 64 bits; minima and maxima of
 * 64-bit integers; bitwise operations on floating-point numbers), or the module uses
 * none here (%CMA_FEATURE_REDUCE is off); EFAULT: the structure, or a range that is
 * not the caller's address space; EAGAIN: see above; ESRCH, EPERM, EBADF, ENOENT,
 * EIDRM, EACCES, ENOMEM, EINTR: as for a copy, of any operand.
 */
struct cma_ioc_reduce {
	__u32 size;
	__u32 flags;
	__u32 op;
	__u32 type;
	__u64 local;
	__u64 out;
	__u64 length;
	__u64 reduced;
	__u32 operand_cnt;
	__u32 reserved;
	struct cma_ioc_operand operand[CMA_REDUCE_OPERANDS];
};

#endif /* _UAPI_CMA_H */
