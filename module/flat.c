// SPDX-License-Identifier: GPL-2.0
/*
 * Flat chunks: pages that lie scattered in memory, of a chunk that carries
 * much and does not change, are mapped into the kernel once more, one behind
 * the other, so that a copy of many of them is one copy.
 *
 * The mapping is to the pages what the chunk's entries are: no reference, true
 * under the chunk's lock, and void with the next invalidation anywhere in the
 * chunk. That detaches it under the lock, and leaves the unmapping, which
 * sleeps, to a work item; nobody looks through it in between. It is built
 * without a lock, from a snapshot of the entries, and published under the lock
 * if nothing was invalidated meanwhile. It takes the place of one that did not
 * serve, since it reached less far. What may be written to through it are pages
 * that the entries are for writing of, and grows with these.
 *
 * Building costs about as much as it spares in 4 MB of copies, which is what the
 * chunk must carry first: so it never costs much more than twice what the better
 * of both ways would have. Where fewer pages are translated, it costs less, and
 * the chunk must carry less. Each time that a change ends or prevents it the chunk
 * must carry twice as much before the next.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <xen/xen.h>

#include "private.h"

static unsigned int flat_kb = 4096;
module_param(flat_kb, uint, 0644);
MODULE_PARM_DESC(flat_kb,
		 "Kilobytes that a chunk carries unchanged before it is mapped into the kernel in one piece (default 4096, 0: never)");

#define FLAT_AFTER_MAX SZ_1G
#define FLAT_BREAKS 32	/* of a chunk; fewer cost less than the mapping */
#define FLAT_PAGES 64	/* that cost what a mapping does, however small */
#define FLAT_PAGES_ALL (CMAD_CHUNK_PAGES + FLAT_PAGES)

static void flat_free(struct cmad_flat *flat)
{
	vunmap(flat->base);
	kfree(flat);
}

static void flat_free_work(struct work_struct *work)
{
	flat_free(container_of(work, struct cmad_flat, free));
}

/* The part of what a whole chunk must carry that is for a mapping of @nr pages. */
static unsigned long flat_share(const struct cmad_chunk *chunk, unsigned int nr)
{
	return chunk->flat_after / FLAT_PAGES_ALL * (nr + FLAT_PAGES);
}

/* Nothing is carried yet; copiers read and write it with the lock for reading. */
static void flat_restart(struct cmad_chunk *chunk)
{
	WRITE_ONCE(chunk->carried, 0);
	WRITE_ONCE(chunk->flat_look, flat_share(chunk, chunk->flat_pages));
}

void cmad_flat_init(struct cmad_chunk *chunk)
{
	unsigned long bytes = READ_ONCE(flat_kb) * 1024UL;

	/* Xen lets nobody map what may become a page table meanwhile. */
	chunk->flat_after = bytes && !xen_pv_domain() ? bytes : ULONG_MAX;
	chunk->flat_pages = 0;
	flat_restart(chunk);
}

/* Wait longer the next time: the mapping was in vain, or comes to an end. */
static void flat_back_off(struct cmad_chunk *chunk)
{
	if (chunk->flat_after < FLAT_AFTER_MAX)
		chunk->flat_after *= 2;
}

/* The chunk changes, or goes; its lock is held for writing. */
void cmad_flat_drop(struct cmad_chunk *chunk)
{
	struct cmad_flat *flat = chunk->flat;

	lockdep_assert_held_write(&chunk->lock);
	chunk->changes++;
	if (flat) {
		chunk->flat = NULL;
		flat_back_off(chunk);
		queue_work(cmad_wq, &flat->free);
	}
	flat_restart(chunk);
}

/*
 * Pages at @index of the chunk, whose lock is held for writing, may be written
 * to, or are about to be: so may those around them, as far as it goes.
 */
void cmad_flat_widen(struct cmad_chunk *chunk, unsigned int index)
{
	const unsigned long *entries = chunk->entries;
	unsigned int first = index, end = index;
	struct cmad_flat *flat = chunk->flat;

	lockdep_assert_held_write(&chunk->lock);
	if (!flat || index < flat->first || index >= flat->first + flat->nr)
		return;
	while (first > flat->first && entries[first - 1] & CMAD_ENTRY_WRITE)
		first--;
	while (end < flat->first + flat->nr && entries[end] & CMAD_ENTRY_WRITE)
		end++;
	flat->write_first = first;
	flat->write_end = end;
}

