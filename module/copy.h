/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A copy: vec.c imports it, short.c does what is soon done, copy.c the rest, by the
 * cache of chunks (fill.c) or by pages that it holds (pages.c).
 */
#ifndef CMAD_COPY_H
#define CMAD_COPY_H

#include <linux/mm_types.h>
#include <linux/types.h>

#include "private.h"

struct cmad_chunk;
struct cmad_file;
struct cmad_grant;

#define CMAD_MAX_IOV_MANY 65536
/* Page-aligned, as MAX_RW_COUNT is; no sum of lengths can overflow. */
#define CMAD_MAX_BYTES_LARGE ((u64)S64_MAX & PAGE_MASK)
#define CMAD_FAST_IOV 8

/**
 * struct cmad_vec - one side's segments, and the point reached in them
 * @iov: @fast, or kvmalloc()ed
 * @nr: segments at @iov
 * @seg: the segment that the next byte belongs to
 * @off: bytes of that segment already moved
 * @fast: room for the usual few segments
 */
struct cmad_vec {
	struct cma_iovec *iov;
	unsigned long nr;
	unsigned long seg;
	u64 off;
	struct cma_iovec fast[CMAD_FAST_IOV];
};

/**
 * struct cmad_copy - a copy that is being done
 * @local: the caller's segments; checked by access_ok()
 * @remote: the peer's segments; any addresses
 * @left: bytes still to be moved: what the shorter side holds
 * @copied: bytes moved
 * @write: local to remote
 * @interruptible: any signal ends it, which process_vm_readv() does not know
 * @lone: look at one remote segment at a time: not all of them are there
 * @poor: there was no memory for the cache: to look for some takes its time, too
 * @fault_side: CMA_FAULT_*
 * @fault_addr: where the copy stopped, if @fault_side is set
 */
struct cmad_copy {
	struct cmad_vec local;
	struct cmad_vec remote;
	u64 left;
	u64 copied;
	bool write;
	bool interruptible;
	bool lone;
	bool poor;
	u32 fault_side;
	u64 fault_addr;
};

/* The CMA_ACCESS_* that the copy needs. */
static inline u32 cmad_copy_access(const struct cma_ioc_copy *args)
{
	return args->flags & CMA_COPY_WRITE ? CMA_ACCESS_WRITE :
					      CMA_ACCESS_READ;
}

/* vec.c */
int cmad_copy_import(struct cmad_copy *copy, const struct cma_ioc_copy *args);
void cmad_copy_skip(struct cmad_copy *copy, u64 done);
void cmad_copy_free(struct cmad_copy *copy);

/* fill.c */
bool cmad_space_fill(struct cmad_copy *copy, const struct cmad_grant *grant,
		     u64 addr, u64 len);

/* pages.c */
long cmad_pages_get(struct mm_struct *mm, unsigned long addr, unsigned long nr,
		    bool write, struct page **pages);
void cmad_pages_put(struct page **pages, long nr, bool write);

/* local.c: 0, or an error */
int cmad_local_touch(unsigned long addr);
int cmad_local_fetch(unsigned long addr);

/* copy.c */
unsigned long cmad_copy_translated(struct cmad_chunk *chunk,
				   unsigned long offset, void __user *user,
				   unsigned long len, bool write);
int cmad_copy_run(struct cmad_file *cf, struct cmad_copy *copy,
		  const struct cmad_grant *grant);

/* reduce.c */
int cmad_reduce_check(const struct cma_ioc_reduce *args);
int cmad_reduce(struct cmad_file *cf, struct cma_ioc_reduce *args,
		struct cmad_grant *const *grants);

/* short.c */
bool cmad_copy_short(struct cmad_file *cf, struct cma_ioc_copy *args,
		     struct cmad_grant **grantp);

#endif /* CMAD_COPY_H */
