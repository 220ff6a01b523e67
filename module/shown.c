// SPDX-License-Identifier: GPL-2.0
/*
 * Which pages of a mapping can be touched: all at first; who hides some has
 * attachments that come and go within one mapping, without a call of mmap() and
 * munmap() for each.
 *
 * A set of pages belongs to a mapping as it was made. The VMAs that are left of
 * it, and those it was split into, share it. It is looked at and changed under
 * the space's views_lock, which whoever makes entries holds, too.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>

#include "view.h"

void cmad_shown_put(struct cmad_shown *shown)
{
	if (shown && refcount_dec_and_test(&shown->refs))
		kvfree(shown);
}

/* Whether the page can be touched; views_lock. */
bool cmad_shown(const struct cmad_view *view, unsigned long page)
{
	const struct cmad_shown *shown = view->shown;

	lockdep_assert_held(&view->grant->space->views_lock);
	return !shown || test_bit(page - shown->first, shown->pages);
}

/* How many pages from number @page on can be touched, of @nr; views_lock. */
unsigned long cmad_shown_run(const struct cmad_view *view, unsigned long page,
			     unsigned long nr)
{
	const struct cmad_shown *shown = view->shown;
	unsigned long from;

	lockdep_assert_held(&view->grant->space->views_lock);
	if (!shown)
		return nr;
	from = page - shown->first;
	return find_next_zero_bit(shown->pages, from + nr, from) - from;
}

/* How many from a hidden page on are hidden, of @nr; views_lock. */
unsigned long cmad_hidden_run(const struct cmad_view *view, unsigned long page,
			      unsigned long nr)
{
	const struct cmad_shown *shown = view->shown;
	unsigned long from = page - shown->first;

	lockdep_assert_held(&view->grant->space->views_lock);
	return find_next_bit(shown->pages, from + nr, from) - from;
}

/* How many can be touched of the @nr pages before it, counted from it. */
unsigned long cmad_shown_run_before(const struct cmad_view *view,
				    unsigned long page, unsigned long nr)
{
	const struct cmad_shown *shown = view->shown;
	unsigned long run = 0;

	lockdep_assert_held(&view->grant->space->views_lock);
	if (!shown)
		return nr;
	while (run < nr && test_bit(page - shown->first - run - 1, shown->pages))
		run++;
	return run;
}