/*
 * The pages around the one at @index as far as they are translated without a
 * gap, and @flat's extent. 0, -EAGAIN if so many have to carry more first, or
 * another error if they are not worth a mapping.
 */
static int flat_snapshot(struct cmad_chunk *chunk, unsigned int index,
			 struct cmad_flat *flat, struct page **pages)
{
	const unsigned long *entries = chunk->entries;
	unsigned int breaks = 0, end = index, first = index, i;
	unsigned long share;

	if (!cmad_chunk_change_begin(chunk))
		return -EBUSY;
	flat->changes = chunk->changes;
	while (first && entries[first - 1] & CMAD_ENTRY_READ)
		first--;
	while (end < CMAD_CHUNK_PAGES && entries[end] & CMAD_ENTRY_READ)
		end++;
	for (i = first; i < end; i++) {
		pages[i - first] = virt_to_page((void *)(entries[i] & PAGE_MASK));
		if (i > first && entries[i] != entries[i - 1] + PAGE_SIZE)
			breaks++;
	}
	flat->first = first;
	flat->nr = end - first;
	chunk->flat_pages = flat->nr;
	share = flat_share(chunk, flat->nr);
	if (READ_ONCE(chunk->carried) < share)
		WRITE_ONCE(chunk->flat_look, share);
	else
		share = 0;
	cmad_chunk_change_end(chunk);

	if (share)
		return -EAGAIN;
	return breaks * FLAT_PAGES_ALL < FLAT_BREAKS * (flat->nr + FLAT_PAGES) ?
	       -EINVAL : 0;
}

static struct cmad_flat *flat_make(struct cmad_chunk *chunk, unsigned int index)
{
	struct page **pages = kmalloc_array(CMAD_CHUNK_PAGES, sizeof(*pages),
					    CMAD_GFP_CACHE);
	struct cmad_flat *flat = kzalloc(sizeof(*flat),
					 CMAD_GFP_CACHE | __GFP_ACCOUNT);
	int rc = -ENOMEM;

	if (pages && flat)
		rc = flat_snapshot(chunk, index, flat, pages);
	if (!rc) {
		flat->base = vmap(pages, flat->nr, VM_MAP, PAGE_KERNEL);
		INIT_WORK(&flat->free, flat_free_work);
		rc = flat->base ? 0 : -ENOMEM;
	}
	kfree(pages);
	if (!rc)
		return flat;
	kfree(flat);
	return ERR_PTR(rc);
}

/* Publish it, unless something changed meanwhile; what is then not needed. */
static struct cmad_flat *flat_publish(struct cmad_chunk *chunk,
				      unsigned int index,
				      struct cmad_flat *flat)
{
	if (!cmad_chunk_change_begin(chunk))
		return flat;
	if (flat && !chunk->dead && flat->changes == chunk->changes) {
		swap(chunk->flat, flat);
		cmad_flat_widen(chunk, index);
		cmad_count(flattenings, 1);
	} else {
		flat_back_off(chunk);
	}
	flat_restart(chunk);
	cmad_chunk_change_end(chunk);
	return flat;
}

/* The chunk at @addr carried enough, perhaps. The caller holds no lock. */
void cmad_flat_build(struct cmad_space *space, unsigned long addr)
{
	unsigned int index = (addr & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	struct cmad_chunk *chunk;
	struct cmad_flat *flat;

	chunk = cmad_chunk_get(space, addr >> CMAD_CHUNK_SHIFT);
	if (!chunk)
		return;
	flat = flat_make(chunk, index);
	if (flat != ERR_PTR(-EAGAIN))
		flat = flat_publish(chunk, index, IS_ERR(flat) ? NULL : flat);
	if (!IS_ERR_OR_NULL(flat))
		flat_free(flat);
	cmad_chunk_put(chunk);
}
