/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Chunks, which are the cache of translations: table.c finds them, chunk.c makes
 * and ends them, fill.c enters pages, vmap.c maps them in one piece, young.c tells
 * which were used, unmap.c takes them from mappers, evict.c makes room.
 */
#ifndef CMAD_CHUNK_H
#define CMAD_CHUNK_H

#include <linux/bitmap.h>
#include <linux/hmm.h>
#include <linux/list_lru.h>
#include <linux/mmu_notifier.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "private.h"
#include "space.h"

#define CMAD_CHUNK_SHIFT 21
#define CMAD_CHUNK_SIZE BIT(CMAD_CHUNK_SHIFT)
#define CMAD_CHUNK_PAGES (CMAD_CHUNK_SIZE >> PAGE_SHIFT)

/*
 * The low bits of a chunk's entry; the others are a page's kernel address. With
 * neither, the entry is revoked: the page may be mapped still, and must be
 * unmapped before it changes.
 *
 * A chunk that is part of one huge page has a single entry, @whole, its first
 * page's, and no array. What is revoked of it, if only a page, is all of it.
 */
#define CMAD_ENTRY_READ 1UL
#define CMAD_ENTRY_WRITE 2UL
#define CMAD_ENTRY_RIGHTS (CMAD_ENTRY_READ | CMAD_ENTRY_WRITE)

/**
 * struct cmad_chunk - the translations of 2 MB of a space
 * @notifier: tells of changes of the owner's address space there
 * @lock: copies hold it for reading; changes of what refers to it, and making
 *	page table entries from @entries, for writing
 * @entries: for each page its kernel address and CMAD_ENTRY_*, or 0; @lock. NULL
 *	as long as @whole is enough, and once it is @dead and shows nothing
 * @whole: the same for all pages of a huge one, if @entries is NULL; @lock
 * @dead: being destroyed; @lock
 * @wanted: a copier tries to change it, and readers stay away; a hint, not locked
 * @mapped: pages were mapped from @entries, and may be so still; @lock
 * @used: a copy used it since eviction last looked; a hint, not locked
 * @asked: somebody asked about @young, which copies therefore keep; set once
 * @young: pages that were used since they were last asked about; atomic
 * @vmap: many of the pages as one, or NULL; @lock
 * @carried: bytes copied by @entries since these lost any; readers add to it,
 *	too, since it only has to be about right
 * @vmap_after: bytes to be carried before @vmap is built of all pages; @lock
 * @vmap_pages: pages that it was to be built of when that was looked at last; @lock
 * @vmap_look: bytes to be carried before it is looked whether they are enough for
 *	those that are there; as @carried
 * @changes: invalidations; @lock
 * @space: whose; valid until the chunk is off the lists
 * @index: its address >> CMAD_CHUNK_SHIFT
 * @refs: the table's, and one for each fill under way
 * @node: in the table of chunks; changed under cmad_chunks_lock, readers under RCU
 * @all: in the list of all chunks; cmad_chunks_lock
 * @sibling: in its space's list; cmad_chunks_lock
 * @lru: in cmad_chunk_lru; the lock of a list there
 * @evict: destroys it
 * @rcu: frees it
 */
struct cmad_chunk {
	struct mmu_interval_notifier notifier;
	struct rw_semaphore lock; /* steps under way against changes */
	unsigned long *entries;
	unsigned long whole;
	bool dead;
	bool wanted;
	bool mapped;
	bool used;
	bool asked;
	struct cmad_vmap *vmap;
	unsigned long carried;
	unsigned long vmap_after;
	unsigned int vmap_pages;
	unsigned long vmap_look;
	unsigned long changes;
	struct cmad_space *space;
	unsigned long index;
	refcount_t refs;
	struct hlist_node node;
	struct list_head all;
	struct list_head sibling;
	struct list_head lru;
	DECLARE_BITMAP(young, CMAD_CHUNK_PAGES);
	struct work_struct evict;
	struct rcu_head rcu;
};

/**
 * struct cmad_vmap - scattered pages of a chunk, mapped one behind the other
 * @base: where in the kernel
 * @first: of the chunk's pages, the one that is there
 * @nr: pages
 * @write_first: of the chunk's pages, the first of those that may be written to;
 *	the chunk's lock
 * @write_end: behind the last of them; likewise
 * @changes: the chunk's, when they were looked up
 * @free: unmaps them
 *
 * All but what may be written to is immutable once it is the chunk's.
 */
struct cmad_vmap {
	void *base;
	unsigned int first;
	unsigned int nr;
	unsigned int write_first;
	unsigned int write_end;
	unsigned long changes;
	struct work_struct free;
};

/* What @chunk, whose lock is held, has for the page; without rights, if nothing. */
static inline unsigned long cmad_entry(const struct cmad_chunk *chunk,
				       unsigned long index)
{
	return likely(chunk->entries) ? chunk->entries[index] :
					chunk->whole + index * PAGE_SIZE;
}

