// SPDX-License-Identifier: GPL-2.0
/*
 * Spaces: what the module knows of a peer's address space.
 *
 * A space is shared by all grants for one mm_struct. It keeps translations of
 * chunks, 2 MB each, that are worth it: the kernel addresses of the pages
 * mapped there. Nothing is pinned or referenced. Each chunk has an interval
 * notifier, and whatever changes the owner's address space there (unmap,
 * copy-on-write, migration, swapping, exit) first calls chunk_invalidate(),
 * which waits for copies under way and clears the entries. A valid entry seen
 * under the chunk's lock is therefore true until the lock is dropped.
 *
 * Life times. A space lives while it has references (grants, and evictions
 * under way) and is taken apart from a work item, because removing a notifier
 * sleeps. A chunk belongs to whoever takes it off the list of all chunks:
 * eviction or the end of its space. It is marked dead under its lock, which
 * waits for copies, and freed a grace period later, so that a copy may look it
 * up under RCU and needs no reference, only its lock.
 *
 * Under a chunk's lock nothing allocates, faults, sleeps for an mmap_lock or
 * puts an mm: invalidation waits for it, and reclaim waits for invalidation.
 */
#include <linux/hash.h>
#include <linux/hmm.h>
#include <linux/memremap.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat/shrinker.h"
#include "private.h"

/* Pages in one chunk from which a translation pays at once. */
#define FILL_PAGES 24
/* Attempts before a fill that loses to invalidations is given up. */
#define FILL_TRIES 3

static unsigned int max_chunks = 4096;
module_param(max_chunks, uint, 0644);
MODULE_PARM_DESC(max_chunks,
		 "Chunks of 2 MB whose translations are kept in total (default 4096, 0: none)");

static unsigned int max_chunks_per_space = 1024;
module_param(max_chunks_per_space, uint, 0644);
MODULE_PARM_DESC(max_chunks_per_space,
		 "Chunks of 2 MB whose translations are kept of one process (default 1024)");

#define HASH_BITS_SPACES 8

static DEFINE_SPINLOCK(spaces_lock);	/* spaces, and finding one there */
static struct hlist_head spaces[1 << HASH_BITS_SPACES];

static DEFINE_SPINLOCK(chunks_lock);	/* chunks, nr_chunks, space->nr_chunks */
static LIST_HEAD(chunks);		/* all chunks, the next victim first */
static unsigned int nr_chunks;

static struct shrinker *chunk_shrinker;

static void chunk_release(struct rcu_head *rcu)
{
	struct cmad_chunk *chunk = container_of(rcu, struct cmad_chunk, rcu);

	kfree(chunk->entries);
	kfree(chunk);
}

static struct cmad_chunk **recent_slot(struct cmad_space *space,
				       unsigned long index)
{
	return &space->recent[index % CMAD_RECENT];
}

/* The chunk is off every list; may sleep. */
static void chunk_destroy(struct cmad_chunk *chunk)
{
	down_write(&chunk->lock);
	chunk->dead = true;
	up_write(&chunk->lock);
	cmpxchg(recent_slot(chunk->space, chunk->index), chunk, NULL);
	mmu_interval_notifier_remove(&chunk->notifier);
	call_rcu(&chunk->rcu, chunk_release);
}

static bool chunk_invalidate(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *range,
			     unsigned long seq)
{
	struct cmad_chunk *chunk = container_of(notifier, struct cmad_chunk,
						notifier);
	unsigned long base = chunk->index << CMAD_CHUNK_SHIFT;
	unsigned long start = max(range->start, base) - base;
	unsigned long end = min(range->end - 1, base + CMAD_CHUNK_SIZE - 1) -
			    base;

	if (mmu_notifier_range_blockable(range))
		down_write(&chunk->lock);
	else if (!down_write_trylock(&chunk->lock))
		return false;

	mmu_interval_set_seq(notifier, seq);
#ifndef CMAD_TEST_STALE	/* the stress tests' negative control */
	memset(&chunk->entries[start >> PAGE_SHIFT], 0,
	       ((end >> PAGE_SHIFT) - (start >> PAGE_SHIFT) + 1) *
	       sizeof(*chunk->entries));
#endif
	up_write(&chunk->lock);

	cmad_count(invalidations, 1);
	/* The owner exits: give the memory back now, not when its last peer
	 * closes. The space's end cancels this work after the notifiers.
	 */
	if (range->event == MMU_NOTIFY_RELEASE)
		queue_work(cmad_wq, &chunk->space->reap);
	return true;
}

static const struct mmu_interval_notifier_ops chunk_ops = {
	.invalidate = chunk_invalidate,
};

