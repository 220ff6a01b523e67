// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks: the cached translations, 2 MB of a space each; from their making to
 * their end.
 *
 * A chunk holds the kernel addresses of the pages that are mapped there;
 * nothing is pinned or referenced. It has an interval notifier, and whatever
 * changes the owner's address space there (unmap, copy-on-write, migration,
 * swapping, exit) first calls chunk_invalidate(), which waits for copies under
 * way and clears the entries. A valid entry seen under the chunk's lock is
 * therefore true until the lock is dropped.
 *
 * Whoever takes a chunk out of the table (table.c) destroys it: eviction, the
 * owner's exit or the end of its space. It is marked dead under its lock, which
 * waits for copies, its entries are freed, and a grace period later the rest.
 *
 * Under a chunk's lock nothing allocates, faults, sleeps for an mmap_lock or
 * puts an mm: invalidation waits for it, and reclaim waits for invalidation.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "compat/shrinker.h"
#include "chunk.h"

static struct kmem_cache *chunk_cache;

/* All, by who is charged for them; the shrinker's (evict.c). */
struct list_lru cmad_chunk_lru;

/* What was made and is not freed yet. */
static atomic_t nr_there;

/* The chunks that are in no list any more, but not freed; and a few new ones. */
int cmad_chunks_going(void)
{
	return atomic_read(&nr_there) - (int)READ_ONCE(cmad_nr_chunks);
}

/* Wait until no more than @max are; -ERESTARTSYS by a signal that kills. */
int cmad_chunks_wait(int max)
{
	return wait_var_event_killable(&nr_there, cmad_chunks_going() <= max);
}

static void count_there(int by)
{
	cmad_count(chunks, by);
	atomic_add(by, &nr_there);
	if (by > 0)
		return;
	smp_mb__after_atomic(); /* as wake_up_var() wants it */
	wake_up_var(&nr_there);
}

static void chunk_release(struct rcu_head *rcu)
{
	struct cmad_chunk *chunk = container_of(rcu, struct cmad_chunk, rcu);

	kfree(chunk->entries);
	kmem_cache_free(chunk_cache, chunk);
	count_there(-1);
}

/*
 * Give back of a chunk that was taken what can be given back without waiting,
 * which is most of it: the entries, unless copies are under way, or mappings
 * show what has to be unmapped first.
 */
static void chunk_strip(struct cmad_chunk *chunk)
{
	unsigned long *entries = NULL;

	if (!down_write_trylock(&chunk->lock))
		return;
	chunk->dead = true;
	cmad_vmap_drop(chunk);
	cmad_young_hand_over(chunk);
	if (!chunk->mapped) {
		swap(chunk->entries, entries);
		chunk->whole = 0;
	}
	up_write(&chunk->lock);
	kfree(entries);
}

/* The chunk was taken; may sleep. What is mapped from it is unmapped first. */
static void chunk_destroy(struct cmad_chunk *chunk)
{
	bool mapped;

	cmad_lru_del(&cmad_chunk_lru, &chunk->lru);
	down_write(&chunk->lock);
	chunk->dead = true;
	mapped = chunk->mapped;
	cmad_vmap_drop(chunk);
	up_write(&chunk->lock);
	if (mapped)
		cmad_unmap_chunk(chunk);
	mmu_interval_notifier_remove(&chunk->notifier);
	/* Who finds it until it is freed sees under its lock that it is dead. */
	kfree(chunk->entries);
	chunk->entries = NULL;
	chunk->whole = 0;
	call_rcu(&chunk->rcu, chunk_release);
}

/*
 * Take the rights from the entries of @nr pages. True if some may be mapped: the
 * caller then has them unmapped, also those that another invalidation revoked
 * and may not have unmapped yet, since nobody may free a page of which others do
 * no more than intend to.
 */
static bool chunk_revoke(struct cmad_chunk *chunk, unsigned long first,
			 unsigned long nr)
{
	unsigned long *entry;
	bool mapped = false;

	lockdep_assert_held_write(&chunk->lock);
	cmad_vmap_drop(chunk);
	if (!chunk->entries) {
		chunk->whole &= ~CMAD_ENTRY_RIGHTS;
		if (!chunk->mapped)
			chunk->whole = 0;
		return chunk->whole;
	}
	entry = &chunk->entries[first];
	if (!chunk->mapped) {
		memset(entry, 0, nr * sizeof(*entry));
		return false;
	}
	for (; nr--; entry++) {
		*entry &= ~CMAD_ENTRY_RIGHTS;
		mapped |= *entry != 0;
	}
	return mapped;
}

