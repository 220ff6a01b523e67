// SPDX-License-Identifier: GPL-2.0
/*
 * Views: which VMAs may have page table entries for pages of a space, and how
 * such entries are taken away before the owner no longer has the page.
 *
 * A view is one VMA's right to have entries. While it is alive it is in its
 * space's tree, by the owner's page numbers, and its page tables stay: whoever
 * frees or moves page tables of the mapper (munmap, mremap, exit, execve) first
 * calls view_invalidate(), which takes the entries away and ends the right. A
 * fault in what is left of the VMA revives it, with the bounds of that moment.
 *
 * Entries are made and zapped under views_lock held for reading, views come to
 * life and end under it held for writing. It is none of the locks that
 * mm_take_all_locks() takes, so that the owner's notifier, which may run under
 * any of these, can wait for it. Nobody who holds it waits for more than page
 * table locks and a chunk's lock, nor allocates with reclaim.
 */
#include <linux/interval_tree.h>
#include <linux/slab.h>

#include "compat/mapping.h"
#include "view.h"

/* NULL would make it anonymous memory. */
static const struct vm_operations_struct no_ops = { };

/*
 * Take the pages from number @first to @last out of @view.
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
static void view_zap(const struct cmad_view *view, unsigned long first,
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
			view_zap(view, first, last);
	}
}

/* The pages are unmapped: their entries need not be known any more. */
static void clear_revoked(struct cmad_chunk *chunk, unsigned long first,
			  unsigned long nr)
{
	unsigned long *entry = NULL, *end = NULL;

	down_write(&chunk->lock);
	/* Eviction may have freed them since: then nothing was mapped any more. */
	if (chunk->entries) {
		entry = &chunk->entries[first];
		end = entry + nr;
	}
	for (; entry < end; entry++)
		if (!(*entry & (CMAD_ENTRY_READ | CMAD_ENTRY_WRITE)))
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

static void view_end(struct cmad_view *view)
{
	struct cmad_space *space = view->grant->space;

	lockdep_assert_held_write(&space->views_lock);
	interval_tree_remove(&view->node, &space->views);
	WRITE_ONCE(view->alive, false);
}

/*
 * Something happens to the mapper's address space. Other events than these
 * leave page tables where they are. (An exit takes all entries away by itself,
 * and nobody uses them until then.)
 */
static bool view_invalidate(struct mmu_interval_notifier *notifier,
			    const struct mmu_notifier_range *range,
			    unsigned long seq)
{
	struct cmad_view *view = container_of(notifier, struct cmad_view,
					      notifier);
	struct rw_semaphore *lock = &view->grant->space->views_lock;

	if ((range->event != MMU_NOTIFY_UNMAP &&
	     range->event != MMU_NOTIFY_RELEASE) || !READ_ONCE(view->alive))
		return true;
	if (mmu_notifier_range_blockable(range))
		down_write(lock);
	else if (!down_write_trylock(lock))
		return false;
	if (view->alive && range->start < view->end &&
	    range->end > view->start) {
		if (range->event == MMU_NOTIFY_UNMAP)
			view_zap(view, view->node.start, view->node.last);
		view_end(view);
	}
	up_write(lock);
	return true;
}

static const struct mmu_interval_notifier_ops view_ops = {
	.invalidate = view_invalidate,
};

/*
 * Give @vma a view on @grant's pages, which are its own by the sum of their
 * number there and @skew; takes a reference on the grant, and one on @shown, if
 * that is not NULL. The caller holds the mapper's mmap_lock for writing.
 *
 * The notifier is for the bounds of now, which only ever shrink: a VMA that moved
 * or was split off gets a view of its own. But for the memory that @gfp asks
 * for, this cannot fail when the mapper has a notifier already.
 */
int cmad_view_create(struct vm_area_struct *vma, struct cmad_grant *grant,
		     unsigned long skew, struct cmad_shown *shown, gfp_t gfp)
{
	struct cmad_view *view = kzalloc(sizeof(*view), gfp);
	int rc;

	if (!view)
		return -ENOMEM;
	view->skew = skew;
	view->grant = grant;
	rc = mmu_interval_notifier_insert_locked(&view->notifier, vma->vm_mm,
						 vma->vm_start,
						 vma->vm_end - vma->vm_start,
						 &view_ops);
	if (rc) {
		kfree(view);
		return rc;
	}
	/*
	 * While the mapper's memory is being invalidated a new notifier is only
	 * noted down, and told of nothing; this waits for the end of that. It
	 * comes without our mmap_lock.
	 */
	mmu_interval_read_begin(&view->notifier);
	refcount_inc(&grant->refs);
	if (shown)
		refcount_inc(&shown->refs);
	view->shown = shown;
	vma->vm_private_data = view;
	cmad_count(mappings, 1);
	return 0;
}

static void view_revive(struct cmad_view *view,
			const struct vm_area_struct *vma)
{
	struct cmad_space *space = view->grant->space;

	down_write(&space->views_lock);
	if (!view->alive) {
		view->start = vma->vm_start;
		view->end = vma->vm_end;
		view->node.start = vma->vm_pgoff + view->skew;
		view->node.last = view->node.start +
				  ((view->end - view->start) >> PAGE_SHIFT) - 1;
		interval_tree_insert(&view->node, &space->views);
		WRITE_ONCE(view->alive, true);
	}
	up_write(&space->views_lock);
}

/*
 * Hold views_lock for reading, with @vma's view alive: entries may be made in
 * it. The caller is a fault, and so holds what keeps @vma and its bounds.
 * Whoever ends a view keeps faults off the VMA meanwhile, or does it once.
 */
void cmad_view_lock(const struct vm_area_struct *vma)
{
	struct cmad_view *view = vma->vm_private_data;
	struct rw_semaphore *lock = &view->grant->space->views_lock;

	down_read(lock);
	while (unlikely(!view->alive)) {
		up_read(lock);
		view_revive(view, vma);
		down_read(lock);
	}
}

void cmad_view_unlock(const struct vm_area_struct *vma)
{
	const struct cmad_view *view = vma->vm_private_data;

	up_read(&view->grant->space->views_lock);
}

/*
 * The VMA is gone, and what it showed with it. Waits for invalidations of the
 * mapper under way, of which none waits for the caller's mmap_lock.
 */
void cmad_view_close(struct cmad_view *view)
{
	struct rw_semaphore *lock = &view->grant->space->views_lock;

	if (WARN_ON_ONCE(READ_ONCE(view->alive))) {
		down_write(lock);
		view_end(view);
		up_write(lock);
	}
	mmu_interval_notifier_remove(&view->notifier);
	cmad_shown_put(view->shown);
	cmad_grant_put(view->grant);
	kfree(view);
	cmad_count(mappings, -1);
}