/* Off the lists, so that the caller may destroy it; false if it is in use. */
static bool chunk_take(struct cmad_chunk *chunk)
{
	struct xarray *xa = &chunk->space->chunks;
	bool taken;

	lockdep_assert_held(&chunks_lock);
	xa_lock(xa);
	taken = !chunk->fillers;
	if (taken)
		__xa_erase(xa, chunk->index);
	xa_unlock(xa);
	if (taken) {
		list_del(&chunk->all);
		list_del(&chunk->sibling);
		chunk->space->nr_chunks--;
		nr_chunks--;
	}
	return taken;
}

static void chunk_evict(struct work_struct *work)
{
	struct cmad_chunk *chunk = container_of(work, struct cmad_chunk, evict);
	struct cmad_space *space = chunk->space;

	chunk_destroy(chunk);
	cmad_space_put(space);
}

/*
 * Evict one chunk, of @space or of all: the first in line that was not used
 * since it was last looked at. False if there is none after @patience looks.
 * The work item does what sleeps, since a shrinker calls, too.
 */
static bool evict_one(struct cmad_space *space, unsigned int patience)
{
	struct cmad_chunk *chunk;
	bool done = false;

	spin_lock(&chunks_lock);
	while (patience-- && !done) {
		if (space)
			chunk = list_first_entry_or_null(&space->siblings,
							 struct cmad_chunk,
							 sibling);
		else
			chunk = list_first_entry_or_null(&chunks,
							 struct cmad_chunk,
							 all);
		if (!chunk)
			break;
		list_move_tail(&chunk->all, &chunks);
		list_move_tail(&chunk->sibling, &chunk->space->siblings);
		if (READ_ONCE(chunk->used)) {
			WRITE_ONCE(chunk->used, false);
			continue;
		}
		/* A space without references takes itself apart. */
		if (!refcount_inc_not_zero(&chunk->space->refs))
			continue;
		done = chunk_take(chunk);
		if (done)
			queue_work(cmad_wq, &chunk->evict);
		else
			cmad_space_put(chunk->space);
	}
	spin_unlock(&chunks_lock);
	if (done)
		cmad_count(evictions, 1);
	return done;
}

static unsigned long shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	return READ_ONCE(nr_chunks) ?: SHRINK_EMPTY;
}

static unsigned long shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	unsigned long done = 0;

	while (done < sc->nr_to_scan && evict_one(NULL, 64))
		done++;
	return done ?: SHRINK_STOP;
}

/* Room for one more chunk of @space, made by eviction if need be. */
static bool make_room(struct cmad_space *space)
{
	unsigned int total = READ_ONCE(max_chunks);

	if (!total)
		return false;
	if (READ_ONCE(space->nr_chunks) >= READ_ONCE(max_chunks_per_space))
		return evict_one(space, 64);
	if (READ_ONCE(nr_chunks) >= total)
		return evict_one(NULL, 64);
	return true;
}

/* Remember that the chunk at @index was touched; NULL without memory. */
static void *space_mark(struct cmad_space *space, unsigned long index)
{
	void *old = xa_cmpxchg(&space->chunks, index, NULL, xa_mk_value(1),
			       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

	return xa_is_err(old) ? NULL : old ?: xa_mk_value(1);
}

/* Bytes at @addr were copied by pinning, so that there is memory. */
void cmad_space_touch(struct cmad_space *space, unsigned long addr)
{
	unsigned long index = addr >> CMAD_CHUNK_SHIFT;

	if (READ_ONCE(max_chunks) && !xa_load(&space->chunks, index))
		space_mark(space, index);
}

/*
 * Make the chunk at @index and hold it for filling; NULL if that fails or
 * somebody else was quicker. The caller has a reference on mm_users.
 */
static struct cmad_chunk *chunk_create(struct cmad_space *space,
				       unsigned long index)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	struct cmad_chunk *chunk;
	void *old = NULL;

	if (!make_room(space))
		return NULL;
	chunk = kzalloc(sizeof(*chunk), gfp);
	if (!chunk)
		return NULL;
	chunk->entries = kcalloc(CMAD_CHUNK_PAGES, sizeof(*chunk->entries),
				 gfp);
	if (!chunk->entries)
		goto free;
	init_rwsem(&chunk->lock);
	INIT_WORK(&chunk->evict, chunk_evict);
	chunk->space = space;
	chunk->index = index;
	chunk->fillers = 1;
	chunk->used = true;

	if (mmu_interval_notifier_insert(&chunk->notifier, space->mm,
					 index << CMAD_CHUNK_SHIFT,
					 CMAD_CHUNK_SIZE, &chunk_ops))
		goto free;

	/* The slot exists: the first touch left a value in it. */
	spin_lock(&chunks_lock);
	xa_lock(&space->chunks);
	old = xa_load(&space->chunks, index);
	if (xa_is_value(old))
		old = __xa_store(&space->chunks, index, chunk, GFP_NOWAIT);
	else
		old = chunk;
	xa_unlock(&space->chunks);
	if (xa_is_value(old)) {
		list_add_tail(&chunk->all, &chunks);
		list_add_tail(&chunk->sibling, &space->siblings);
		space->nr_chunks++;
		nr_chunks++;
	}
	spin_unlock(&chunks_lock);
	if (xa_is_value(old))
		return chunk;

	chunk_destroy(chunk);
	return NULL;

free:
	kfree(chunk->entries);
	kfree(chunk);
	return NULL;
}

