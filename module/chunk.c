// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks: the cached translations, 2 MB of a space each.
 *
 * A chunk holds the kernel addresses of the pages that are mapped there;
 * nothing is pinned or referenced. It has an interval notifier, and whatever
 * changes the owner's address space there (unmap, copy-on-write, migration,
 * swapping, exit) first calls chunk_invalidate(), which waits for copies under
 * way and clears the entries. A valid entry seen under the chunk's lock is
 * therefore true until the lock is dropped.
 *
 * Life times. The chunks of all spaces are found in one table under RCU; a
 * copy needs no reference, only the lock, and a fill takes a reference. Whoever
 * takes a chunk out of the table destroys it: eviction, the owner's exit or
 * the end of its space. It is marked dead under its lock, which waits for
 * copies, its entries are freed, and a grace period later the rest.
 *
 * Under a chunk's lock nothing allocates, faults, sleeps for an mmap_lock or
 * puts an mm: invalidation waits for it, and reclaim waits for invalidation.
 */
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/shrinker.h"
#include "private.h"
#include "space.h"

static struct kmem_cache *chunk_cache;

/* By space and index; as many buckets as chunks were expected at load time. */
#define TABLE_BITS_MIN 10
#define TABLE_BITS_MAX 20
static struct hlist_head *table;
static unsigned int table_bits;

/* Guards the lists, the counts and changes of the table. */
DEFINE_SPINLOCK(cmad_chunks_lock);

static struct hlist_head *chunk_bucket(const struct cmad_space *space,
				       unsigned long index)
{
	return &table[hash_long((unsigned long)space + index, table_bits)];
}

/* Under RCU, and good under it. */
static __always_inline struct cmad_chunk *
chunk_find(const struct cmad_space *space, unsigned long index)
{
	struct cmad_chunk *chunk;

	hlist_for_each_entry_rcu(chunk, chunk_bucket(space, index), node,
				 lockdep_is_held(&cmad_chunks_lock))
		if (chunk->index == index && chunk->space == space)
			return chunk;
	return NULL;
}

static void chunk_release(struct rcu_head *rcu)
{
	struct cmad_chunk *chunk = container_of(rcu, struct cmad_chunk, rcu);

	kfree(chunk->entries);
	kmem_cache_free(chunk_cache, chunk);
	cmad_evict_uncount();
}

/*
 * Give back of a chunk that was taken what can be given back without waiting,
 * which is most of it: the entries, unless copies are under way, or mappings
 * show what has to be unmapped first.
 */
void cmad_chunk_strip(struct cmad_chunk *chunk)
{
	unsigned long *entries = NULL;

	if (!down_write_trylock(&chunk->lock))
		return;
	chunk->dead = true;
	cmad_vmap_drop(chunk);
	cmad_young_hand_over(chunk);
	if (!chunk->mapped)
		swap(chunk->entries, entries);
	up_write(&chunk->lock);
	kfree(entries);
}

