// SPDX-License-Identifier: GPL-2.0
/*
 * Showing and hiding pages of a mapping that is there (shown.c).
 *
 * A call that hides pages first sees to it that no entry for them is made any
 * more, and then takes away those that are there: in the VMA's own page tables,
 * which its mmap_lock keeps, since entries from before a split were made for
 * another view. It does so without views_lock, which the owner may wait for.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat/mapping.h"
#include "view.h"

/* The first and the last page of a range, by their numbers in the peer. */
struct pages {
	unsigned long first;
	unsigned long last;
};

static struct pages pages_of(const struct vm_area_struct *vma,
			     unsigned long start, unsigned long end)
{
	const struct cmad_view *view = vma->vm_private_data;
	unsigned long zero = vma->vm_pgoff + view->skew;

	return (struct pages){
		zero + ((start - vma->vm_start) >> PAGE_SHIFT),
		zero + ((end - 1 - vma->vm_start) >> PAGE_SHIFT),
	};
}

/* A set of all of @vma's pages, or an ERR_PTR. */
static struct cmad_shown *shown_make(const struct vm_area_struct *vma)
{
	struct pages all = pages_of(vma, vma->vm_start, vma->vm_end);
	unsigned long nr = all.last - all.first + 1;
	struct cmad_shown *shown;

	if (nr > CMA_SHOW_MAX >> PAGE_SHIFT)
		return ERR_PTR(-E2BIG);
	shown = kvmalloc(struct_size(shown, pages, BITS_TO_LONGS(nr)),
			 GFP_KERNEL_ACCOUNT);
	if (!shown)
		return ERR_PTR(-ENOMEM);
	refcount_set(&shown->refs, 1);
	shown->first = all.first;
	bitmap_fill(shown->pages, nr);
	return shown;
}

static void shown_change(struct cmad_shown *shown, struct pages these, bool show)
{
	unsigned long first = these.first - shown->first;
	unsigned long nr = these.last - these.first + 1;

	if (show)
		bitmap_set(shown->pages, first, nr);
	else
		bitmap_clear(shown->pages, first, nr);
}

/* Have what can be touched in @vma as @args say, by the set @made if it has none. */
static void view_change(const struct vm_area_struct *vma,
			const struct cma_ioc_show *args,
			struct cmad_shown *made)
{
	struct cmad_view *view = vma->vm_private_data;
	struct rw_semaphore *lock = &view->grant->space->views_lock;

	down_write(lock);
	/* The owner may wait for the lock, and so for us to run. */
	preempt_disable();
	if (!view->shown) {
		WRITE_ONCE(view->shown, made);
		made = NULL;
	}
	if (args->how == CMA_SHOW_ONLY)
		shown_change(view->shown,
			     pages_of(vma, vma->vm_start, vma->vm_end), false);
	shown_change(view->shown,
		     pages_of(vma, args->address, args->address + args->length),
		     args->how != CMA_HIDE_PAGES);
	preempt_enable();
	up_write(lock);
	cmad_shown_put(made);
}

static void zap(struct vm_area_struct *vma, unsigned long start,
		unsigned long end)
{
	if (start < end)
		cmad_zap(vma, start, end - start);
}

static int show_in(struct vm_area_struct *vma, const struct cma_ioc_show *args)
{
	const struct cmad_view *view = vma->vm_private_data;
	unsigned long end = args->address + args->length;
	struct cmad_shown *made = NULL;
	int rc = 0;

	if (args->how != CMA_HIDE_PAGES)
		rc = cmad_view_check(view->grant);
	/* Once there it stays; the mmap_lock is held, so that this is seen. */
	if (!rc && !READ_ONCE(view->shown)) {
		if (args->how == CMA_SHOW_PAGES)
			return 0;
		made = shown_make(vma);
		rc = PTR_ERR_OR_ZERO(made);
	}
	if (rc)
		return rc;

	view_change(vma, args, made);
	if (args->how == CMA_HIDE_PAGES)
		zap(vma, args->address, end);
	if (args->how == CMA_SHOW_ONLY) {
		zap(vma, vma->vm_start, args->address);
		zap(vma, end, vma->vm_end);
	}
	return 0;
}

int cmad_show(const struct cma_ioc_show *args)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int rc = -EFAULT;
	u64 end;

	if (args->how < CMA_SHOW_PAGES || args->how > CMA_HIDE_PAGES ||
	    !args->length || (args->address | args->length) & ~PAGE_MASK ||
	    check_add_overflow(args->address, args->length, &end))
		return -EINVAL;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, args->address);
	if (vma && vma->vm_start <= args->address && end <= vma->vm_end &&
	    vma->vm_ops == &cmad_map_ops)
		rc = show_in(vma, args);
	mmap_read_unlock(mm);
	return rc;
}
