// SPDX-License-Identifier: GPL-2.0
/*
 * Filling the cache: whether a transfer is worth a translation, and how the
 * peer's page tables become entries of a chunk.
 *
 * hmm_range_fault() reads the page tables with the mmap_lock but without the
 * chunk's; what it saw is entered under the chunk's lock, if nothing was
 * invalidated in between. Nothing is pinned, and nothing faulted in: that would
 * wait for the peer's I/O under its mmap_lock, and unkillably. What is not there
 * goes the pinned way, and is there the next time.
 */
#include <linux/err.h>
#include <linux/hmm.h>
#include <linux/memremap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat/reading.h"
#include "chunk.h"
#include "copy.h"
#include "grant.h"

#define FILL_PAGES 24	/* in one chunk, from which a translation pays at once */
#define FILL_TRIES 3	/* lost to invalidations before a fill is given up */
#define FILL_FAST 8	/* pages whose array is on the stack */
#define AHEAD_SEGMENTS 64	/* of a list that are looked up together */
#define AHEAD_GAP (16 * PAGE_SIZE)	/* between two of them */

/* Bytes at @addr were copied by pinning: the next time they are worth more. */
void cmad_space_touch(struct cmad_space *space, unsigned long addr)
{
	unsigned long bit = (addr >> CMAD_CHUNK_SHIFT) % CMAD_TOUCH_BITS;

	if (!READ_ONCE(cmad_max_chunks) || test_bit(bit, space->touched))
		return;
	/*
	 * Only a hint, so that it may be forgotten when it says yes to all; nor
	 * does it matter if a count is lost, or a bit that is set meanwhile.
	 */
	if (data_race(++space->nr_touched) > CMAD_TOUCH_BITS / 2) {
		bitmap_zero(space->touched, CMAD_TOUCH_BITS);
		WRITE_ONCE(space->nr_touched, 1);
	}
	set_bit(bit, space->touched);
}

/*
 * Policy: is a transfer of @pages pages at @addr worth a translation? A large
 * one is, and any where there was a copy before, unless the cache is full.
 * What was copied before is asked first: it costs the first copy less than to
 * look for a chunk, which only a mapping can have made by then.
 */
static bool is_worth_filling(struct cmad_space *space, unsigned long index,
			     unsigned long pages)
{
	bool there;

	if (pages < FILL_PAGES &&
	    !test_bit(index % CMAD_TOUCH_BITS, space->touched))
		return false;
	if (!cmad_evict_is_full(space))
		return true;
	rcu_read_lock();
	there = cmad_chunk_peek(space, index);
	rcu_read_unlock();
	return cmad_evict_admits(pages, there);
}

/* The same for a transfer within a page, and without doing anything. */
bool cmad_space_fill_pays(struct cmad_space *space, unsigned long addr)
{
	return is_worth_filling(space, addr >> CMAD_CHUNK_SHIFT, 1);
}

/*
 * The chunk of a transfer that is worth it, with a reference, or NULL: pin. Where
 * there was no memory for one, or for its entries, the rest of the copy fills none.
 */
static struct cmad_chunk *chunk_worth_filling(struct cmad_copy *copy,
					      struct cmad_space *space,
					      unsigned long addr,
					      unsigned long pages)
{
	unsigned long index = addr >> CMAD_CHUNK_SHIFT;
	struct cmad_chunk *chunk;

	if (copy->poor || !is_worth_filling(space, index, pages))
		return NULL;
	cmad_evict_drawn();
	chunk = cmad_chunk_get(space, index);
	if (!chunk) {
		cmad_space_touch(space, addr);
		chunk = cmad_evict_for_chunk(space, index, false);
		copy->poor = chunk == ERR_PTR(-ENOMEM);
	}
	return IS_ERR(chunk) ? NULL : chunk;
}

/*
 * Whether pin_user_pages() would take the memory, too: hmm_range_fault() does
 * not refuse memfd_secret() memory, which the kernel has no mapping of, nor
 * writes to a shadow stack.
 */
bool cmad_vma_is_fit(const struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_IO | VM_PFNMAP | CMAD_VM_SHADOW_STACK)) &&
	       !(vma->vm_file && cmad_is_secretmem(vma->vm_file));
}

static bool memory_is_fit(struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	struct vm_area_struct *vma;

	lockdep_assert_held(&mm->mmap_lock);
	while (start < end) {
		vma = find_vma(mm, start);
		if (!vma || vma->vm_start > start || !cmad_vma_is_fit(vma))
			return false;
		start = vma->vm_end;
	}
	return true;
}

/* One look at the page tables. */
static int chunk_look(struct mm_struct *mm, struct hmm_range *range)
{
	int rc;

	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	if (memory_is_fit(mm, range->start, range->end))
		rc = cmad_range_fault(range);
	else
		rc = -EFAULT;
	mmap_read_unlock(mm);
	return rc;
}