/* table.c */
extern spinlock_t cmad_chunks_lock;
extern struct list_head cmad_chunks;
extern unsigned int cmad_nr_chunks;
struct cmad_chunk *cmad_chunk_peek(struct cmad_space *space,
				   unsigned long index);
struct cmad_chunk *cmad_chunk_get(struct cmad_space *space,
				  unsigned long index);
void cmad_chunk_put(struct cmad_chunk *chunk);
struct cmad_chunk *cmad_chunk_trylock(struct cmad_space *space,
				      unsigned long addr);
bool cmad_chunk_publish(struct cmad_chunk *chunk);
bool cmad_chunk_take(struct cmad_chunk *chunk);
struct cmad_chunk *cmad_chunk_take_first(struct cmad_space *space);
int cmad_table_init(void);
void cmad_table_exit(void);

/* step.c */
bool cmad_chunk_change_begin(struct cmad_chunk *chunk);
void cmad_chunk_change_end(struct cmad_chunk *chunk);

/* young.c */
void cmad_young_init_chunk(struct cmad_chunk *chunk);
void cmad_young_mark(struct cmad_chunk *chunk, unsigned long offset,
		     unsigned long len);
void cmad_young_hand_over(struct cmad_chunk *chunk);
void cmad_young_begin(struct cmad_space *space);
void cmad_young_end(struct cmad_space *space);

/* vmap.c */
void cmad_vmap_init(struct cmad_chunk *chunk);
void cmad_vmap_drop(struct cmad_chunk *chunk);
void cmad_vmap_widen(struct cmad_chunk *chunk, unsigned int index);
void cmad_vmap_build(struct cmad_space *space, unsigned long addr);

/*
 * Where @len bytes at @offset of @chunk, whose lock is held, are in a vmap, or
 * NULL.
 */
static inline void *cmad_vmap_at(const struct cmad_chunk *chunk,
				 unsigned long offset, unsigned long len,
				 bool write)
{
	const struct cmad_vmap *map = chunk->vmap;
	unsigned long first, end;

	if (!map)
		return NULL;
	first = write ? map->write_first : map->first;
	end = write ? map->write_end : map->first + map->nr;
	if (offset < first << PAGE_SHIFT || offset + len > end << PAGE_SHIFT)
		return NULL;
	return map->base + offset - ((unsigned long)map->first << PAGE_SHIFT);
}

/* Whether to look, without the lock that is held, if a vmap pays. */
static inline bool cmad_vmap_is_due(struct cmad_chunk *chunk)
{
	unsigned long look = READ_ONCE(chunk->vmap_look);

	if (READ_ONCE(chunk->carried) < look)
		return false;
	WRITE_ONCE(chunk->vmap_look, 2 * look);
	return true;
}

/* unmap.c */
bool cmad_unmap_pages(struct cmad_chunk *chunk, unsigned long first,
		      unsigned long nr, bool may_wait);
void cmad_unmap_chunk(struct cmad_chunk *chunk);

/* chunk.c */
extern const struct cmad_space_ops cmad_chunk_space_ops;
extern struct list_lru cmad_chunk_lru; /* compat/shrinker.h */
struct cmad_chunk *cmad_chunk_create(struct cmad_space *space,
				     unsigned long index, bool must);
void cmad_chunk_evict(struct cmad_chunk *chunk);
int cmad_chunks_going(void);
int cmad_chunks_wait(int max);
int cmad_chunk_init(void);
void cmad_chunk_exit(void);

/* evict.c */
extern unsigned int cmad_max_chunks;
struct cmad_chunk *cmad_evict_for_chunk(struct cmad_space *space,
					unsigned long index, bool must);
bool cmad_evict_is_full(const struct cmad_space *space);
bool cmad_evict_admits(unsigned long pages, bool there);
void cmad_evict_drawn(void);
void cmad_evict_set_defaults(void);
int cmad_evict_init(void);
void cmad_evict_stop(void);
void cmad_evict_exit(void);

/* Whether what hmm_range_fault() said of a page, @seen, is enough to read or write it. */
static inline bool cmad_suffices(unsigned long seen, bool write)
{
	unsigned long need = HMM_PFN_VALID | (write ? HMM_PFN_WRITE : 0);

	return (seen & need) == need;
}

/* fill.c */
bool cmad_space_fill_pays(struct cmad_space *space, unsigned long addr);
void cmad_space_touch(struct cmad_space *space, unsigned long addr);
bool cmad_vma_is_fit(const struct vm_area_struct *vma);
int cmad_chunk_enter(struct cmad_chunk *chunk, const struct hmm_range *range,
		     bool write, gfp_t gfp);

#endif /* CMAD_CHUNK_H */
