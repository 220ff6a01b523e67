// SPDX-License-Identifier: GPL-2.0
/*
 * Populating: what a peer has is entered into a mapping of it before it is
 * touched. An ioctl, since mmap() does nothing of the kind for mappings of bare
 * frames, and does not tell a driver of MAP_POPULATE.
 *
 * It faults pages in as the caller's own touches would, so that nothing is
 * reached that the mapping does not show, and goes by what one fault enters: all
 * that is there in the same 2 MB, of one VMA of the peer's. The locks of the
 * caller's and of the peer's address space are never held together.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "chunk.h"
#include "view.h"

/**
 * struct stretch - pages of a mapping that one fault can enter
 * @start: address of the first one, in the caller
 * @end: end of the last one: same VMA, and there same page table
 * @peer: address of the first one, in the peer
 * @grant: the mapping's, with a reference
 * @hidden: none of them can be touched, or else all can
 */
struct stretch {
	unsigned long start;
	unsigned long end;
	unsigned long peer;
	struct cmad_grant *grant;
	bool hidden;
};

static void stretch_cut(struct stretch *stretch, unsigned long size)
{
	stretch->end = min(stretch->end - stretch->start, size) +
		       stretch->start;
}

/* End it where hidden pages begin, or cease: a fault enters none beyond. */
static void stretch_shown(struct stretch *stretch, const struct cmad_view *view)
{
	struct rw_semaphore *lock = &view->grant->space->views_lock;
	unsigned long nr = (stretch->end - stretch->start) >> PAGE_SHIFT;
	unsigned long page = stretch->peer >> PAGE_SHIFT;
	unsigned long run;

	down_read(lock);
	run = cmad_shown_run(view, page, nr);
	stretch->hidden = !run;
	if (stretch->hidden)
		run = cmad_hidden_run(view, page, nr);
	up_read(lock);
	stretch_cut(stretch, run << PAGE_SHIFT);
}

/* The stretch that begins at @addr, by what is mapped there in the caller. */
static int stretch_of(struct stretch *stretch, unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	const struct cmad_view *view;
	struct vm_area_struct *vma;
	int rc = -EFAULT;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start <= addr && vma->vm_ops == &cmad_map_ops &&
	    vma->vm_flags & VM_READ) {
		view = vma->vm_private_data;
		stretch->start = addr;
		stretch->end = vma->vm_end;
		stretch->peer = ((vma->vm_pgoff + view->skew) << PAGE_SHIFT) +
				(addr - vma->vm_start);
		stretch->grant = view->grant;
		refcount_inc(&stretch->grant->refs);
		stretch_shown(stretch, view);
		rc = 0;
	}
	mmap_read_unlock(mm);
	return rc;
}

/*
 * End the stretch where the peer's memory changes. Positive if there may be
 * something to enter up to there, 0 if all of it is a hole, however large.
 */
static int stretch_in_peer(struct stretch *stretch)
{
	const struct cmad_grant *grant = stretch->grant;
	unsigned long peer = stretch->peer;
	struct vm_area_struct *vma;
	struct mm_struct *mm;
	int rc = 0;

	if (cmad_grant_ended(grant))
		return -EIDRM;
	mm = cmad_space_mmget(grant->space);
	if (!mm)
		return -ESRCH;
	if (mmap_read_lock_killable(mm)) {
		mmput(mm);
		return -EINTR;
	}
	vma = find_vma(mm, peer);
	if (vma && vma->vm_start > peer) {
		stretch_cut(stretch, vma->vm_start - peer);
	} else if (vma) {
		stretch_cut(stretch, vma->vm_end - peer);
		rc = vma->vm_flags & VM_READ && cmad_vma_is_fit(vma);
	}
	mmap_read_unlock(mm);
	mmput(mm);
	return rc;
}

/*
 * Touch the pages up to one that is there. The caller may have something else
 * mapped here by now: that is touched then, and no harm done.
 */
static int touch_some(const struct stretch *stretch)
{
	struct mm_struct *mm = current->mm;
	unsigned long addr = stretch->start;
	int rc = 0;

	for (; addr < stretch->end; addr += PAGE_SIZE) {
		bool unlocked = false;

		if (mmap_read_lock_killable(mm))
			return -EINTR;
		rc = cmad_fixup_fault(mm, addr, 0, &unlocked);
		mmap_read_unlock(mm);
		if (fatal_signal_pending(current))
			return -EINTR;
		if (rc != -EFAULT && rc != -EHWPOISON)
			return rc;
		cond_resched();
	}
	return 0;
}

/* Populate what begins at @addr; where that ends goes to @next. */
static int populate_some(unsigned long addr, unsigned long *next)
{
	struct stretch stretch;
	int rc;

	rc = stretch_of(&stretch, addr);
	if (rc)
		return rc;
	rc = stretch_in_peer(&stretch);
	if (rc > 0 && stretch.hidden)
		rc = 0;
	if (rc > 0) {
		stretch_cut(&stretch, PMD_SIZE - (addr & ~PMD_MASK));
		stretch_cut(&stretch, CMAD_CHUNK_SIZE -
				      (stretch.peer & (CMAD_CHUNK_SIZE - 1)));
		rc = touch_some(&stretch);
	}
	cmad_grant_put(stretch.grant);
	*next = stretch.end;
	return rc;
}

int cmad_populate(const struct cma_ioc_populate *args)
{
	unsigned long addr = args->address & PAGE_MASK;
	u64 last = args->address + args->length - 1;
	int rc;

	if (args->flags || !args->length || last < args->address)
		return -EINVAL;
	/* No mapping comes near the end of all addresses. */
	do {
		rc = populate_some(addr, &addr);
		cond_resched();
	} while (!rc && addr <= last);
	return rc;
}
