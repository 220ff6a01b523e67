/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mappings: map.c makes them, fault.c has them show something, populate.c at
 * once; view.c knows whose page tables show what, shown.c which of their pages can
 * be touched, and show.c changes that.
 */
#ifndef CMAD_VIEW_H
#define CMAD_VIEW_H

#include <linux/interval_tree.h>
#include <linux/mmu_notifier.h>

#include "grant.h"

/**
 * struct cmad_view - the right of one VMA to have entries
 * @notifier: on the mapper, for the VMA as it was made
 * @grant: with a reference
 * @skew: what leads from page numbers in the VMA's file to those in the space
 * @alive: entries may be there, and be made; views_lock
 * @node: in the space's tree while @alive, by the space's page numbers;
 *	views_lock, as the following
 * @start: of the VMA when the view came to life
 * @end: likewise
 * @shown: with a reference, or NULL; set once, under views_lock and the mapper's
 *	mmap_lock. It has all pages of the VMA, and may lack some that are within
 *	the view's bounds, from before a split
 *
 * The VMA's, whose end is the view's.
 */
struct cmad_view {
	struct mmu_interval_notifier notifier;
	struct cmad_grant *grant;
	unsigned long skew;
	bool alive;
	struct interval_tree_node node;
	unsigned long start;
	unsigned long end;
	struct cmad_shown *shown;
};

/**
 * struct cmad_shown - the pages of a mapping that can be touched
 * @refs: one for each view
 * @first: number of the mapping's first page, in the space
 * @pages: a bit for each page from that one on; views_lock
 */
struct cmad_shown {
	refcount_t refs;
	unsigned long first;
	unsigned long pages[];
};

/* Whether there is something to show by the grant: 0, or why not. */
static inline int cmad_view_check(const struct cmad_grant *grant)
{
	if (cmad_grant_ended(grant))
		return -EIDRM;
	return cmad_space_is_dead(grant->space) ? -ESRCH : 0;
}

/* unmap.c */
void cmad_view_zap(const struct cmad_view *view, unsigned long first,
		   unsigned long last);

/* shown.c */
bool cmad_shown(const struct cmad_view *view, unsigned long page);
unsigned long cmad_shown_run(const struct cmad_view *view, unsigned long page,
			     unsigned long nr);
unsigned long cmad_hidden_run(const struct cmad_view *view, unsigned long page,
			      unsigned long nr);
unsigned long cmad_shown_run_before(const struct cmad_view *view,
				    unsigned long page, unsigned long nr);
void cmad_shown_put(struct cmad_shown *shown);

/* view.c */
int cmad_view_create(struct vm_area_struct *vma, struct cmad_grant *grant,
		     unsigned long skew, struct cmad_shown *shown, gfp_t gfp);
void cmad_view_lock(const struct vm_area_struct *vma);
void cmad_view_unlock(const struct vm_area_struct *vma);
void cmad_view_close(struct cmad_view *view);

/* fault.c */
extern const struct vm_operations_struct cmad_map_ops;

/* show.c */
int cmad_show(const struct cma_ioc_show *args);

/* populate.c */
int cmad_populate(const struct cma_ioc_populate *args);

/* map.c */
int cmad_mmap(struct file *file, struct vm_area_struct *vma);
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
unsigned long cmad_map_area(struct file *file, unsigned long addr,
			    unsigned long len, unsigned long pgoff,
			    unsigned long flags);
#else
#define cmad_map_area NULL /* any address will do */
#endif

#endif /* CMAD_VIEW_H */