static bool chunk_invalidate(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *range,
			     unsigned long seq)
{
	struct cmad_chunk *chunk = container_of(notifier, struct cmad_chunk,
						notifier);
	unsigned long base = chunk->index << CMAD_CHUNK_SHIFT;
	unsigned long first = (max(range->start, base) - base) >> PAGE_SHIFT;
	unsigned long last = (min(range->end - 1, base + CMAD_CHUNK_SIZE - 1) -
			      base) >> PAGE_SHIFT;
	unsigned long nr = last - first + 1;
	bool may_wait = mmu_notifier_range_blockable(range);
	bool mapped;

	if (may_wait)
		down_write(&chunk->lock);
	else if (!down_write_trylock(&chunk->lock))
		return false;

	mmu_interval_set_seq(notifier, seq);
	mapped = chunk_revoke(chunk, first, nr);
	up_write(&chunk->lock);
	if (mapped && !cmad_unmap_pages(chunk, first, nr, may_wait))
		return false;

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

/* With it goes a reference on the space. */
static void chunk_evict(struct work_struct *work)
{
	struct cmad_chunk *chunk = container_of(work, struct cmad_chunk, evict);
	struct cmad_space *space = chunk->space;

	chunk_destroy(chunk);
	cmad_space_put(space);
}

/*
 * The chunk was taken, and a reference on its space, which is dropped later.
 * Waits for nothing, under whatever lock: a work item does what is left to do.
 */
void cmad_chunk_evict(struct cmad_chunk *chunk)
{
	chunk_strip(chunk);
	queue_work(cmad_wq, &chunk->evict);
}

static struct cmad_chunk *chunk_alloc(struct cmad_space *space,
				      unsigned long index, gfp_t gfp)
{
	struct cmad_chunk *chunk = cmad_lru_alloc(chunk_cache, &cmad_chunk_lru,
						  gfp);

	if (!chunk)
		return NULL;
	count_there(1);
	INIT_LIST_HEAD(&chunk->lru);
	init_rwsem(&chunk->lock);
	cmad_vmap_init(chunk);
	cmad_young_init_chunk(chunk);
	refcount_set(&chunk->refs, 2);	/* the table's and the caller's */
	INIT_WORK(&chunk->evict, chunk_evict);
	chunk->space = space;
	chunk->index = index;
	chunk->used = true;
	return chunk;
}

static int chunk_attach(struct cmad_chunk *chunk, bool must)
{
	return cmad_space_attach(chunk->space, must) ?:
	       mmu_interval_notifier_insert(&chunk->notifier,
					    cmad_space_mm(chunk->space),
					    chunk->index << CMAD_CHUNK_SHIFT,
					    CMAD_CHUNK_SIZE, &chunk_ops);
}

/*
 * Make the chunk at @index, for which there is room: it comes with a reference.
 * An ERR_PTR, -EBUSY if somebody else made it. The caller has a reference on
 * mm_users.
 */
struct cmad_chunk *cmad_chunk_create(struct cmad_space *space,
				     unsigned long index, bool must)
{
	struct cmad_chunk *chunk;
	int rc;

	chunk = chunk_alloc(space, index, CMAD_GFP_CACHE);
	if (!chunk && must)
		chunk = chunk_alloc(space, index, GFP_KERNEL);
	if (!chunk)
		return ERR_PTR(-ENOMEM);
	rc = chunk_attach(chunk, must);
	if (rc) {
		chunk_release(&chunk->rcu);
		return ERR_PTR(rc);
	}
	if (cmad_chunk_publish(chunk)) {
		/* Not gone meanwhile: the caller's reference keeps it. */
		cmad_lru_add(&cmad_chunk_lru, &chunk->lru);
		return chunk;
	}
	chunk_destroy(chunk);
	return ERR_PTR(-EBUSY);
}

/* Destroy what chunks can be destroyed; at a space's end that is all. */
static void chunks_drop(struct cmad_space *space)
{
	struct cmad_chunk *chunk;

	while ((chunk = cmad_chunk_take_first(space))) {
		chunk_destroy(chunk);
		cond_resched();
	}
}

const struct cmad_space_ops cmad_chunk_space_ops = {
	.attached = cmad_young_begin,
	.dead = chunks_drop,
	.give_back = cmad_young_end,
};

int __init cmad_chunk_init(void)
{
	chunk_cache = kmem_cache_create("cma_chunk", sizeof(struct cmad_chunk),
					0, SLAB_ACCOUNT, NULL);
	return chunk_cache ? 0 : -ENOMEM;
}

/* All spaces are gone, and their chunks with them. */
void cmad_chunk_exit(void)
{
	kmem_cache_destroy(chunk_cache);
}
