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
 * of both ways would have. Each time that a change ends or prevents it the chunk
 * must carry twice as much before the next.
 */
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
#define FLAT_BREAKS 32	/* fewer interruptions cost less than the mapping */

static void flat_free(struct cmad_flat *flat)
{
	vunmap(flat->base);
	kfree(flat);
}

static void flat_free_work(struct work_struct *work)
{
	flat_free(container_of(work, struct cmad_flat, free));
}

void cmad_flat_init(struct cmad_chunk *chunk)
{
	unsigned long bytes = READ_ONCE(flat_kb) * 1024UL;

	/* Xen lets nobody map what may become a page table meanwhile. */
	chunk->flat_after = bytes && !xen_pv_domain() ? bytes : ULONG_MAX;
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
	WRITE_ONCE(chunk->carried, 0);
	if (flat) {
		chunk->flat = NULL;
		flat_back_off(chunk);
		queue_work(cmad_wq, &flat->free);
	}
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
 * gap, and @flat's extent. False if they are not worth a mapping.
 */
static bool flat_snapshot(struct cmad_chunk *chunk, unsigned int index,
			  struct cmad_flat *flat, struct page **pages)
{
	const unsigned long *entries = chunk->entries;
	unsigned int breaks = 0, end = index, first = index, i;

	if (!cmad_chunk_change_begin(chunk))
		return false;
	flat->changes = chunk->changes;
	while (first && entries[first - 1] & CMAD_ENTRY_READ)
		first--;
	while (end < CMAD_CHUNK_PAGES && entries[end] & CMAD_ENTRY_READ)
		end++;
	for (i = first; i < end; i++) {
		pages[i - first] = virt_to_page(entries[i] & PAGE_MASK);
		if (i > first && entries[i] != entries[i - 1] + PAGE_SIZE)
			breaks++;
	}
	cmad_chunk_change_end(chunk);
	flat->first = first;
	flat->nr = end - first;
	return breaks >= FLAT_BREAKS;
}

static struct cmad_flat *flat_make(struct cmad_chunk *chunk, unsigned int index)
{
	struct page **pages = kmalloc_array(CMAD_CHUNK_PAGES, sizeof(*pages),
					    CMAD_GFP_CACHE);
	struct cmad_flat *flat = kzalloc(sizeof(*flat),
					 CMAD_GFP_CACHE | __GFP_ACCOUNT);

	if (pages && flat && flat_snapshot(chunk, index, flat, pages))
		flat->base = vmap(pages, flat->nr, VM_MAP, PAGE_KERNEL);
	kfree(pages);
	if (flat && flat->base) {
		INIT_WORK(&flat->free, flat_free_work);
		return flat;
	}
	kfree(flat);
	return NULL;
}

/* The chunk at @addr carried enough. The caller holds no lock. */
void cmad_flat_build(struct cmad_space *space, unsigned long addr)
{
	unsigned int index = (addr & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	struct cmad_chunk *chunk;
	struct cmad_flat *flat;

	chunk = cmad_chunk_get(space, addr >> CMAD_CHUNK_SHIFT);
	if (!chunk)
		return;
	flat = flat_make(chunk, index);

	if (cmad_chunk_change_begin(chunk)) {
		if (flat && !chunk->dead && flat->changes == chunk->changes) {
			swap(chunk->flat, flat);
			cmad_flat_widen(chunk, index);
			cmad_count(flattenings, 1);
		} else {
			flat_back_off(chunk);
		}
		cmad_chunk_change_end(chunk);
	}

	if (flat)
		flat_free(flat);
	cmad_chunk_put(chunk);
}
