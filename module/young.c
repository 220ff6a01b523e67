// SPDX-License-Identifier: GPL-2.0
/*
 * What is used looks used: copies by the cache set no accessed bit in the
 * owner's page table, loads and stores through a mapping set the mapper's, and
 * reclaim would take the memory that everybody uses for cold.
 *
 * A space has a notifier that the kernel asks, beside the page table, whether a
 * page was used: reclaim does (by either of its ways), idle page tracking, and
 * DAMON. The answer is a bit for each page of a chunk, and the accessed bits of
 * those who map it. It is asked under page table locks, so that there is nothing
 * but RCU, locks that are tried, and atomic bits here.
 *
 * Copies leave their bits only in chunks that somebody asked about. In others
 * each page passes for used, once: a chunk is made where something was copied.
 * When a chunk goes its marks go to the pages.
 *
 * The notifier takes part in nothing else: changes come to the chunks' own.
 */
#include <linux/bitops.h>
#include <linux/interval_tree.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/swap.h>

#include "compat/accessed.h"
#include "chunk.h"
#include "view.h"

/* Who are asked about one page: the asker has a page table lock. */
#define VIEWS_ASKED 64

void cmad_young_init_chunk(struct cmad_chunk *chunk)
{
	bitmap_fill(chunk->young, CMAD_CHUNK_PAGES);
}

/* @len bytes at @offset of @chunk were used; its lock is held, in any way. */
void cmad_young_mark(struct cmad_chunk *chunk, unsigned long offset,
		     unsigned long len)
{
	unsigned long page = offset >> PAGE_SHIFT;
	unsigned long end = (offset + len + PAGE_SIZE - 1) >> PAGE_SHIFT;

	for (; len && page < end; page++)
		if (!test_bit(page, chunk->young))
			set_bit(page, chunk->young);
}

/* Before the entries of a chunk that is evicted go. */
void cmad_young_hand_over(struct cmad_chunk *chunk)
{
	unsigned long page;

	lockdep_assert_held_write(&chunk->lock);
	if (!chunk->entries && !chunk->whole)
		return;
	/* Most may have no entry. */
	for (page = 0; page < CMAD_CHUNK_PAGES; page++) {
		unsigned long entry = cmad_entry(chunk, page);

		if (entry & CMAD_ENTRY_READ && test_bit(page, chunk->young))
			mark_page_accessed(virt_to_page(entry & PAGE_MASK));
	}
}

/* Whether the mapper used any of the pages from number @first to @last. */
static bool view_young(const struct cmad_view *view, unsigned long first,
		       unsigned long last, bool clear)
{
	bool young = false;

	first = max(first, view->node.start);
	last = min(last, view->node.last);
	for (; first <= last; first++)
		young |= cmad_accessed(view->notifier.mm, view->start +
				       ((first - view->node.start) << PAGE_SHIFT),
				       clear);
	return young;
}

/*
 * Whether anybody used the pages through a mapping. They pass for used where
 * that cannot be told at once: a view comes or goes, or there are too many.
 */
static bool views_young(struct cmad_space *space, unsigned long first,
			unsigned long last, bool clear)
{
	struct interval_tree_node *node;
	unsigned int left = VIEWS_ASKED;
	bool young = false;

	/* The lock keeps the page tables of the mappers: see unmap.c. */
	if (!down_read_trylock(&space->views_lock))
		return true;
	for (node = interval_tree_iter_first(&space->views, first, last);
	     node && left; left--,
	     node = interval_tree_iter_next(node, first, last))
		young |= view_young(container_of(node, struct cmad_view, node),
				    first, last, clear);
	up_read(&space->views_lock);
	return young || node;
}

/* Whether any of the pages was used; if @clear, since that was asked last. */
static bool chunk_young(struct cmad_chunk *chunk, unsigned long page,
			unsigned long end, bool clear)
{
	unsigned long base = chunk->index * CMAD_CHUNK_PAGES;
	bool young = READ_ONCE(chunk->mapped) &&
		     views_young(chunk->space, base + page, base + end - 1,
				 clear);

	if (clear && !READ_ONCE(chunk->asked)) {
		WRITE_ONCE(chunk->asked, true);
		/* Copies that see a bit cleared see that they have to set it. */
		smp_mb__before_atomic();
	}
	for (; page < end; page++)
		if (test_bit(page, chunk->young))
			young |= !clear ||
				 test_and_clear_bit(page, chunk->young);
	return young;
}

static bool space_young(struct mmu_notifier *notifier, unsigned long start,
			unsigned long end, bool clear)
{
	struct cmad_space *space = container_of(notifier, struct cmad_space,
						young);
	bool young = false;

	rcu_read_lock();
	while (start < end) {
		unsigned long index = start >> CMAD_CHUNK_SHIFT;
		unsigned long base = index << CMAD_CHUNK_SHIFT;
		unsigned long stop = min(end, base + CMAD_CHUNK_SIZE);
		struct cmad_chunk *chunk = cmad_chunk_peek(space, index);

		if (chunk)
			young |= chunk_young(chunk, (start - base) >> PAGE_SHIFT,
					     PAGE_ALIGN(stop - base) >> PAGE_SHIFT,
					     clear);
		start = stop;
	}
	rcu_read_unlock();
	return young;
}

static CMAD_YOUNG clear_young(struct mmu_notifier *notifier,
			      struct mm_struct *mm, unsigned long start,
			      unsigned long end)
{
	return space_young(notifier, start, end, true);
}

static CMAD_YOUNG test_young(struct mmu_notifier *notifier,
			     struct mm_struct *mm, unsigned long address)
{
	return space_young(notifier, address & PAGE_MASK,
			   (address & PAGE_MASK) + PAGE_SIZE, false);
}

static void free_notifier(struct mmu_notifier *notifier)
{
	cmad_space_drop(container_of(notifier, struct cmad_space, young));
}

static const struct mmu_notifier_ops young_ops = {
	.clear_flush_young = clear_young,
	.clear_young = clear_young,
	.test_young = test_young,
	.free_notifier = free_notifier,
};

/*
 * Take part in what the kernel asks. The caller makes an address space's first
 * notifier; without this one its pages look colder than they are, and no more.
 */
void cmad_young_begin(struct cmad_space *space)
{
	space->young.ops = &young_ops;
	refcount_inc(&space->holds);
	space->watched = !mmu_notifier_register(&space->young, space->held);
	if (!space->watched)
		cmad_space_drop(space);
}

/* Nobody wants to know any more; once nobody can ask, its hold is dropped. */
void cmad_young_end(struct cmad_space *space)
{
	if (space->watched)
		mmu_notifier_put(&space->young);
}
