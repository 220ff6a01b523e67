/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file xpmem.h
 * The programming interface of XPMEM, served by /dev/cma: a process shares a
 * part of its memory under a number, others map it and use it by loads and
 * stores. Programs written for XPMEM compile and run unchanged; their binaries
 * find this library under the original's name.
 *
 * Results are -1 and errno after a failure; xpmem_attach() returns
 * (void *)-1. Where nothing else is said, a failure to open /dev/cma is a
 * failure of any function, with open(2)'s errno.
 *
 * Better than the original: what was got with XPMEM_RDONLY can be attached, to be
 * read; munmap(2) of an attachment, or of a part of it, is safe; the numbers of
 * segments are random, and no other process can guess them.
 *
 * Threads: every function may be called from any thread at any time.
 *
 * Fork: segments, permits and attachments stay the parent's. The child has none
 * of the attachments (to touch one is SIGSEGV), the parent's numbers are another
 * process's to it (EACCES), and it can share and get anew. A child of vfork(2),
 * or one that clone(2) made to share its parent's memory, acts for its parent; it
 * cannot be the first of the two to use the library (XPMEM_ERRNO_NOPROC).
 *
 * Address space: attachments that lie near each other in a segment are put into
 * one mapping of up to 64 MB of it, whose other pages are hidden: to touch them is
 * SIGSEGV. Up to 64 mappings in which nothing is attached any more are kept like
 * that, for the next xpmem_attach() of the same memory, until their permit is
 * released; /proc/PID/maps shows them, and RLIMIT_AS counts them: they are given
 * up before xpmem_attach() fails for want of address space, but not before another
 * mapping of the program does.
 */
#ifndef XPMEM_H
#define XPMEM_H

#include <linux/types.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A shared segment, for all processes of the machine; above 0. */
typedef __s64 xpmem_segid_t;

/** A permit to attach a segment, for the process that got it; above 0. */
typedef __s64 xpmem_apid_t;

/** What xpmem_attach() attaches. */
struct xpmem_addr {
	/** from xpmem_get() */
	xpmem_apid_t apid;
	/** bytes from the beginning of the segment */
	off_t offset;
};

/** The size of a segment that is all of the address space, from address 0. */
#define XPMEM_MAXADDR_SIZE ((size_t)(-1L))

/** errno: a process that lives in another one's memory (vfork(2)), and would be the
 *  first to use the library there. */
#define XPMEM_ERRNO_NOPROC 2004

/** xpmem_get(): to read only. */
#define XPMEM_RDONLY 0x1
/** xpmem_get(): to read and write. */
#define XPMEM_RDWR 0x2

/** The kinds of permit of xpmem_make() and xpmem_get(): there is one. */
enum {
	/** a file's mode, at most 0777 */
	XPMEM_PERMIT_MODE = 0x1,
};

/**
 * @return the version of XPMEM that this library stands in for, 0x00027004; or -1
 *  and the errno of open(2) of /dev/cma, EPROTO (its module is not of this
 *  library's kind) or EOPNOTSUPP (it cannot map)
 *
 * Programs ask it to find out whether there is XPMEM. The errors are those of every
 * function here.
 */
int xpmem_version(void);

/**
 * Open the device, which every other function does by itself at its first call.
 *
 * @return 0, or -1 and errno as of xpmem_version()
 */
int xpmem_init(void);

/**
 * Share a part of this process's memory.
 *
 * @param vaddr its first byte, page-aligned
 * @param size bytes, a multiple of the page size; XPMEM_MAXADDR_SIZE: to the end
 *  of the address space. The range may have holes.
 * @param permit_type XPMEM_PERMIT_MODE
 * @param permit_value who can get it, a file's mode such as (void *)0600, at most
 *  0777; the execute bits mean nothing
 * @return the segment, or -1 and errno:
 *  EINVAL: an argument is none of those above;
 *  ENOSPC: this process shares as much as it can; ENOMEM
 *
 * The segment ends with xpmem_remove(), with the process and with execve(2).
 */
xpmem_segid_t xpmem_make(void *vaddr, size_t size, int permit_type,
			 void *permit_value);

/**
 * End a segment. What others attached stays mapped, and to touch it is SIGBUS.
 *
 * @param segid from xpmem_make()
 * @return 0, or -1 and errno: EINVAL: not above 0; ENOENT: no such segment;
 *  EACCES: another process's
 */
int xpmem_remove(xpmem_segid_t segid);

/**
 * Get a permit to attach a segment.
 *
 * @param segid from the xpmem_make() of any process
 * @param flags XPMEM_RDONLY (or 0) or XPMEM_RDWR
 * @param permit_type XPMEM_PERMIT_MODE
 * @param permit_value ignored
 * @return the permit, or -1 and errno:
 *  EINVAL: segid is not above 0, or flags or permit_type is none of those;
 *  ENOENT: no such segment;
 *  EACCES: its mode does not let the caller's effective ids read, or write;
 *  ENOSPC: this process holds as many permits as it can; ENOMEM
 */
xpmem_apid_t xpmem_get(xpmem_segid_t segid, int flags, int permit_type,
		       void *permit_value);

/**
 * Give a permit back, and detach all that was attached by it.
 *
 * @param apid from xpmem_get()
 * @return 0, or -1 and errno: EINVAL: not above 0; ENOENT: no such permit;
 *  EACCES: another process's
 */
int xpmem_release(xpmem_apid_t apid);

/**
 * Map a part of a segment: to read only, if the permit is XPMEM_RDONLY.
 *
 * @param addr a permit, and where in the segment, page-aligned
 * @param size bytes; rounded up to pages
 * @param vaddr where to, page-aligned: what is mapped there goes; NULL: anywhere
 * @return where it is, or (void *)-1 and errno:
 *  EINVAL: the permit is not above 0, an address or an offset is not aligned, the
 *   segment has no such range, or the place holds another attachment or the
 *   memory that is to be attached;
 *  ENOENT: no such permit, or its segment ended; EACCES: another process's; ENOMEM
 *
 * What its owner has no memory behind is SIGBUS when it is touched, and so is
 * everything when the owner is gone; what the owner maps there later can be used.
 * The mapping is not memory of this process in one sense: the kernel does not lend
 * it to devices or system calls that keep it (no registration for RDMA), and a
 * child of fork(2) does not have it.
 */
void *xpmem_attach(struct xpmem_addr addr, size_t size, void *vaddr);

/**
 * Detach what xpmem_attach() attached.
 *
 * When it returns, no thread reaches the owner's memory there: to touch it is
 * SIGSEGV, and a system call that is given it fails with EFAULT. The address space
 * may stay taken for a while, and what is mapped there without an address of the
 * program's choice lies elsewhere. Where the program chose the place itself, it is
 * free again.
 *
 * @param vaddr any address in it
 * @return 0, also if nothing is mapped there; or -1 and EINVAL: something else is
 */
int xpmem_detach(void *vaddr);

#ifdef __cplusplus
}
#endif

#endif /* XPMEM_H */
