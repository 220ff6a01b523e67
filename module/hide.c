// SPDX-License-Identifier: GPL-2.0
/*
 * Hiding: how pages of a peer leave the address spaces that map them, before
 * the peer's own no longer has them.
 *
 * All VMAs that map a space are in one address_space, which is the space's and
 * in which a page's number is that of its address in the peer. That finds
 * them, and the i_mmap lock keeps their page tables while they are changed.
 *
 * The notifier may run under rmap locks that mm_take_all_locks() wants while it
 * holds our i_mmap lock: whoever registers a notifier on a process that maps
 * its peer takes every lock of that process. So the lock is only tried here.
 * While all locks are taken, the notifier takes references on the pages in
 * place of hiding them, and they are hidden soon after: whoever comes with an
 * rmap lock (reclaim, migration, KSM, a huge page's split) leaves a page with
 * unknown references where it is, as it would for get_user_pages().
 */
#include <linux/delay.h>
#include <linux/interval_tree_generic.h>
#include <linux/pagemap.h>

#include "compat/mapping.h"
#include "private.h"

/* How long a notifier waits for somebody who takes all locks. */
#define PATIENCE (HZ / 20)

static unsigned long first_page(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static unsigned long last_page(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages((struct vm_area_struct *)vma) - 1;
}

/* The kernel's own way through an i_mmap tree is not exported. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, first_page, last_page,
		     static __maybe_unused, vmas)

/*
 * Take @nr pages from number @first on out of all VMAs that show them. Within
 * the peer's notifier this calls the mapper's, for a range of frames. That ends
 * there: no chunk has an entry for a mapping of ours, so that nobody maps one.
 * Lock proving cannot know, and takes it for a notifier within itself.
 */
static void zap(struct address_space *mapping, unsigned long first,
		unsigned long nr)
{
	unsigned long last = first + nr - 1;
	struct vm_area_struct *vma;

	lockdep_assert_held(&mapping->i_mmap_rwsem);
	for (vma = vmas_iter_first(&mapping->i_mmap, first, last); vma;
	     vma = vmas_iter_next(vma, first, last)) {
		unsigned long from = max(first, first_page(vma));
		unsigned long to = min(last, last_page(vma));

		lockdep_off();
		cmad_zap(vma, vma->vm_start +
			      ((from - vma->vm_pgoff) << PAGE_SHIFT),
			 (to - from + 1) << PAGE_SHIFT);
		lockdep_on();
	}
}

/*
 * Lock the tree of VMAs. Others than mm_take_all_locks() hold it for a moment,
 * and wait for nothing under it.
 */
static bool lock_vmas(struct address_space *mapping)
{
	unsigned long deadline = jiffies + PATIENCE;

	while (!down_read_trylock(&mapping->i_mmap_rwsem)) {
		if (test_bit(AS_MM_ALL_LOCKS, &mapping->flags) &&
		    time_after(jiffies, deadline))
			return false;
		usleep_range(10, 100);
	}
	return true;
}

static unsigned long page_number(const struct cmad_chunk *chunk,
				 unsigned long first)
{
	return chunk->index * CMAD_CHUNK_PAGES + first;
}

/* It lost its rights, and is not hidden yet. */
static bool is_shown(unsigned long entry)
{
	return entry && !(entry & (CMAD_ENTRY_READ | CMAD_ENTRY_WRITE |
				   CMAD_ENTRY_HELD));
}

/*
 * The notifier took the rights from @nr entries. Hide their pages from those
 * who map them, or keep the pages until that can be done.
 */
void cmad_hide(struct cmad_chunk *chunk, unsigned long first, unsigned long nr)
{
	struct address_space *mapping = &chunk->space->mapping;
	unsigned long *entry = &chunk->entries[first];
	unsigned long *end = entry + nr;
	bool hidden = lock_vmas(mapping);

	if (hidden) {
		zap(mapping, page_number(chunk, first), nr);
		i_mmap_unlock_read(mapping);
	}

	down_write(&chunk->lock);
	for (; entry < end; entry++) {
		if (!is_shown(*entry))
			continue;
		if (hidden) {
			*entry = 0;
		} else {
			get_page(virt_to_page((void *)*entry));
			*entry |= CMAD_ENTRY_HELD;
			chunk->held++;
		}
	}
	/* Whoever mapped the space is gone: the next change costs less. */
	if (!chunk->held && !mapping_mapped(mapping))
		chunk->mapped = false;
	up_write(&chunk->lock);
	if (!hidden)
		queue_work(cmad_wq, &chunk->hide);
}

/* Hide all of a chunk. The caller holds no lock. */
void cmad_hide_chunk(struct cmad_chunk *chunk)
{
	struct address_space *mapping = &chunk->space->mapping;

	i_mmap_lock_read(mapping);
	zap(mapping, page_number(chunk, 0), CMAD_CHUNK_PAGES);
	i_mmap_unlock_read(mapping);
}

/* Drop the references; the pages are hidden, but were shown until now. */
static void release_held(struct cmad_chunk *chunk)
{
	unsigned long *entry = chunk->entries;
	unsigned long *end = entry + CMAD_CHUNK_PAGES;

	down_write(&chunk->lock);
	for (; entry < end; entry++) {
		struct page *page;

		if (!(*entry & CMAD_ENTRY_HELD))
			continue;
		page = virt_to_page((void *)(*entry & PAGE_MASK));
		set_page_dirty(page);
		put_page(page);
		*entry = 0;
		chunk->held--;
	}
	up_write(&chunk->lock);
}

void cmad_hide_later(struct work_struct *work)
{
	struct cmad_chunk *chunk = container_of(work, struct cmad_chunk, hide);

	cmad_hide_chunk(chunk);
	release_held(chunk);
}

/* The chunk is hidden, and its notifier gone. */
void cmad_hide_end(struct cmad_chunk *chunk)
{
	cancel_work_sync(&chunk->hide);
	release_held(chunk);
}

void cmad_hide_init(struct cmad_space *space)
{
	static struct lock_class_key key;

	init_rwsem(&space->faults);
	address_space_init_once(&space->mapping);
	lockdep_set_class(&space->mapping.i_mmap_rwsem, &key);
}

/* The window has ended: no fault goes on with it, and nobody sees through it. */
void cmad_hide_window(const struct cmad_window *window)
{
	struct address_space *mapping = &window->space->mapping;
	u64 last = (window->base + window->length - 1) >> PAGE_SHIFT;
	u64 first = window->base >> PAGE_SHIFT;

	if (!mapping_mapped(mapping))
		return;
	down_write(&window->space->faults);
	up_write(&window->space->faults);
	i_mmap_lock_read(mapping);
	zap(mapping, first, last - first + 1);
	i_mmap_unlock_read(mapping);
}
