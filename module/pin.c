// SPDX-License-Identifier: GPL-2.0
/*
 * The peer's own pages, held for a batch: the way that needs no cache, and the
 * one that decides. What it refuses is refused, as process_vm_readv() refuses it.
 */
#include <linux/mm.h>

#include "copy.h"

/*
 * Get hold of up to @nr pages from @addr on: how many it were, or an error.
 *
 * Pages that are written to are pinned, so that fork() and copy-on-write leave
 * them to their owner. Those that are read are only referenced: a pin would
 * break up pages that are shared with a child or by KSM. The owner may get a
 * copy of such a page, and write to that, while we read the page; but then its
 * write is later than the beginning of our call, as if we had been quicker.
 */
long cmad_pages_get(struct mm_struct *mm, unsigned long addr, unsigned long nr,
		    bool write, struct page **pages)
{
	int locked = 1;
	long got;

	if (!mmap_read_trylock(mm) && mmap_read_lock_killable(mm))
		return -EINTR;
	if (write)
		got = cmad_pin_remote(mm, addr & PAGE_MASK, nr,
				      FOLL_WRITE | CMAD_FOLL_NUMA, pages,
				      &locked);
	else
		got = cmad_get_remote(mm, addr & PAGE_MASK, nr, CMAD_FOLL_NUMA,
				      pages, &locked);
	if (locked)
		mmap_read_unlock(mm);
	return got;
}

void cmad_pages_put(struct page **pages, long nr, bool write)
{
	long i;

	if (write && nr > 0)
		unpin_user_pages_dirty_lock(pages, nr, true);
	else
		for (i = 0; i < nr; i++)
			put_page(pages[i]);
}
