// SPDX-License-Identifier: GPL-2.0
/*
 * The engine: a copy goes through the peer's cached translations as far as
 * they reach, and where they do not through pinned pages.
 *
 * Invariants. Under a chunk's lock the caller's memory is touched with page
 * faults disabled; when it faults, the lock is dropped and a few pages go the
 * pinned way, which may sleep: pages are pinned then and no lock is held. The
 * cached way is a matter of speed only: every question about holes, rights
 * and counts is answered by the pinned way, as process_vm_readv() answers it.
 * A signal that kills the caller ends the copy after 1 MB at the latest.
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
#define BATCH_MAX 512		/* pages, their array allocated */
#define HOLD_MAX 0x100000UL	/* bytes copied under a chunk's lock */
#define SEGMENT_MIN 4096UL	/* of them, what a shorter segment counts for */
#define FAULT_PAGES 16		/* pinned where the caller's memory faults */

/**
 * struct engine - what one copy works with
 * @copy: the copy
 * @grant: what we may reach
 * @space: the grant's
 * @pages: the peer's pages that are pinned; @fast, or allocated
 * @max: entries at @pages
 * @fast: room for short transfers
 */
struct engine {
	struct cmad_copy *copy;
	const struct cmad_grant *grant;
	struct cmad_space *space;
	struct page **pages;
	unsigned int max;
	struct page *fast[BATCH_FAST];
};

static int stop(struct cmad_copy *copy, u32 side, u64 addr)
{
	copy->fault_side = side;
	copy->fault_addr = addr;
	return -EFAULT;
}

/* The segment that the next byte belongs to; there is one. */
static __always_inline const struct cma_iovec *vec_here(struct cmad_vec *vec)
{
	while (vec->off == vec->iov[vec->seg].len) {
		vec->seg++;
		vec->off = 0;
	}
	return &vec->iov[vec->seg];
}

/* @n bytes more are done; they lie in one segment a side. */
static __always_inline void copy_advance(struct cmad_copy *copy, u64 n)
{
	copy->local.off += n;
	copy->remote.off += n;
	copy->copied += n;
	copy->left -= n;
}

/*
 * Copy between @len bytes of kernel memory and the caller's next segments.
 * False if the caller's memory faulted, at the point that is reached then.
 */
static bool copy_local(struct cmad_copy *copy, void *kaddr, u64 len)
{
	struct cmad_vec *vec = &copy->local;

	while (len) {
		const struct cma_iovec *iov = vec_here(vec);
		unsigned long n = min(len, iov->len - vec->off);
		void __user *user = u64_to_user_ptr(iov->base + vec->off);
		unsigned long missed;

		if (copy->write)
			missed = raw_copy_from_user(kaddr, user, n);
		else
			missed = raw_copy_to_user(user, kaddr, n);

		copy_advance(copy, n - missed);
		if (missed)
			return false;
		kaddr += n;
		len -= n;
	}
	return true;
}

/*
 * Copy @len bytes that begin @offset bytes into the first of @nr pinned pages
 * and end in the last: one copy for each run of neighbouring frames.
 */
static int copy_pages(struct cmad_copy *copy, struct page **pages,
		      unsigned int nr, unsigned int offset, u64 len)
{
	const struct cmad_vec *vec = &copy->local;
	unsigned int i, run;

	for (i = 0; i < nr; i += run) {
		unsigned long pfn = page_to_pfn(pages[i]);
		u64 bytes;

		for (run = 1; i + run < nr; run++)
			if (page_to_pfn(pages[i + run]) != pfn + run)
				break;

		bytes = min(len, (u64)run * PAGE_SIZE - offset);
		if (!copy_local(copy, page_address(pages[i]) + offset, bytes))
			return stop(copy, CMA_FAULT_LOCAL,
				    vec->iov[vec->seg].base + vec->off);
		len -= bytes;
		offset = 0;
	}
	return 0;
}

/* A long transfer gets a longer array if there is one to be had. */
static void pin_array(struct engine *engine, unsigned long nr)
{
	struct page **pages;

	if (nr <= engine->max || engine->max == BATCH_MAX)
		return;
	pages = kmalloc_array(BATCH_MAX, sizeof(*pages),
			      GFP_KERNEL | __GFP_NOWARN);
	if (pages) {
		engine->pages = pages;
		engine->max = BATCH_MAX;
	}
}

/*
 * Get hold of up to @nr pages from @addr on: how many it were, or an error.
 *
 * Pages that are written to are pinned, so that fork() and copy-on-write leave
 * them to their owner. Those that are read are only referenced: a pin would
 * break up pages that are shared with a child or by KSM. The owner may get a
 * copy of such a page, and write to that, while we read the page; but then its
 * write is later than the beginning of our call, as if we had been quicker.
 */
