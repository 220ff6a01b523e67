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
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "chunk.h"

#define TABLE_BITS_MIN 10
#define TABLE_BITS_MAX 20
static struct hlist_head *table;
static unsigned int table_bits;

DEFINE_SPINLOCK(cmad_chunks_lock);
LIST_HEAD(cmad_chunks);
unsigned int cmad_nr_chunks;

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

/* Make it known, unless somebody else was quicker with the same. */
bool cmad_chunk_publish(struct cmad_chunk *chunk)
{
	struct cmad_space *space = chunk->space;
	bool first;

	spin_lock(&cmad_chunks_lock);
	first = !chunk_find(space, chunk->index);
	if (first) {
		hlist_add_head_rcu(&chunk->node,
				   chunk_bucket(space, chunk->index));
		list_add_tail(&chunk->all, &cmad_chunks);
		list_add_tail(&chunk->sibling, &space->siblings);
		chunks_change(space, 1);
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

/* As many buckets as chunks are @expected. */
int __init cmad_table_init(unsigned int expected)
{
	table_bits = clamp(order_base_2(expected), TABLE_BITS_MIN,
			   TABLE_BITS_MAX);
	table = kvcalloc(BIT(table_bits), sizeof(*table), GFP_KERNEL);
	return table ? 0 : -ENOMEM;
}

/* All spaces are gone, and their chunks with them. */
void cmad_table_exit(void)
{
	kvfree(table);
}
