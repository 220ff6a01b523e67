// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that lie scattered in memory, of a chunk that carries much and does not
 * change, are mapped into the kernel once more by vmap(), one behind the other,
 * so that a copy of many of them is one copy.
 *
 * The vmap is to the pages what the chunk's entries are: no reference, true
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

#include "chunk.h"

static unsigned int vmap_kb = 4096;
module_param(vmap_kb, uint, 0644);
MODULE_PARM_DESC(vmap_kb,
		 "Kilobytes that a chunk carries unchanged before it is mapped into the kernel in one piece (default 4096, 0: never)");

#define VMAP_AFTER_MAX SZ_1G
#define VMAP_BREAKS 32	/* of a chunk; fewer cost less than the mapping */
#define VMAP_PAGES 64	/* that cost what a mapping does, however small */
#define VMAP_PAGES_ALL (CMAD_CHUNK_PAGES + VMAP_PAGES)

static void vmap_free(struct cmad_vmap *map)
{
	vunmap(map->base);
	kfree(map);
}

static void vmap_free_work(struct work_struct *work)
{
	vmap_free(container_of(work, struct cmad_vmap, free));
}

/* The part of what a whole chunk must carry that is for a mapping of @nr pages. */
static unsigned long vmap_share(const struct cmad_chunk *chunk, unsigned int nr)
{
	return chunk->vmap_after / VMAP_PAGES_ALL * (nr + VMAP_PAGES);
}

/* Nothing is carried yet; copiers read and write it with the lock for reading. */
static void vmap_restart(struct cmad_chunk *chunk)
{
	WRITE_ONCE(chunk->carried, 0);
	WRITE_ONCE(chunk->vmap_look, vmap_share(chunk, chunk->vmap_pages));
}

void cmad_vmap_init(struct cmad_chunk *chunk)
{
	unsigned long bytes = READ_ONCE(vmap_kb) * 1024UL;

	/* Xen lets nobody map what may become a page table meanwhile. */
	chunk->vmap_after = bytes && !xen_pv_domain() ? bytes : ULONG_MAX;
	chunk->vmap_pages = 0;
	vmap_restart(chunk);
}

/* Wait longer the next time: the mapping was in vain, or comes to an end. */
static void vmap_back_off(struct cmad_chunk *chunk)
{
	if (chunk->vmap_after < VMAP_AFTER_MAX)
		chunk->vmap_after *= 2;
}

/* The chunk changes, or goes; its lock is held for writing. */
void cmad_vmap_drop(struct cmad_chunk *chunk)
{
	struct cmad_vmap *map = chunk->vmap;

	lockdep_assert_held_write(&chunk->lock);
	chunk->changes++;
	if (map) {
		chunk->vmap = NULL;
		vmap_back_off(chunk);
		queue_work(cmad_wq, &map->free);
	}
	vmap_restart(chunk);
}

/*
 * Pages at @index of the chunk, whose lock is held for writing, may be written
 * to, or are about to be: so may those around them, as far as it goes.
 */
void cmad_vmap_widen(struct cmad_chunk *chunk, unsigned int index)
{
	const unsigned long *entries = chunk->entries;
	unsigned int first = index, end = index;
	struct cmad_vmap *map = chunk->vmap;

	lockdep_assert_held_write(&chunk->lock);
	if (!map || index < map->first || index >= map->first + map->nr)
		return;
	while (first > map->first && entries[first - 1] & CMAD_ENTRY_WRITE)
		first--;
	while (end < map->first + map->nr && entries[end] & CMAD_ENTRY_WRITE)
		end++;
	map->write_first = first;
	map->write_end = end;
}

/*
 * The pages around the one at @index as far as they are translated without a
 * gap, and @map's extent. 0, -EAGAIN if so many have to carry more first, or
 * another error if they are not worth a mapping.
 */
static int vmap_snapshot(struct cmad_chunk *chunk, unsigned int index,
			 struct cmad_vmap *map, struct page **pages)
{
	unsigned int breaks = 0, end = index, first = index, i;
	const unsigned long *entries;
	unsigned long share;

	if (!cmad_chunk_change_begin(chunk))
		return -EBUSY;
	entries = chunk->entries;
	if (!entries) {	/* evicted meanwhile, and made anew for a huge page */
		cmad_chunk_change_end(chunk);
		return -EINVAL;
	}
	map->changes = chunk->changes;
	while (first && entries[first - 1] & CMAD_ENTRY_READ)
		first--;
	while (end < CMAD_CHUNK_PAGES && entries[end] & CMAD_ENTRY_READ)
		end++;
	for (i = first; i < end; i++) {
		pages[i - first] = virt_to_page((void *)(entries[i] & PAGE_MASK));
		if (i > first && entries[i] != entries[i - 1] + PAGE_SIZE)
			breaks++;
	}
	map->first = first;
	map->nr = end - first;
	chunk->vmap_pages = map->nr;
	share = vmap_share(chunk, map->nr);
	if (READ_ONCE(chunk->carried) < share)
		WRITE_ONCE(chunk->vmap_look, share);
	else
		share = 0;
	cmad_chunk_change_end(chunk);

	if (share)
		return -EAGAIN;
	return breaks * VMAP_PAGES_ALL < VMAP_BREAKS * (map->nr + VMAP_PAGES) ?
	       -EINVAL : 0;
}

static struct cmad_vmap *vmap_make(struct cmad_chunk *chunk, unsigned int index)
{
	struct page **pages = kmalloc_array(CMAD_CHUNK_PAGES, sizeof(*pages),
					    CMAD_GFP_CACHE);
	struct cmad_vmap *map = kzalloc(sizeof(*map),
					 CMAD_GFP_CACHE | __GFP_ACCOUNT);
	int rc = -ENOMEM;

	if (pages && map)
		rc = vmap_snapshot(chunk, index, map, pages);
	if (!rc) {
		map->base = vmap(pages, map->nr, VM_MAP, PAGE_KERNEL);
		INIT_WORK(&map->free, vmap_free_work);
		rc = map->base ? 0 : -ENOMEM;
	}
	kfree(pages);
	if (!rc)
		return map;
	kfree(map);
	return ERR_PTR(rc);
}

/* Publish it, unless something changed meanwhile; what is then not needed. */
static struct cmad_vmap *vmap_publish(struct cmad_chunk *chunk,
				      unsigned int index,
				      struct cmad_vmap *map)
{
	if (!cmad_chunk_change_begin(chunk))
		return map;
	if (map && !chunk->dead && map->changes == chunk->changes) {
		swap(chunk->vmap, map);
		cmad_vmap_widen(chunk, index);
		cmad_count(vmaps, 1);
	} else {
		vmap_back_off(chunk);
	}
	vmap_restart(chunk);
	cmad_chunk_change_end(chunk);
	return map;
}

/* The chunk at @addr carried enough, perhaps. The caller holds no lock. */
void cmad_vmap_build(struct cmad_space *space, unsigned long addr)
{
	unsigned int index = (addr & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	struct cmad_chunk *chunk;
	struct cmad_vmap *map;

	chunk = cmad_chunk_get(space, addr >> CMAD_CHUNK_SHIFT);
	if (!chunk)
		return;
	map = vmap_make(chunk, index);
	if (map != ERR_PTR(-EAGAIN))
		map = vmap_publish(chunk, index, IS_ERR(map) ? NULL : map);
	if (!IS_ERR_OR_NULL(map))
		vmap_free(map);
	cmad_chunk_put(chunk);
}
