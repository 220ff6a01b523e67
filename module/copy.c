// SPDX-License-Identifier: GPL-2.0
/*
 * The engine: a copy goes through the peer's cached translations as far as
 * they reach, and where they do not through pinned pages.
 *
 * Invariants. Bytes move in steps (step.h), which are short and neither sleep
 * nor fault. Each looks first at whether the window has ended, and whether the
 * peer's memory is still its own. Where the caller's memory is missing,
 * everything of the peer's is let go of, pages, mm_users and locks, before it
 * is waited for: it may take as long as somebody likes. What is missing there is
 * fetched page by page, and not before a byte of the peer's is known to be
 * there for it, since process_vm_readv() touches no more of it either.
 *
 * The cached way is a matter of speed only: every question about holes, rights
 * and counts is answered by the pinned way, as process_vm_readv() answers it.
 * A signal that kills the caller ends the copy before the next step, or the
 * next batch of pages; any signal does where process_vm_readv() would not have
 * taken so much at once.
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

#include "chunk.h"
#include "copy.h"
#include "file.h"
#include "step.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#ifndef CONFIG_64BIT
#error "cma needs a 64-bit kernel: it reaches every page through the direct map"
#endif

#define BATCH_FAST 32		/* pages, their array on the stack */
#define BATCH_MAX 512		/* pages, their array allocated */
/*
 * Times that a page of the caller's is fetched and yet missing, before it counts
 * as one that cannot be used. Another thread may take it away as often as it
 * likes; a fault would go on for ever, and hardly anybody loses so often.
 */
#define VAIN_MAX 65536

/**
 * struct engine - what one copy works with
 * @copy: the copy
 * @grant: what we may reach
 * @space: the grant's
 * @missing: the caller's memory stopped the step, at the point reached
 * @vain: how often it was fetched since a byte was moved
 * @pages: the peer's pages that are pinned; @fast, or allocated
 * @max: entries at @pages
 * @fast: room for short transfers
 */
struct engine {
	struct cmad_copy *copy;
	const struct cmad_grant *grant;
	struct cmad_space *space;
	bool missing;
	unsigned int vain;
	struct page **pages;
	unsigned int max;
	struct page *fast[BATCH_FAST];
};

/* Whether there is a signal that ends the copy. */
static bool signal_stops(const struct cmad_copy *copy)
{
	return copy->interruptible ? signal_pending(current) :
				     fatal_signal_pending(current);
}

static int stop(struct cmad_copy *copy, u32 side, u64 addr)
{
	copy->fault_side = side;
	copy->fault_addr = addr;
	return -EFAULT;
}