/*
 * Policy: is a transfer of @pages pages of the chunk at @index worth a
 * translation? A large one is, and any where the chunk was touched before.
 * Returns the chunk held for filling, or NULL: pin.
 */
static struct cmad_chunk *chunk_worth_filling(struct cmad_space *space,
					      unsigned long index,
					      unsigned long pages)
{
	struct cmad_chunk *chunk = NULL;
	void *entry;

	xa_lock(&space->chunks);
	entry = xa_load(&space->chunks, index);
	if (entry && !xa_is_value(entry)) {
		chunk = entry;
		chunk->fillers++;
	}
	xa_unlock(&space->chunks);

	if (!entry && pages >= FILL_PAGES)
		entry = space_mark(space, index);
	if (chunk || !entry)
		return chunk;
	return chunk_create(space, index);
}

static void chunk_filled(struct cmad_chunk *chunk)
{
	xa_lock(&chunk->space->chunks);
	chunk->fillers--;
	xa_unlock(&chunk->space->chunks);
}

/*
 * Whether pin_user_pages() would take the memory, too: hmm_range_fault() does
 * not refuse memfd_secret() memory, which the kernel has no mapping of, nor
 * writes to a shadow stack.
 */
static bool memory_is_fit(struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	struct vm_area_struct *vma;

	lockdep_assert_held(&mm->mmap_lock);
	while (start < end) {
		vma = find_vma(mm, start);
		if (!vma || vma->vm_start > start ||
		    vma->vm_flags & (VM_IO | VM_PFNMAP | CMAD_VM_SHADOW_STACK))
			return false;
		if (vma->vm_file && cmad_is_secretmem(vma->vm_file))
			return false;
		start = vma->vm_end;
	}
	return true;
}

/* One look at the page tables, which faults in what is missing. */
static int chunk_look(struct mm_struct *mm, struct hmm_range *range)
{
	int rc;

	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	if (memory_is_fit(mm, range->start, range->end))
		rc = hmm_range_fault(range);
	else
		rc = -EFAULT;
	mmap_read_unlock(mm);
	return rc;
}

/*
 * Enter what was seen, unless it is out of date. Our stores do not set a
 * page's dirty bit in the owner's page table, so writable pages are made dirty
 * now: whoever cleans one later write-protects it, which invalidates here.
 */
static int chunk_enter(struct cmad_chunk *chunk, const struct hmm_range *range)
{
	unsigned long first = range->start & (CMAD_CHUNK_SIZE - 1);
	unsigned long *entry = &chunk->entries[first >> PAGE_SHIFT];
	unsigned long nr = (range->end - range->start) >> PAGE_SHIFT;
	bool write = range->default_flags & HMM_PFN_REQ_WRITE;
	unsigned long i;
	int rc = 0;

	down_write(&chunk->lock);
	if (mmu_interval_read_retry(&chunk->notifier, range->notifier_seq))
		rc = -EBUSY;
	for (i = 0; i < nr && !rc; i++) {
		struct page *page = hmm_pfn_to_page(range->hmm_pfns[i]);

		if (is_zone_device_page(page)) {
			rc = -EFAULT;
			break;
		}
		if (write && !PageDirty(page))
			set_page_dirty(page);
		entry[i] = (unsigned long)page_address(page) |
			   CMAD_ENTRY_READ | (write ? CMAD_ENTRY_WRITE : 0);
	}
	up_write(&chunk->lock);
	return rc;
}

/*
 * Translate the whole pages around @len bytes at @addr, which lie in one
 * chunk, if it is worth it: true if they are in the cache now. The caller has
 * a reference on mm_users and holds no lock.
 */