/* The chunk was taken; may sleep. What is mapped from it is unmapped first. */
void cmad_chunk_destroy(struct cmad_chunk *chunk)
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
	if (!chunk->entries)
		return false;
	entry = &chunk->entries[first];
	if (!chunk->mapped) {
		memset(entry, 0, nr * sizeof(*entry));
		return false;
	}
	for (; nr--; entry++) {
		*entry &= ~(CMAD_ENTRY_READ | CMAD_ENTRY_WRITE);
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

/* Take it out of all lists, to destroy it; false if it is being filled. */
bool cmad_chunk_take(struct cmad_chunk *chunk)
{
	lockdep_assert_held(&cmad_chunks_lock);
	if (!refcount_dec_if_one(&chunk->refs))
		return false;
	hlist_del_rcu(&chunk->node);
	cmad_evict_del(chunk);
	return true;
}

static struct cmad_chunk *chunk_alloc(struct cmad_space *space,
				      unsigned long index, gfp_t gfp)
{
	struct cmad_chunk *chunk = cmad_lru_alloc(chunk_cache, &cmad_chunk_lru,
						  gfp);

	if (!chunk)
		return NULL;
	chunk->entries = kcalloc(CMAD_CHUNK_PAGES, sizeof(*chunk->entries),
				 gfp | __GFP_ACCOUNT);
	if (!chunk->entries) {
		kmem_cache_free(chunk_cache, chunk);
		return NULL;
	}
	cmad_evict_count();
	INIT_LIST_HEAD(&chunk->lru);
	init_rwsem(&chunk->lock);
	cmad_vmap_init(chunk);
	cmad_young_init_chunk(chunk);
	refcount_set(&chunk->refs, 2);	/* the table's and the caller's */
	cmad_evict_init_chunk(chunk);
	chunk->space = space;
	chunk->index = index;
	chunk->used = true;
	return chunk;
}

/* Make it known, unless somebody else was quicker with the same. */
static bool chunk_publish(struct cmad_chunk *chunk)
{
	struct cmad_space *space = chunk->space;
	bool first;

	spin_lock(&cmad_chunks_lock);
	first = !chunk_find(space, chunk->index);
	if (first) {
		hlist_add_head_rcu(&chunk->node,
				   chunk_bucket(space, chunk->index));
		cmad_evict_add(chunk);
	}
	spin_unlock(&cmad_chunks_lock);
	return first;
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
 * Make the chunk at @index: it comes with a reference. An ERR_PTR, -EAGAIN if
 * there is no room in the cache, unless it @must be, and -EBUSY if somebody else
 * made it. The caller has a reference on mm_users.
 */
struct cmad_chunk *cmad_chunk_create(struct cmad_space *space,
				     unsigned long index, bool must)
{
	struct cmad_chunk *chunk;
	int rc;

	if (!cmad_evict_make_room(space, must) &&
	    (!must || fatal_signal_pending(current)))
		return ERR_PTR(-EAGAIN);
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
	if (chunk_publish(chunk)) {
		/* Not gone meanwhile: the caller's reference keeps it. */
		cmad_lru_add(&cmad_chunk_lru, &chunk->lru);
		return chunk;
	}
	cmad_chunk_destroy(chunk);
	return ERR_PTR(-EBUSY);
}

/* The chunk at @index, or NULL. Under RCU, and good under it. */
struct cmad_chunk *cmad_chunk_peek(struct cmad_space *space,
				   unsigned long index)
{
	return chunk_find(space, index);
}

/* The chunk at @index with a reference, which keeps it in the table, or NULL. */
struct cmad_chunk *cmad_chunk_get(struct cmad_space *space, unsigned long index)
{
	struct cmad_chunk *chunk;

	rcu_read_lock();
	chunk = chunk_find(space, index);
	if (chunk && !refcount_inc_not_zero(&chunk->refs))
		chunk = NULL;
	rcu_read_unlock();
	return chunk;
}

/* Never the last reference: that one is the table's. */
void cmad_chunk_put(struct cmad_chunk *chunk)
{
	refcount_dec(&chunk->refs);
}

/*
 * The chunk at @addr, locked for reading, or NULL: there is none, or it is
 * being changed. Never waits. The caller is in a step, and must up_read()
 * before that ends: it keeps the chunk by nothing but the lock, which may be in
 * use for a moment after others have got it, and by the step.
 */
struct cmad_chunk *cmad_chunk_trylock(struct cmad_space *space,
				      unsigned long addr)
{
	struct cmad_chunk *chunk = chunk_find(space, addr >> CMAD_CHUNK_SHIFT);

	if (!chunk || READ_ONCE(chunk->wanted) ||
	    !down_read_trylock(&chunk->lock))
		return NULL;
	if (chunk->dead) {
		up_read(&chunk->lock);
		return NULL;
	}
	if (!READ_ONCE(chunk->used))
		WRITE_ONCE(chunk->used, true);
	return chunk;
}

/* The first chunk of @space that can be taken, taken; or NULL. */
static struct cmad_chunk *space_take_chunk(struct cmad_space *space)
{
	struct cmad_chunk *chunk;

	spin_lock(&cmad_chunks_lock);
	list_for_each_entry(chunk, &space->siblings, sibling)
		if (cmad_chunk_take(chunk))
			goto out;
	chunk = NULL;
out:
	spin_unlock(&cmad_chunks_lock);
	return chunk;
}

/* Destroy what chunks can be destroyed; at a space's end that is all. */
void cmad_chunks_drop(struct cmad_space *space)
{
	struct cmad_chunk *chunk;

	while ((chunk = space_take_chunk(space))) {
		cmad_chunk_destroy(chunk);
		cond_resched();
	}
}

int __init cmad_chunk_init(void)
{
	table_bits = clamp(order_base_2(cmad_max_chunks), TABLE_BITS_MIN,
			   TABLE_BITS_MAX);
	table = kvcalloc(BIT(table_bits), sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	chunk_cache = kmem_cache_create("cma_chunk", sizeof(struct cmad_chunk),
					0, SLAB_ACCOUNT, NULL);
	if (!chunk_cache) {
		kvfree(table);
		return -ENOMEM;
	}
	return 0;
}

/* All spaces are gone, and their chunks with them. */
void cmad_chunk_exit(void)
{
	kmem_cache_destroy(chunk_cache);
	kvfree(table);
}