/* The segment that the next byte belongs to; there is one, and none is empty. */
static __always_inline const struct cma_iovec *vec_here(struct cmad_vec *vec)
{
	if (vec->off == vec->iov[vec->seg].len) {
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

static __always_inline void __user *user_here(const struct cmad_vec *vec,
					      const struct cma_iovec *iov)
{
	return u64_to_user_ptr(iov->base + vec->off);
}

/*
 * What the next step may move. An architecture may count coarsely what it
 * missed, and move nothing at all of what is there before a page that is not:
 * then no more is asked for than the one page that was fetched.
 */
static u64 step_budget(struct engine *engine)
{
	struct cmad_vec *vec = &engine->copy->local;

	if (likely(engine->vain < 2))
		return CMAD_STEP_BYTES;
	return PAGE_SIZE - offset_in_page(vec_here(vec)->base + vec->off);
}

/* However short, a segment takes its time. */
static __always_inline u64 budget_spend(u64 budget, u64 bytes)
{
	return budget - min(budget, max_t(u64, bytes, CMAD_STEP_SEGMENT));
}

/* How many bytes from byte @from of the pages on, up to @max, are neighbours. */
static unsigned long pages_run(struct page **pages, u64 from, u64 max)
{
	unsigned long n = PAGE_SIZE - offset_in_page(from);

	for (pages += from >> PAGE_SHIFT; n < max; pages++) {
		if (page_to_pfn(pages[1]) != page_to_pfn(pages[0]) + 1)
			break;
		n += PAGE_SIZE;
	}
	return min_t(u64, n, max);
}

/* One step: bytes of the pages from number @from to @end. Returns the number reached. */
static u64 pinned_move(struct engine *engine, u64 from, u64 end)
{
	struct cmad_copy *copy = engine->copy;
	u64 budget = step_budget(engine);

	while (from < end && budget && !engine->missing) {
		const struct cma_iovec *iov = vec_here(&copy->local);
		void __user *user = user_here(&copy->local, iov);
		u64 max = min3(end - from, iov->len - copy->local.off, budget);
		unsigned long n = pages_run(engine->pages, from, max);
		struct page *page = engine->pages[from >> PAGE_SHIFT];
		unsigned long missed;

		missed = cmad_step_move(page_address(page) +
					offset_in_page(from), user, n,
					copy->write);
		engine->missing = missed;
		copy_advance(copy, n - missed);
		from += n - missed;
		budget = budget_spend(budget, n);
	}
	return from;
}

/*
 * Copy the bytes of the pages from number @from to @end, step by step, or until
 * the caller's memory is missing. Nobody keeps the peer's address space: once it
 * has ended, its pages may be shown to nobody any more.
 */
static int copy_pages(struct engine *engine, u64 from, u64 end)
{
	int rc = 0;

	while (from < end && !rc && !engine->missing) {
		cmad_step_begin();
		smp_mb(); /* pairs with cmad_steps_wait() */
		if (cmad_grant_ended(engine->grant))
			rc = -EIDRM;
		else if (cmad_space_is_dead(engine->space))
			rc = -ESRCH;
		else
			from = pinned_move(engine, from, end);
		cmad_step_end();
		cond_resched();
	}
	return rc;
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
 * Copy @len bytes at @addr by pinning, batch by batch, or until the caller's
 * memory is missing. Drops the reference on @mm, if there is one.
 */
static int copy_pinned(struct engine *engine, struct mm_struct *mm, u64 addr,
		       u64 len)
{
	struct cmad_copy *copy = engine->copy;
	u64 end = copy->copied + len;
	int rc = 0;

	for (addr -= copy->copied; copy->copied < end; mm = NULL) {
		u64 here = addr + copy->copied;
		unsigned int offset = offset_in_page(here);
		u64 last = offset + end - copy->copied;
		long got;

		pin_array(engine, DIV_ROUND_UP_ULL(last, PAGE_SIZE));
		if (!mm)
			mm = cmad_space_mmget(engine->space);
		if (!mm)
			return -ESRCH;
		got = cmad_pages_get(mm, here,
				     min_t(u64, engine->max,
					   DIV_ROUND_UP_ULL(last, PAGE_SIZE)),
				     copy->write, engine->pages);
		mmput(mm);
		if (signal_stops(copy))
			rc = -EINTR;
		else if (got <= 0)
			rc = stop(copy, CMA_FAULT_REMOTE, here);
		else
			rc = copy_pages(engine, offset,
					min(last, (u64)got * PAGE_SIZE));
		cmad_pages_put(engine->pages, got, copy->write);
		if (rc || engine->missing)
			return rc;
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
		missed = cmad_step_move(kaddr, user + done, n, write);
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

/* The same for @offset of @chunk; in one go, if a huge page or a vmap has it. */
static __always_inline unsigned long
copy_translated(struct cmad_chunk *chunk, unsigned long offset,
		void __user *user, unsigned long len, bool write, bool *faulted)
{
	unsigned long missed, done;
	void *kaddr;

	if (unlikely(!chunk->entries)) {
		if (!(chunk->whole & (write ? CMAD_ENTRY_WRITE : CMAD_ENTRY_READ)))
			return 0;
		kaddr = (void *)(chunk->whole & PAGE_MASK) + offset;
	} else {
		kaddr = cmad_vmap_at(chunk, offset, len, write);
	}
	if (!kaddr) {
		done = copy_entries(&chunk->entries[offset >> PAGE_SHIFT],
				    offset_in_page(offset), user, len, write,
				    faulted);
		WRITE_ONCE(chunk->carried, READ_ONCE(chunk->carried) + done);
		return done;
	}
	missed = cmad_step_move(kaddr, user, len, write);
	*faulted = missed;
	return len - missed;
}

/* The same, for the short way. */
unsigned long cmad_copy_translated(struct cmad_chunk *chunk,
				   unsigned long offset, void __user *user,
				   unsigned long len, bool write)
{
	bool faulted;

	return write ? copy_translated(chunk, offset, user, len, true, &faulted) :
		       copy_translated(chunk, offset, user, len, false, &faulted);
}

/*
 * Copy on in this step, segment by segment, as long as they lie in @chunk and it
 * translates them.
 */
static void copy_chunk(struct engine *engine, struct cmad_chunk *chunk)
{
	struct cmad_copy *copy = engine->copy;
	struct cmad_vec *local = &copy->local;
	u64 base = (u64)chunk->index << CMAD_CHUNK_SHIFT;
	const bool asked = READ_ONCE(chunk->asked);
	u64 budget = step_budget(engine);

	do {
		const struct cma_iovec *iov = vec_here(local);
		void __user *user = user_here(local, iov);
		unsigned long n, done;
		u64 addr, len;

		len = remote_here(engine->grant, &copy->remote, &addr);
		if (!len || addr - base >= CMAD_CHUNK_SIZE)
			break;
		n = min(min(len, iov->len - local->off),
			min(base + CMAD_CHUNK_SIZE - addr, budget));
		if (copy->write)
			done = copy_translated(chunk, addr - base, user, n,
					       true, &engine->missing);
		else
			done = copy_translated(chunk, addr - base, user, n,
					       false, &engine->missing);
		copy_advance(copy, done);
		if (asked)
			cmad_young_mark(chunk, addr - base, done);
		if (done != n)
			break;
		budget = budget_spend(budget, n);
	} while (copy->left && budget);
}

/* One step by the cache at @addr, as far as it knows that. */
static void copy_cached(struct engine *engine, u64 addr)
{
	struct cmad_chunk *chunk;
	bool due = false;

	cmad_step_begin();
	chunk = cmad_chunk_trylock(engine->space, addr);
	if (chunk) {
		smp_mb__after_atomic(); /* pairs with cmad_steps_wait() */
		if (!cmad_grant_ended(engine->grant))
			copy_chunk(engine, chunk);
		due = cmad_vmap_is_due(chunk);
		up_read(&chunk->lock);
	}
	cmad_step_end();
	if (due)
		cmad_vmap_build(engine->space, addr);
}

/*
 * Get on with @len bytes at @addr, which lie in one chunk and one segment and
 * are not cached: translate them if that is worth it, else pin.
 */
static int copy_uncached(struct engine *engine, u64 addr, u64 len)
{
	struct cmad_space *space = engine->space;
	struct cmad_copy *copy = engine->copy;
	struct mm_struct *mm = cmad_space_mmget(space);
	u64 begin = copy->copied;
	int rc;

	if (!mm)
		return -ESRCH;
	if (cmad_space_fill(copy, engine->grant, addr, len)) {
		mmput(mm);
		mm = NULL;
		copy_cached(engine, addr);
		if (copy->copied != begin || engine->missing)
			return 0;
	}

	rc = copy_pinned(engine, mm, addr, len);
	if (!rc)
		cmad_space_touch(space, addr);
	return rc;
}

/*
 * The caller's memory is missing where the copy goes on: fetch the page. That
 * may take any time, so nothing is held. A page that cannot be used though it is
 * there, or that somebody takes away each time, is as good as none.
 */
static int fetch_local(struct engine *engine)
{
	struct cmad_copy *copy = engine->copy;
	const struct cma_iovec *iov = vec_here(&copy->local);
	u64 addr = iov->base + copy->local.off;
	int rc;

	if (engine->vain++ == VAIN_MAX)
		rc = -EFAULT;
	else if (copy->write)
		rc = cmad_local_touch(addr);
	else
		rc = cmad_local_fetch(addr);
	if (fatal_signal_pending(current))
		return -EINTR;
	return rc ? stop(copy, CMA_FAULT_LOCAL, addr) : 0;
}

/* Get on with the copy; not for long. */
static int copy_step(struct engine *engine)
{
	struct cmad_copy *copy = engine->copy;
	u64 begin = copy->copied;
	u64 addr, len;
	int rc = 0;

	if (cmad_grant_ended(engine->grant))
		return -EIDRM;
	if (signal_stops(copy))
		return -EINTR;
	len = remote_here(engine->grant, &copy->remote, &addr);
	if (!len)
		return stop(copy, CMA_FAULT_REMOTE, addr);

	engine->missing = false;
	copy_cached(engine, addr);
	if (copy->copied == begin && !engine->missing) {
		len = min3(len, copy->left,
			   CMAD_CHUNK_SIZE - (addr & (CMAD_CHUNK_SIZE - 1)));
		rc = copy_uncached(engine, addr, len);
	}
	if (copy->copied != begin)
		engine->vain = 0;
	if (!rc && engine->missing)
		rc = fetch_local(engine);
	return rc;
}

/*
 * Do the copy, as far as it goes: 0 once a byte was moved, else an error. The
 * caller has a reference on the grant, and no lock.
 */
int cmad_copy_run(struct cmad_file *cf, struct cmad_copy *copy,
		  const struct cmad_grant *grant)
{
	u32 access = copy->write ? CMA_ACCESS_WRITE : CMA_ACCESS_READ;
	/* For traces, which tell it apart and no more. */
	const struct mm_struct *mm = rcu_access_pointer(grant->space->mm);
	struct engine engine CMAD_UNINITIALIZED;
	int rc = 0;

	if (!(grant->access & access))
		return -EACCES;
	engine.copy = copy;
	engine.grant = grant;
	engine.space = grant->space;
	engine.vain = 0;
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

	cmad_count_copy(cf->moved, copy->copied);
	if (copy->fault_side)
		cmad_count(faults, 1);
	trace_cmad_copy_end(copy, mm, rc);
	return copy->copied ? 0 : rc;
}
