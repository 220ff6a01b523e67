// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks: the cached translations, 2 MB of a space each, and their bound.
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
 * copies, and freed a grace period later.
 *
 * Under a chunk's lock nothing allocates, faults, sleeps for an mmap_lock or
 * puts an mm: invalidation waits for it, and reclaim waits for invalidation.
 */
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/shrinker.h"
#include "private.h"

unsigned int cmad_max_chunks = 4096;
module_param_named(max_chunks, cmad_max_chunks, uint, 0644);
MODULE_PARM_DESC(max_chunks,
		 "Chunks of 2 MB whose translations are kept in total (default 4096, 0: none)");

static unsigned int max_chunks_per_space = 1024;
module_param(max_chunks_per_space, uint, 0644);
MODULE_PARM_DESC(max_chunks_per_space,
		 "Chunks of 2 MB whose translations are kept of one process (default 1024)");

/* By space and index; as many buckets as chunks were expected at load time. */
#define TABLE_BITS_MIN 10
#define TABLE_BITS_MAX 20
static struct hlist_head *table;
static unsigned int table_bits;

/* Guards the lists, the counts and changes of the table. */
static DEFINE_SPINLOCK(chunks_lock);
static LIST_HEAD(chunks);		/* all chunks, the next victim first */
static unsigned int nr_chunks;

static struct shrinker *chunk_shrinker;

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
				 lockdep_is_held(&chunks_lock))
		if (chunk->index == index && chunk->space == space)
			return chunk;
	return NULL;
}

static void chunk_release(struct rcu_head *rcu)
{
	struct cmad_chunk *chunk = container_of(rcu, struct cmad_chunk, rcu);

	kfree(chunk->entries);
	kfree(chunk);
}

/* The chunk is in no list; may sleep. What it shows is hidden first. */
static void chunk_destroy(struct cmad_chunk *chunk)
{
	bool mapped;

	down_write(&chunk->lock);
	chunk->dead = true;
	mapped = chunk->mapped;
	cmad_flat_drop(chunk);
	up_write(&chunk->lock);
	if (mapped)
		cmad_hide_chunk(chunk);
	mmu_interval_notifier_remove(&chunk->notifier);
	cmad_hide_end(chunk);
	call_rcu(&chunk->rcu, chunk_release);
}

/*
 * Take the rights from the entries of @nr pages. What a mapping may still show
 * stays known, without rights, and true tells to hide it: also what another
 * invalidation took the rights from and may not have hidden yet, since nobody
 * may free a page of which others do no more than intend to.
 */
static bool chunk_forget(struct cmad_chunk *chunk, unsigned long first,
			 unsigned long nr)
{
	unsigned long *entry = &chunk->entries[first];
	bool shown = false;

	lockdep_assert_held_write(&chunk->lock);
	cmad_flat_drop(chunk);
	if (!chunk->mapped) {
		memset(entry, 0, nr * sizeof(*entry));
		return false;
	}
	for (; nr--; entry++) {
		if (*entry & CMAD_ENTRY_WRITE)
			*entry |= CMAD_ENTRY_STORED;
		*entry &= ~(CMAD_ENTRY_READ | CMAD_ENTRY_WRITE);
		shown |= *entry != 0;
	}
	return shown;
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
	bool blockable = mmu_notifier_range_blockable(range);
	bool shown;

	if (blockable)
		down_write(&chunk->lock);
	else if (!down_write_trylock(&chunk->lock))
		return false;

	mmu_interval_set_seq(notifier, seq);
	shown = chunk_forget(chunk, first, last - first + 1);
	if (shown && !blockable)
		cmad_hide_later(chunk, first, last - first + 1);
	up_write(&chunk->lock);
	if (shown && blockable)
		cmad_hide(chunk, first, last - first + 1, range);

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
static bool chunk_take(struct cmad_chunk *chunk)
{
	lockdep_assert_held(&chunks_lock);
	if (!refcount_dec_if_one(&chunk->refs))
		return false;
	hlist_del_rcu(&chunk->node);
	list_del(&chunk->all);
	list_del(&chunk->sibling);
	chunk->space->nr_chunks--;
	nr_chunks--;
	return true;
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
	unsigned int total = READ_ONCE(cmad_max_chunks);

	if (!total)
		return false;
	if (READ_ONCE(space->nr_chunks) >= READ_ONCE(max_chunks_per_space))
		return evict_one(space, 64);
	if (READ_ONCE(nr_chunks) >= total)
		return evict_one(NULL, 64);
	return true;
}

static struct cmad_chunk *chunk_alloc(struct cmad_space *space,
				      unsigned long index)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	struct cmad_chunk *chunk = kzalloc(sizeof(*chunk), gfp);

	if (!chunk)
		return NULL;
	chunk->entries = kcalloc(CMAD_CHUNK_PAGES, sizeof(*chunk->entries),
				 gfp);
	if (!chunk->entries) {
		kfree(chunk);
		return NULL;
	}
	init_rwsem(&chunk->lock);
	cmad_flat_init(chunk);
	refcount_set(&chunk->refs, 2);	/* the table's and the caller's */
	INIT_WORK(&chunk->evict, chunk_evict);
	INIT_WORK(&chunk->hide, cmad_hide_work);
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

	spin_lock(&chunks_lock);
	first = !chunk_find(space, chunk->index);
	if (first) {
		hlist_add_head_rcu(&chunk->node,
				   chunk_bucket(space, chunk->index));
		list_add_tail(&chunk->all, &chunks);
		list_add_tail(&chunk->sibling, &space->siblings);
		space->nr_chunks++;
		nr_chunks++;
	}
	spin_unlock(&chunks_lock);
	return first;
}

