// SPDX-License-Identifier: GPL-2.0
/*
 * Unmapping: how the page table entries that mappers have of a space's pages are
 * taken away, before the owner no longer has the page.
 *
 * Which page tables may have some the space's tree of views tells (view.c), and
 * keeps them there: zapping holds views_lock for reading, and so does who makes
 * entries. It is none of the locks that mm_take_all_locks() takes, so that the
 * owner's notifier, which may run under any of these, can wait for it. Nobody who
 * holds it waits for more than page table locks and a chunk's lock, nor allocates
 * with reclaim.
 */
#include <linux/interval_tree.h>

#include "compat/mapping.h"
#include "chunk.h"
#include "view.h"

/* NULL would make it anonymous memory. */
static const struct vm_operations_struct no_ops = { };

/*
 * Take the pages from number @first to @last out of @view; its space's views_lock
 * is held.
 *
 * The VMA that is shown to the kernel is made up, since the mapper's own may be
 * changed, or gone, without its mmap_lock. It is one of bare frames, without
 * VM_MAYEXEC, so that nobody looks for breakpoints there; a kernel that knows
 * 2 MB entries as special wants a file of it.
 *
 * Zapping calls the mapper's notifiers, mostly within a notifier already (the
 * owner's, or the mapper's own). Lock proving has one class for all notifiers
 * and would report a circle. There is none: the nested call is for a range that
 * holds bare frames alone. Notifiers of ours return at once there, a view's
 * because of the event, a chunk's because it has no entry in such a range and
 * waits only for copies, which wait for nothing; and those of others are
 * called for any zap, with the locks of the caller of any zap.
 */
void cmad_view_zap(const struct cmad_view *view, unsigned long first,
		   unsigned long last)
{
	struct vm_area_struct vma = {
		.vm_start = view->start,
		.vm_end = view->end,
		.vm_mm = view->notifier.mm,
		.vm_ops = &no_ops,
		.vm_file = view->grant->file,
	};

	cmad_vm_flags_init(&vma, VM_IO | VM_PFNMAP | VM_SHARED);
	first = max(first, view->node.start);
	last = min(last, view->node.last);
	lockdep_off();
	cmad_zap(&vma, view->start + ((first - view->node.start) << PAGE_SHIFT),
		 (last - first + 1) << PAGE_SHIFT);
	lockdep_on();
}

/* Out of all views; with @window, of those through it alone. */
static void zap(struct cmad_space *space, unsigned long first,
		unsigned long last, const struct cmad_window *window)
{
	struct interval_tree_node *node;

	lockdep_assert_held(&space->views_lock);
	for (node = interval_tree_iter_first(&space->views, first, last); node;
	     node = interval_tree_iter_next(node, first, last)) {
		struct cmad_view *view = container_of(node, struct cmad_view,
						      node);

		if (!window || view->grant->window == window)
			cmad_view_zap(view, first, last);
	}
}

/* The pages are unmapped: their entries need not be known any more. */
static void clear_revoked(struct cmad_chunk *chunk, unsigned long first,
			  unsigned long nr)
{
	unsigned long *entry = NULL, *end = NULL;

	down_write(&chunk->lock);
	if (nr == CMAD_CHUNK_PAGES && !(chunk->whole & CMAD_ENTRY_RIGHTS))
		chunk->whole = 0;
	/* Eviction may have freed them since: then nothing was mapped any more. */
	if (chunk->entries) {
		entry = &chunk->entries[first];
		end = entry + nr;
	}
	for (; entry < end; entry++)
		if (!(*entry & CMAD_ENTRY_RIGHTS))
			*entry = 0;
	/* A fault comes to this lock with its view in the tree. */
	if (!READ_ONCE(chunk->space->views.rb_root.rb_node))
		chunk->mapped = false;
	up_write(&chunk->lock);
}

/*
 * @nr entries of @chunk have no rights any more: take their pages out of all
 * mappings. False if that would have to wait and must not: then the entries stay
 * as they are, so that the next change of these pages unmaps them.
 */
bool cmad_unmap_pages(struct cmad_chunk *chunk, unsigned long first,
		      unsigned long nr, bool may_wait)
{
	unsigned long page = chunk->index * CMAD_CHUNK_PAGES + first;
	struct cmad_space *space = chunk->space;

	if (may_wait)
		down_read(&space->views_lock);
	else if (!down_read_trylock(&space->views_lock))
		return false;
	zap(space, page, page + nr - 1, NULL);
	up_read(&space->views_lock);
	clear_revoked(chunk, first, nr);
	return true;
}

/* The chunk is dead, so that nothing is mapped from it any more. */
void cmad_unmap_chunk(struct cmad_chunk *chunk)
{
	unsigned long page = chunk->index * CMAD_CHUNK_PAGES;
	struct cmad_space *space = chunk->space;

	down_read(&space->views_lock);
	zap(space, page, page + CMAD_CHUNK_PAGES - 1, NULL);
	up_read(&space->views_lock);
}

/*
 * The window has ended. Faults that did not see it are over when the lock is
 * held for writing; later ones see it.
 */
void cmad_unmap_window(const struct cmad_window *window)
{
	u64 last = (window->base + window->length - 1) >> PAGE_SHIFT;
	struct cmad_space *space = window->space;

	down_write(&space->views_lock);
	downgrade_write(&space->views_lock);
	zap(space, window->base >> PAGE_SHIFT, last, window);
	up_read(&space->views_lock);
}