/*
 * What to enter for a page that was seen as @seen, where @old stood. Our stores
 * do not set a page's dirty bit in the owner's page table, so pages to be
 * written are made dirty now: whoever cleans one later write-protects it, which
 * invalidates here.
 */
static __always_inline unsigned long entry_of(unsigned long seen,
					      unsigned long old, bool write)
{
	unsigned long pfn = seen & ~HMM_PFN_FLAGS;
	struct page *page = pfn_to_page(pfn);
	unsigned long entry;

	if (!(seen & HMM_PFN_VALID))
		return old;
	if (is_zone_device_page(page))
		return 0;
	entry = (unsigned long)__va(PFN_PHYS(pfn)) | CMAD_ENTRY_READ;
	/* What was entered for writing before still is writable. */
	if (!write || !(seen & HMM_PFN_WRITE))
		return entry | (old & CMAD_ENTRY_WRITE);
	if (!PageDirty(page))
		set_page_dirty(page);
	return entry | CMAD_ENTRY_WRITE;
}

/*
 * Whether all of the chunk is part of one huge page, by what was seen of some of
 * it: the peer maps it by one entry, which lies in one VMA.
 */
static bool is_of_one(unsigned long seen)
{
	return seen & HMM_PFN_VALID &&
	       1UL << hmm_pfn_to_map_order(seen) >= CMAD_CHUNK_PAGES;
}

/*
 * Enter @nr pages from the one at @index on. Those that the peer maps as one are
 * looked at as one.
 */
static void enter_pages(struct cmad_chunk *chunk, unsigned long index,
			const unsigned long *seen, unsigned long nr, bool write)
{
	unsigned long i, first, *entry = chunk->entries;

	if (!entry) {
		first = entry_of(*seen, chunk->whole, write);
		chunk->whole = first ? first - index * PAGE_SIZE : 0;
		return;
	}
	entry += index;
	if (is_of_one(*seen)) {
		first = entry_of(*seen, 0, write);
		for (i = 0; i < nr; i++)
			entry[i] = first ? (first + i * PAGE_SIZE) |
					   (entry[i] & CMAD_ENTRY_WRITE) : 0;
		return;
	}
	for (i = 0; i < nr; i++)
		entry[i] = entry_of(seen[i], entry[i], write);
}

/* One entry is not enough any more: have one for each page, in @entries. */
static void chunk_spread(struct cmad_chunk *chunk, unsigned long *entries)
{
	unsigned long i;

	for (i = 0; chunk->whole && i < CMAD_CHUNK_PAGES; i++)
		entries[i] = chunk->whole + i * PAGE_SIZE;
	chunk->entries = entries;
	chunk->whole = 0;
}

/*
 * Enter what was seen, unless it is out of date. Nothing may be allocated under
 * the lock; who has a reference, as the caller, sees entries come, but not go.
 */