static long pages_get(struct engine *engine, unsigned long addr,
		      unsigned long nr)
{
	struct mm_struct *mm = engine->space->mm;
	int locked = 1;
	long got;

	if (!mmap_read_trylock(mm) && mmap_read_lock_killable(mm))
		return -EINTR;
	nr = min_t(unsigned long, nr, engine->max);
	if (engine->copy->write)
		got = cmad_pin_remote(mm, addr & PAGE_MASK, nr,
				      FOLL_WRITE | CMAD_FOLL_NUMA,
				      engine->pages, &locked);
	else
		got = cmad_get_remote(mm, addr & PAGE_MASK, nr, CMAD_FOLL_NUMA,
				      engine->pages, &locked);
	if (locked)
		mmap_read_unlock(mm);
	return got;
}

static void pages_put(struct engine *engine, long nr)
{
	long i;

	if (engine->copy->write && nr > 0)
		unpin_user_pages_dirty_lock(engine->pages, nr, true);
	else
		for (i = 0; i < nr; i++)
			put_page(engine->pages[i]);
}

/* Copy @len bytes at @addr by pinning, batch by batch. */
static int copy_pinned(struct engine *engine, u64 addr, u64 len)
{
	struct cmad_copy *copy = engine->copy;

	while (len) {
		unsigned int offset = offset_in_page(addr);
		unsigned long nr = DIV_ROUND_UP_ULL(len + offset, PAGE_SIZE);
		long got;
		u64 bytes;
		int rc;

		pin_array(engine, nr);
		got = pages_get(engine, addr, nr);
		if (fatal_signal_pending(current)) {
			pages_put(engine, got);
			return -EINTR;
		}
		if (got <= 0)
			return stop(copy, CMA_FAULT_REMOTE, addr);

		bytes = min(len, (u64)got * PAGE_SIZE - offset);
		rc = copy_pages(copy, engine->pages, got, offset, bytes);
		pages_put(engine, got);
		if (rc)
			return rc;
		addr += bytes;
		len -= bytes;
		if (len)
			cond_resched();
	}
	return 0;
}

/*
 * Copy between @len bytes of the caller's memory at @user and those at @offset
 * from the page of @entry on, as far as the entries go: how many it were.
 * Neighbouring frames with the same rights are one copy. @faulted tells that
 * the caller's memory stopped it.
 */
static __always_inline unsigned long
copy_entries(const unsigned long *entry, unsigned int offset,
	     void __user *user, unsigned long len, bool write, bool *faulted)
{
	unsigned long need = write ? CMAD_ENTRY_WRITE : CMAD_ENTRY_READ;
	unsigned long missed, done = 0;

	while (done < len && *entry & need) {
		void *kaddr = (void *)(*entry & PAGE_MASK) + offset;
		unsigned long n = PAGE_SIZE - offset;

		for (; n < len - done && entry[1] == entry[0] + PAGE_SIZE;
		     entry++)
			n += PAGE_SIZE;
		n = min(n, len - done);
		if (write)
			missed = raw_copy_from_user(kaddr, user + done, n);
		else
			missed = raw_copy_to_user(user + done, kaddr, n);
		done += n - missed;
		if (unlikely(missed)) {
			*faulted = true;
			break;
		}
		entry++;
		offset = 0;
	}
	return done;
}

/*
 * Where the copy goes on in the peer's memory, and how much of the segment
 * there can be reached: 0 past the end of what the grant is for.
 */
static __always_inline u64 remote_here(const struct cmad_grant *grant,
				       struct cmad_vec *vec, u64 *addr)
{
	const struct cma_iovec *iov = vec_here(vec);
	u64 offset = iov->base + vec->off;

	*addr = grant->base + offset;
	if (offset >= grant->length)
		return 0;
	return min(iov->len - vec->off, grant->length - offset);
}

/* Where @len bytes at @offset of @chunk lie in one piece, or NULL. */
static void *flat_at(const struct cmad_chunk *chunk, unsigned long offset,
		     unsigned long len, bool write)
{
	const struct cmad_flat *flat = chunk->flat;

	if (!flat || (write && !flat->write))
		return NULL;
	offset -= (unsigned long)flat->first << PAGE_SHIFT;
	if (offset >= (unsigned long)flat->nr << PAGE_SHIFT ||
	    len > ((unsigned long)flat->nr << PAGE_SHIFT) - offset)
		return NULL;
	return flat->base + offset;
}

/* The same for @offset of @chunk; in one go, if it is flat there. */
static __always_inline unsigned long
copy_translated(struct cmad_chunk *chunk, unsigned long offset,
		void __user *user, unsigned long len, bool write, bool *faulted)
{
	void *kaddr = flat_at(chunk, offset, len, write);
	unsigned long missed, done;

	if (!kaddr) {
		done = copy_entries(&chunk->entries[offset >> PAGE_SHIFT],
				    offset_in_page(offset), user, len, write,
				    faulted);
		WRITE_ONCE(chunk->carried, READ_ONCE(chunk->carried) + done);
		return done;
	}
	if (write)
		missed = raw_copy_from_user(kaddr, user, len);
	else
		missed = raw_copy_to_user(user, kaddr, len);
	*faulted = missed;
	return len - missed;
}

/*
 * Copy on, segment by segment, as long as they lie in @chunk and it translates
 * them, but not for too long: its lock is held, and invalidation waits for it.
 * False if the caller's memory faulted.
 */