static int chunk_insert(struct cmad_chunk *chunk)
{
	return mmu_interval_notifier_insert(&chunk->notifier, chunk->space->mm,
					    chunk->index << CMAD_CHUNK_SHIFT,
					    CMAD_CHUNK_SIZE, &chunk_ops);
}

struct attach {
	struct work_struct work;
	struct cmad_chunk *chunk;
	int rc;
};

static void attach_work(struct work_struct *work)
{
	struct attach *attach = container_of(work, struct attach, work);

	attach->rc = chunk_insert(attach->chunk);
}

/*
 * The first notifier of an mm takes all of its locks, and gives up when there
 * is a signal, also one that does not kill. A fault may have to go on with it:
 * then a kernel thread, which has no signals, makes the notifier.
 */
static int chunk_attach(struct cmad_chunk *chunk, bool must)
{
	struct attach attach = { .chunk = chunk, .rc = chunk_insert(chunk) };

	if (attach.rc == -EINTR && must && !fatal_signal_pending(current)) {
		INIT_WORK_ONSTACK(&attach.work, attach_work);
		queue_work(system_unbound_wq, &attach.work);
		flush_work(&attach.work);
		destroy_work_on_stack(&attach.work);
	}
	return attach.rc;
}

/*
 * Make the chunk at @index: it comes with a reference. An ERR_PTR, -ENOMEM also
 * if there is no room, unless it @must be, and -EBUSY if somebody else made it.
 * The caller has a reference on mm_users.
 */
struct cmad_chunk *cmad_chunk_create(struct cmad_space *space,
				     unsigned long index, bool must)
{
	struct cmad_chunk *chunk;
	int rc;

	if (!make_room(space) && !must)
		return ERR_PTR(-ENOMEM);
	chunk = chunk_alloc(space, index);
	if (!chunk)
		return ERR_PTR(-ENOMEM);
	rc = chunk_attach(chunk, must);
	if (rc) {
		chunk_release(&chunk->rcu);
		return ERR_PTR(rc);
	}
	if (chunk_publish(chunk))
		return chunk;
	chunk_destroy(chunk);
	return ERR_PTR(-EBUSY);
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
 * being changed. Never waits. The caller holds the RCU read lock and may drop
 * it afterwards: the chunk's end waits for its lock, and the space's for its
 * chunks. It must up_read() under RCU again, since it keeps the chunk by nothing
 * but that lock.
 */
struct cmad_chunk *cmad_chunk_trylock(struct cmad_space *space,
				      unsigned long addr)
{
	struct cmad_chunk *chunk = chunk_find(space, addr >> CMAD_CHUNK_SHIFT);

	if (!chunk || !down_read_trylock(&chunk->lock))
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

	spin_lock(&chunks_lock);
	list_for_each_entry(chunk, &space->siblings, sibling)
		if (chunk_take(chunk))
			goto out;
	chunk = NULL;
out:
	spin_unlock(&chunks_lock);
	return chunk;
}

/* Destroy what chunks can be destroyed; at a space's end that is all. */
void cmad_chunks_drop(struct cmad_space *space)
{
	struct cmad_chunk *chunk;

	while ((chunk = space_take_chunk(space))) {
		chunk_destroy(chunk);
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
	chunk_shrinker = cmad_shrinker_register(shrink_count, shrink_scan);
	if (!chunk_shrinker) {
		kvfree(table);
		return -ENOMEM;
	}
	return 0;
}

/* No evictions are queued from now on. */
void cmad_chunk_stop(void)
{
	cmad_shrinker_free(chunk_shrinker);
}

/* All spaces are gone, and their chunks with them. */
void cmad_chunk_exit(void)
{
	kvfree(table);
}