int cmad_chunk_enter(struct cmad_chunk *chunk, const struct hmm_range *range,
		     bool write, gfp_t gfp)
{
	unsigned long index = (range->start & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	unsigned long nr = (range->end - range->start) >> PAGE_SHIFT;
	unsigned long *entries = NULL;
	int rc = 0;

	if (!is_of_one(*range->hmm_pfns) && !READ_ONCE(chunk->entries)) {
		entries = kcalloc(CMAD_CHUNK_PAGES, sizeof(*entries),
				  gfp | __GFP_ACCOUNT);
		if (!entries)
			return -ENOMEM;
	}
	if (!cmad_chunk_change_begin(chunk)) {
		rc = -EBUSY;
		goto out;
	}
	if (entries && !chunk->entries) {
		chunk_spread(chunk, entries);
		entries = NULL;
	}
	if (mmu_interval_read_retry(&chunk->notifier, range->notifier_seq))
		rc = -EBUSY;
	else
		enter_pages(chunk, index, range->hmm_pfns, nr, write);
	if (!rc && write)
		cmad_vmap_widen(chunk, index);
	cmad_chunk_change_end(chunk);
out:
	kfree(entries);
	return rc;
}

/* Look and enter, until both speak of the same time. */
static int chunk_fill(struct cmad_chunk *chunk, struct hmm_range *range,
		      bool write)
{
	int tries = FILL_TRIES;
	int rc;

	do {
		rc = chunk_look(cmad_space_mm(chunk->space), range);
		if (!rc)
			rc = cmad_chunk_enter(chunk, range, write,
					      CMAD_GFP_CACHE);
		if (rc == -EBUSY)
			cmad_count(collisions, 1);
	} while (rc == -EBUSY && --tries && !fatal_signal_pending(current));
	return rc;
}

/*
 * What a fill is asked for: the whole pages around the next piece of a copy,
 * and around the segments that follow it in its list closely enough, since
 * looking once for all of them costs less than once for each.
 */
struct fill_request {
	const struct cmad_copy *copy;
	const struct cmad_grant *grant;
	u64 start;		/* of the pages; in one chunk */
	u64 end;
	unsigned long pages;	/* asked for, of those from @start to @end */
	unsigned long segs;	/* segments after the first */
};

/* The segment @i after the next piece, or NULL if not all of it can be had. */
static const struct cma_iovec *
request_segment(const struct fill_request *request, unsigned long i,
		u64 *start, u64 *end)
{
	const struct cmad_grant *grant = request->grant;
	const struct cmad_vec *vec = &request->copy->remote;
	const struct cma_iovec *iov = &vec->iov[vec->seg + i];

	if (vec->seg + i >= vec->nr || !iov->len ||
	    iov->base >= grant->length ||
	    iov->len > grant->length - iov->base)
		return NULL;
	*start = (grant->base + iov->base) & PAGE_MASK;
	*end = PAGE_ALIGN(grant->base + iov->base + iov->len);
	return iov;
}

/*
 * Look ahead, but not past what the copy comes to, after its first @len bytes.
 * What is written to must leave no page between that nobody asked for: those
 * would be made dirty.
 */
static void request_ahead(struct fill_request *request, u64 len)
{
	u64 gap = request->copy->write ? 0 : AHEAD_GAP;
	u64 limit = (request->start | (CMAD_CHUNK_SIZE - 1)) + 1;
	u64 left = request->copy->left - len;

	while (request->segs < AHEAD_SEGMENTS) {
		const struct cma_iovec *iov;
		u64 start, end;

		iov = request_segment(request, request->segs + 1, &start, &end);
		if (!iov || iov->len > left || start < request->start ||
		    start > request->end + gap || end < start || end > limit)
			break;
		left -= iov->len;
		request->segs++;
		request->pages += (end - start) >> PAGE_SHIFT;
		request->end = max(request->end, end);
	}
}

/* A few pages behind cost little more, and are likely to be read, too. */
static void request_behind(struct fill_request *request)
{
	u64 limit = (request->start | (CMAD_CHUNK_SIZE - 1)) + 1;
	u64 end = request->start + FILL_FAST * PAGE_SIZE;

	request->end = max(request->end, min(limit, end));
}

/* Look at the first piece alone, or at all that @request has. */
static int fill_request(struct cmad_chunk *chunk,
			const struct fill_request *request, u64 first_end)
{
	unsigned long few[FILL_FAST] CMAD_UNINITIALIZED;
	unsigned long nr = (request->end - request->start) >> PAGE_SHIFT;
	bool write = request->copy->write;
	struct hmm_range range = {
		.notifier = &chunk->notifier,
		.start = request->start,
		.end = request->end,
		.hmm_pfns = few,
	};
	unsigned long i, first = (first_end - request->start) >> PAGE_SHIFT;
	int rc;

	if (nr > FILL_FAST)
		range.hmm_pfns = kmalloc_array(nr, sizeof(*range.hmm_pfns),
					       CMAD_GFP_CACHE);
	if (!range.hmm_pfns)
		return -ENOMEM;
	rc = chunk_fill(chunk, &range, write);
	for (i = 0; i < first && !rc; i++)
		if (!cmad_suffices(range.hmm_pfns[i], write))
			rc = -EFAULT;
	if (range.hmm_pfns != few)
		kfree(range.hmm_pfns);
	return rc;
}

/*
 * Translate the whole pages around the @len bytes at @addr, which are the next
 * of @copy and lie in one chunk, if it is worth it: true if they are in the
 * cache now. The caller has a reference on mm_users and holds no lock.
 */
bool cmad_space_fill(struct cmad_copy *copy, const struct cmad_grant *grant,
		     u64 addr, u64 len)
{
	struct cmad_space *space = grant->space;
	struct fill_request request = {
		.copy = copy,
		.grant = grant,
		.start = addr & PAGE_MASK,
		.end = PAGE_ALIGN(addr + len),
	};
	u64 first_end = request.end;
	struct cmad_chunk *chunk;
	int rc;

	request.pages = (request.end - request.start) >> PAGE_SHIFT;
	if (copy->remote.nr > 1 && !copy->lone)
		request_ahead(&request, len);
	if (request.end <= request.start ||
	    request.end > cmad_space_mm(space)->task_size)
		return false;
	chunk = chunk_worth_filling(copy, space, addr, request.pages);
	if (!chunk)
		return false;

	if (!copy->write && cmad_evict_is_full(space))
		request_behind(&request);
	rc = fill_request(chunk, &request, first_end);
	if (rc == -EFAULT && request.end > first_end) {
		/* Something is not there: ask for no more than needed. */
		copy->lone = true;
		request.segs = 0;
		request.end = first_end;
		rc = fill_request(chunk, &request, first_end);
	}
	cmad_chunk_put(chunk);
	copy->poor = rc == -ENOMEM;
	if (!rc)
		cmad_count(fills, 1);
	return !rc;
}
