// SPDX-License-Identifier: GPL-2.0
/*
 * Views: which VMAs may have page table entries for pages of a space.
 *
 * A view is one VMA's right to have entries. While it is alive it is in its
 * space's tree, by the owner's page numbers, and its page tables stay: whoever
 * frees or moves page tables of the mapper (munmap, mremap, exit, execve) first
 * calls view_invalidate(), which takes the entries away and ends the right. A
 * fault in what is left of the VMA revives it, with the bounds of that moment.
 *
 * Entries are made and zapped under views_lock held for reading, views come to
 * life and end under it held for writing.
 */
#include <linux/interval_tree.h>
#include <linux/slab.h>

#include "view.h"

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
			cmad_view_zap(view, view->node.start,
				      view->node.last);
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