static bool copy_chunk(struct engine *engine, struct cmad_chunk *chunk)
{
	struct cmad_copy *copy = engine->copy;
	struct cmad_vec *local = &copy->local;
	u64 base = (u64)chunk->index << CMAD_CHUNK_SHIFT;
	u64 budget = HOLD_MAX;
	bool faulted = false;

	pagefault_disable();
	do {
		const struct cma_iovec *iov = vec_here(local);
		void __user *user = u64_to_user_ptr(iov->base + local->off);
		unsigned long n, done;
		u64 addr, len;

		len = remote_here(engine->grant, &copy->remote, &addr);
		if (!len || addr - base >= CMAD_CHUNK_SIZE)
			break;
		n = min(min(len, iov->len - local->off),
			min(base + CMAD_CHUNK_SIZE - addr, budget));
		if (copy->write)
			done = copy_translated(chunk, addr - base, user, n,
					       true, &faulted);
		else
			done = copy_translated(chunk, addr - base, user, n,
					       false, &faulted);
		copy_advance(copy, done);
		if (done != n)
			break;
		/* However short, a segment takes its time. */
		budget -= min_t(u64, budget, max(n, SEGMENT_MIN));
	} while (copy->left && budget);
	pagefault_enable();
	return !faulted;
}

/* Copy on by the cache at @addr; false if the caller's memory faulted. */
static bool copy_cached(struct engine *engine, u64 addr)
{
	struct cmad_chunk *chunk;
	bool done, flatten;

	rcu_read_lock();
	chunk = cmad_chunk_trylock(engine->space, addr);
	rcu_read_unlock();
	if (!chunk)
		return true;
	done = copy_chunk(engine, chunk);
	flatten = READ_ONCE(chunk->carried) >= chunk->flat_after;
	if (flatten)
		WRITE_ONCE(chunk->carried, 0);
	/* The lock may be in use for a moment after others have got it. */
	rcu_read_lock();
	up_read(&chunk->lock);
	rcu_read_unlock();
	if (flatten)
		cmad_flat_build(engine->space, addr);
	return done;
}

/*
 * Get on with @len bytes at @addr, which lie in one chunk and one segment and
 * are not cached: translate them if that is worth it, else pin. The peer's
 * memory is kept for no longer than this.
 */
static int copy_uncached(struct engine *engine, u64 addr, u64 len, bool faulted)
{
	struct cmad_space *space = engine->space;
	struct cmad_copy *copy = engine->copy;
	u64 begin = copy->copied;
	int rc = 0;

	if (!mmget_not_zero(space->mm))
		return -ESRCH;

	if (!faulted && cmad_space_fill(copy, engine->grant, addr, len))
		faulted = !copy_cached(engine, addr);
	if (copy->copied == begin) {
		if (faulted)
			len = min_t(u64, len, FAULT_PAGES * PAGE_SIZE);
		rc = copy_pinned(engine, addr, len);
		if (!rc)
			cmad_space_touch(space, addr);
	}
	mmput(space->mm);
	return rc;
}

/* Get on with the copy; not for long. */
static int copy_step(struct engine *engine)
{
	const struct cmad_window *window = engine->grant->window;
	struct cmad_copy *copy = engine->copy;
	u64 begin = copy->copied;
	u64 addr, len;
	bool faulted;

	if (window && READ_ONCE(window->ended))
		return -EIDRM;
	if (fatal_signal_pending(current))
		return -EINTR;
	len = remote_here(engine->grant, &copy->remote, &addr);
	if (!len)
		return stop(copy, CMA_FAULT_REMOTE, addr);

	faulted = !copy_cached(engine, addr);
	if (copy->copied != begin)
		return 0;
	len = min3(len, copy->left,
		   CMAD_CHUNK_SIZE - (addr & (CMAD_CHUNK_SIZE - 1)));
	return copy_uncached(engine, addr, len, faulted);
}

/*
 * Do the copy, as far as it goes: 0 once a byte was moved, else an error. The
 * caller has a reference on the grant, and no lock.
 */
int cmad_copy_run(struct cmad_copy *copy, const struct cmad_grant *grant)
{
	u32 access = copy->write ? CMA_ACCESS_WRITE : CMA_ACCESS_READ;
	struct mm_struct *mm = grant->space->mm;
	struct engine engine CMAD_UNINITIALIZED;
	int rc = 0;

	if (!(grant->access & access))
		return -EACCES;
	engine.copy = copy;
	engine.grant = grant;
	engine.space = grant->space;
	engine.pages = engine.fast;
	engine.max = BATCH_FAST;

	trace_cmad_copy_begin(copy, mm);
	while (copy->left && !rc) {
		rc = copy_step(&engine);
		if (copy->left)
			cond_resched();
	}
	/* The caller knows addresses of its grant. */
	if (copy->fault_side == CMA_FAULT_REMOTE)
		copy->fault_addr -= grant->base;
	if (engine.pages != engine.fast)
		kfree(engine.pages);

	cmad_count(copies, 1);
	cmad_count(bytes, copy->copied);
	if (copy->fault_side)
		cmad_count(faults, 1);
	trace_cmad_copy_end(copy, mm, rc);
	return copy->copied ? 0 : rc;
}
