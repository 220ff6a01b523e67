// SPDX-License-Identifier: GPL-2.0
/*
 * The table of chunks: who is there, by space and index, and in which order they
 * would go.
 *
 * Look-up is under RCU. A copy needs no reference, only the chunk's lock; a fill
 * takes a reference, which keeps the chunk in the table. Whoever takes a chunk
 * out of the table has it for himself, and destroys it.
 *
 * The lists of all chunks and of those of a space have the next victim first;
 * evict.c decides. cmad_chunks_lock guards them, their counts, and changes of the
 * table.
 *
 * The table has two to four chains for each chunk. As they become more a work item
 * makes a larger one, which new chunks go to at once, and moves the others there,
 * chain by chain, so that nobody waits long for the lock. Meanwhile both are
 * looked in. A reader under RCU may lose its way on a chunk that moves, and miss
 * one; who looks under the lock misses none.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "chunk.h"

/*
 * A second chunk in a chain costs a copy of 64 B one part in 100, so that they are
 * few: one in two, or in four, has one at all.
 */
#define TABLE_BITS_MIN 11
#define TABLE_BITS_MAX 24

struct chunk_table {
	unsigned int shift;	/* of a hash, to a chain's number */
	struct rcu_head rcu;
	struct hlist_head chains[];
};

/* Where chunks are added, and what is being emptied into that, or NULL. */
static struct chunk_table __rcu *table;
static struct chunk_table __rcu *emptied;

DEFINE_SPINLOCK(cmad_chunks_lock);
LIST_HEAD(cmad_chunks);
unsigned int cmad_nr_chunks;

/* Steps are of RCU's kind that disables preemption, faults of the other. */
static __always_inline struct chunk_table *
table_of(struct chunk_table __rcu *const *which)
{
	return rcu_dereference_check(*which,
				     lockdep_is_held(&cmad_chunks_lock) ||
				     rcu_read_lock_any_held());
}

/* As hash_64(), which would subtract for each copy. */
static __always_inline struct hlist_head *
chunk_chain(struct chunk_table *in, const struct cmad_space *space,
	    unsigned long index)
{
	u64 hash = ((unsigned long)space + index) * GOLDEN_RATIO_64;

	return &in->chains[hash >> in->shift];
}

static __always_inline struct cmad_chunk *
chain_find(struct chunk_table *in, const struct cmad_space *space,
	   unsigned long index)
{
	struct cmad_chunk *chunk;

	hlist_for_each_entry_rcu(chunk, chunk_chain(in, space, index), node,
				 lockdep_is_held(&cmad_chunks_lock))
		if (chunk->index == index && chunk->space == space)
			return chunk;
	return NULL;
}

/* Apart, since hardly ever there is one. */
static noinline struct cmad_chunk *
emptied_find(const struct cmad_space *space, unsigned long index)
{
	struct chunk_table *old = table_of(&emptied);

	return old ? chain_find(old, space, index) : NULL;
}

/* Under RCU, and good under it. */
static __always_inline struct cmad_chunk *
chunk_find(const struct cmad_space *space, unsigned long index)
{
	return chain_find(table_of(&table), space, index) ?:
	       emptied_find(space, index);
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

/* Who asks whether there is room reads them without the lock. */
static void chunks_change(struct cmad_space *space, int by)
{
	WRITE_ONCE(space->nr_chunks, space->nr_chunks + by);
	WRITE_ONCE(cmad_nr_chunks, cmad_nr_chunks + by);
}

static struct chunk_table *table_alloc(unsigned int bits)
{
	struct chunk_table *new = kvzalloc(struct_size(new, chains, BIT(bits)),
					   CMAD_GFP_CACHE);

	if (new)
		new->shift = 64 - bits;
	return new;
}

static unsigned int table_bits(const struct chunk_table *of)
{
	return 64 - of->shift;
}

/* Nothing else changes which tables there are. */
static void table_grow(struct work_struct *work)
{
	struct chunk_table *old = rcu_dereference_protected(table, true), *new;
	unsigned int nr = READ_ONCE(cmad_nr_chunks);
	unsigned int bits = order_base_2(nr) + 2;
	struct cmad_chunk *chunk;
	struct hlist_node *next;
	unsigned long i;

	bits = min_t(unsigned int, bits, TABLE_BITS_MAX);
	new = bits > table_bits(old) ? table_alloc(bits) : NULL;
	if (!new)
		return;
	spin_lock(&cmad_chunks_lock);
	rcu_assign_pointer(emptied, old);
	rcu_assign_pointer(table, new);
	spin_unlock(&cmad_chunks_lock);
	for (i = 0; i < BIT(table_bits(old)); i++) {
		spin_lock(&cmad_chunks_lock);
		hlist_for_each_entry_safe(chunk, next, &old->chains[i], node) {
			hlist_del_rcu(&chunk->node);
			hlist_add_head_rcu(&chunk->node,
					   chunk_chain(new, chunk->space,
						       chunk->index));
		}
		spin_unlock(&cmad_chunks_lock);
		cond_resched();
	}
	/* Nobody looks in there under the lock any more. */
	spin_lock(&cmad_chunks_lock);
	RCU_INIT_POINTER(emptied, NULL);
	spin_unlock(&cmad_chunks_lock);
	kvfree_rcu(old, rcu);
}

static DECLARE_WORK(table_work, table_grow);

/* cmad_chunks_lock is held. */
static void table_grow_when_full(void)
{
	unsigned int bits = table_bits(table_of(&table));

	if (cmad_nr_chunks > BIT(bits) / 2 && bits < TABLE_BITS_MAX)
		schedule_work(&table_work);
}

/* Make it known, unless somebody else was quicker with the same. */
bool cmad_chunk_publish(struct cmad_chunk *chunk)
{
	struct cmad_space *space = chunk->space;
	bool first;

	spin_lock(&cmad_chunks_lock);
	first = !chunk_find(space, chunk->index);
	if (first) {
		hlist_add_head_rcu(&chunk->node,
				   chunk_chain(table_of(&table), space,
					       chunk->index));
		list_add_tail(&chunk->all, &cmad_chunks);
		list_add_tail(&chunk->sibling, &space->siblings);
		chunks_change(space, 1);
		table_grow_when_full();
	}
	spin_unlock(&cmad_chunks_lock);
	return first;
}

/* Take it out of all lists, to destroy it; false if it is being filled. */
bool cmad_chunk_take(struct cmad_chunk *chunk)
{
	lockdep_assert_held(&cmad_chunks_lock);
	if (!refcount_dec_if_one(&chunk->refs))
		return false;
	hlist_del_rcu(&chunk->node);
	list_del(&chunk->all);
	list_del(&chunk->sibling);
	chunks_change(chunk->space, -1);
	return true;
}

/* The first chunk of @space that can be taken, taken; or NULL. */
struct cmad_chunk *cmad_chunk_take_first(struct cmad_space *space)
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

int __init cmad_table_init(void)
{
	struct chunk_table *first = table_alloc(TABLE_BITS_MIN);

	RCU_INIT_POINTER(table, first);
	return first ? 0 : -ENOMEM;
}

/* All spaces are gone, and their chunks with them. */
void cmad_table_exit(void)
{
	cancel_work_sync(&table_work);
	kvfree(rcu_dereference_protected(table, true));
}
