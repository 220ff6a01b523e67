// SPDX-License-Identifier: GPL-2.0
/*
 * The engine: pin a batch of the peer's pages, copy them with as few user
 * copies as their neighbourhood allows, unpin.
 *
 * Invariants: user memory of the caller is touched only with the peer's pages
 * pinned and no lock held, so that a fault on it may sleep; the mmap_lock is
 * held only inside the pin. A signal that kills the caller ends the copy
 * between two batches at the latest.
 *
 * The kernel's 64-bit direct map makes neighbouring page frames neighbouring
 * addresses; copies across folios go through the raw user copies, because
 * hardened usercopy takes one object at a time. access_ok() was asked once,
 * at import.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "private.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#ifndef CONFIG_64BIT
#error "cma needs a 64-bit kernel: it reaches every page through the direct map"
#endif

#define BATCH_FAST 32		/* pages, their array on the stack */
#define BATCH_MAX 512		/* pages, their array one page */

/**
 * struct batch - the peer's pages that are pinned at this moment
 * @pages: @fast, or one page from the allocator
 * @max: entries at @pages
 * @fast: room for short transfers
 */
struct batch {
	struct page **pages;
	unsigned int max;
	struct page *fast[BATCH_FAST];
};

/* A long transfer gets a longer array if there is one to be had. */
static void batch_init(struct batch *batch, u64 bytes)
{
	batch->pages = batch->fast;
	batch->max = BATCH_FAST;
	if (bytes > BATCH_FAST * PAGE_SIZE) {
		struct page **pages = kmalloc_array(BATCH_MAX, sizeof(*pages),
						    GFP_KERNEL | __GFP_NOWARN);

		if (pages) {
			batch->pages = pages;
			batch->max = BATCH_MAX;
		}
	}
}

static void batch_free(struct batch *batch)
{
	if (batch->pages != batch->fast)
		kfree(batch->pages);
}

static int stop(struct cmad_copy *copy, u32 side, u64 addr)
{
	copy->fault_side = side;
	copy->fault_addr = addr;
	return -EFAULT;
}

/* Copy between @len bytes of kernel memory and the caller's next segments. */
static int copy_local(struct cmad_copy *copy, void *kaddr, u64 len)
{
	struct cmad_vec *vec = &copy->local;

	while (len) {
		struct cma_iovec *iov = &vec->iov[vec->seg];
		unsigned long n = min(len, iov->len - vec->off);
		void __user *user = u64_to_user_ptr(iov->base + vec->off);
		unsigned long missed;

		if (copy->write)
			missed = raw_copy_from_user(kaddr, user, n);
		else
			missed = raw_copy_to_user(user, kaddr, n);

		n -= missed;
		vec->off += n;
		copy->copied += n;
		copy->left -= n;
		if (missed)
			return stop(copy, CMA_FAULT_LOCAL,
				    iov->base + vec->off);
		if (vec->off == iov->len) {
			vec->seg++;
			vec->off = 0;
		}
		kaddr += n;
		len -= n;
	}
	return 0;
}

/*
 * Copy @len bytes that begin @offset bytes into the first of @nr pinned pages
 * and end in the last: one copy for each run of neighbouring frames.
 */
static int copy_pages(struct cmad_copy *copy, struct page **pages,
		      unsigned int nr, unsigned int offset, u64 len)
{
	unsigned int i, run;
	int rc = 0;

	for (i = 0; i < nr && !rc; i += run) {
		unsigned long pfn = page_to_pfn(pages[i]);
		u64 bytes;

		for (run = 1; i + run < nr; run++)
			if (page_to_pfn(pages[i + run]) != pfn + run)
				break;

		bytes = min(len, (u64)run * PAGE_SIZE - offset);
		rc = copy_local(copy, page_address(pages[i]) + offset, bytes);
		len -= bytes;
		offset = 0;
	}
	return rc;
}

/* Pin up to @nr pages from @addr on: how many it were, or an error. */
static long pin(struct mm_struct *mm, unsigned long addr, unsigned long nr,
		bool write, struct page **pages)
{
	int locked = 1;
	long pinned;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	pinned = cmad_pin_remote(mm, addr & PAGE_MASK, nr,
				 write ? FOLL_WRITE : 0, pages, &locked);
	if (locked)
		mmap_read_unlock(mm);
	return pinned;
}

/* Copy the first @len bytes of a remote segment, batch by batch. */
static int copy_segment(struct cmad_copy *copy, struct mm_struct *mm,
			struct batch *batch, u64 addr, u64 len)
{
	while (len) {
		unsigned int offset = offset_in_page(addr);
		u64 want = DIV_ROUND_UP_ULL(len + offset, PAGE_SIZE);
		long pinned;
		u64 bytes;
		int rc;

		pinned = pin(mm, addr, min_t(u64, want, batch->max),
			     copy->write, batch->pages);
		if (fatal_signal_pending(current)) {
			if (pinned > 0)
				unpin_user_pages(batch->pages, pinned);
			return -EINTR;
		}
		if (pinned <= 0)
			return stop(copy, CMA_FAULT_REMOTE, addr);

		bytes = min(len, (u64)pinned * PAGE_SIZE - offset);
		rc = copy_pages(copy, batch->pages, pinned, offset, bytes);
		unpin_user_pages_dirty_lock(batch->pages, pinned, copy->write);
		if (rc)
			return rc;
		addr += bytes;
		len -= bytes;
		cond_resched();
	}
	return 0;
}

/*
 * Do the copy, as far as it goes: 0 once a byte was moved, else an error. The
 * caller holds a reference on mm_users, and no lock.
 */
int cmad_copy_run(struct cmad_copy *copy, struct mm_struct *mm)
{
	struct cmad_vec *remote = &copy->remote;
	struct batch batch CMAD_UNINITIALIZED;
	int rc = 0;

	trace_cmad_copy_begin(copy, mm);
	batch_init(&batch, copy->left);
	for (; copy->left && !rc; remote->seg++) {
		struct cma_iovec *iov = &remote->iov[remote->seg];

		rc = copy_segment(copy, mm, &batch, iov->base,
				  min(iov->len, copy->left));
	}
	batch_free(&batch);

	cmad_count(copies, 1);
	cmad_count(bytes, copy->copied);
	if (copy->fault_side)
		cmad_count(faults, 1);
	trace_cmad_copy_end(copy, mm, rc);
	return copy->copied ? 0 : rc;
}