bool cmad_space_fill(struct cmad_space *space, unsigned long addr,
		     unsigned long len, bool write)
{
	unsigned long start = addr & PAGE_MASK;
	unsigned long end = PAGE_ALIGN(addr + len);
	unsigned long nr = (end - start) >> PAGE_SHIFT;
	struct hmm_range range = {
		.start = start,
		.end = end,
		.default_flags = HMM_PFN_REQ_FAULT |
				 (write ? HMM_PFN_REQ_WRITE : 0),
	};
	struct cmad_chunk *chunk;
	int tries = FILL_TRIES;
	int rc = -ENOMEM;

	if (end <= start || end > space->mm->task_size)
		return false;
	chunk = chunk_worth_filling(space, start >> CMAD_CHUNK_SHIFT, nr);
	if (!chunk)
		return false;

	range.notifier = &chunk->notifier;
	range.hmm_pfns = kmalloc_array(nr, sizeof(*range.hmm_pfns),
				       GFP_KERNEL | __GFP_NOWARN);
	if (range.hmm_pfns) {
		do {
			rc = chunk_look(space->mm, &range);
			if (!rc)
				rc = chunk_enter(chunk, &range);
		} while (rc == -EBUSY && --tries &&
			 !fatal_signal_pending(current));
		kfree(range.hmm_pfns);
	}
	chunk_filled(chunk);
	if (!rc)
		cmad_count(fills, 1);
	return !rc;
}

/*
 * The chunk at @addr, locked for reading, or NULL: there is none, or it is
 * being changed. Never waits; up_read() it. The caller holds the RCU read lock
 * and may drop it afterwards: the chunk's end waits for its lock, and the
 * space's for its chunks.
 */
struct cmad_chunk *cmad_chunk_trylock(struct cmad_space *space,
				      unsigned long addr)
{
	unsigned long index = addr >> CMAD_CHUNK_SHIFT;
	struct cmad_chunk **slot = recent_slot(space, index);
	struct cmad_chunk *chunk = READ_ONCE(*slot);

	if (!chunk || chunk->index != index)
		chunk = xa_load(&space->chunks, index);
	if (!chunk || xa_is_value(chunk) || !down_read_trylock(&chunk->lock))
		return NULL;
	if (chunk->dead) {
		up_read(&chunk->lock);
		return NULL;
	}
	if (READ_ONCE(*slot) != chunk)
		WRITE_ONCE(*slot, chunk);
	if (!READ_ONCE(chunk->used))
		WRITE_ONCE(chunk->used, true);
	return chunk;
}

/* Destroy what chunks can be destroyed; at a space's end that is all. */
static void space_drop_chunks(struct cmad_space *space)
{
	unsigned long index;
	void *entry;

	xa_for_each(&space->chunks, index, entry) {
		struct cmad_chunk *chunk = NULL;

		spin_lock(&chunks_lock);
		entry = xa_load(&space->chunks, index);
		if (entry && !xa_is_value(entry) && chunk_take(entry))
			chunk = entry;
		spin_unlock(&chunks_lock);
		if (chunk)
			chunk_destroy(chunk);
	}
}

static void space_reap(struct work_struct *work)
{
	space_drop_chunks(container_of(work, struct cmad_space, reap));
}

static void space_free(struct work_struct *work)
{
	struct cmad_space *space = container_of(work, struct cmad_space, free);

	space_drop_chunks(space);
	/* No notifier is left to queue it. */
	cancel_work_sync(&space->reap);
	xa_destroy(&space->chunks);
	mmdrop(space->mm);
	kfree(space);
}

static struct cmad_space *space_find(struct mm_struct *mm)
{
	struct cmad_space *space;

	lockdep_assert_held(&spaces_lock);
	hlist_for_each_entry(space, &spaces[hash_ptr(mm, HASH_BITS_SPACES)],
			     node)
		if (space->mm == mm && refcount_inc_not_zero(&space->refs))
			return space;
	return NULL;
}

/* The space of @mm with a reference; the caller holds @mm. NULL: no memory. */
struct cmad_space *cmad_space_get(struct mm_struct *mm)
{
	struct cmad_space *space, *new;

	spin_lock(&spaces_lock);
	space = space_find(mm);
	spin_unlock(&spaces_lock);
	if (space)
		return space;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	refcount_set(&new->refs, 1);
	xa_init_flags(&new->chunks, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&new->siblings);
	INIT_WORK(&new->reap, space_reap);
	INIT_WORK(&new->free, space_free);
	new->mm = mm;

	spin_lock(&spaces_lock);
	space = space_find(mm);
	if (!space) {
		mmgrab(mm);
		hlist_add_head(&new->node,
			       &spaces[hash_ptr(mm, HASH_BITS_SPACES)]);
	}
	spin_unlock(&spaces_lock);

	if (space)
		kfree(new);
	return space ?: new;
}

void cmad_space_put(struct cmad_space *space)
{
	if (!refcount_dec_and_test(&space->refs))
		return;
	spin_lock(&spaces_lock);
	hlist_del(&space->node);
	spin_unlock(&spaces_lock);
	queue_work(cmad_wq, &space->free);
}

int __init cmad_space_init(void)
{
	chunk_shrinker = cmad_shrinker_register(shrink_count, shrink_scan);
	return chunk_shrinker ? 0 : -ENOMEM;
}

/* No evictions are queued from now on. */
void cmad_space_exit(void)
{
	cmad_shrinker_free(chunk_shrinker);
}
