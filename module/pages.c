// SPDX-License-Identifier: GPL-2.0
/*
 * Getting hold of the peer's pages, for as long as a batch of them is copied.
 *
 * What may be had, and what is brought in, is for get_user_pages() to say. Most
 * copies without the cache want one page, which is there: that is looked up by
 * hand, which costs half as much. It finds no page that get_user_pages() would
 * refuse, and says no to nobody: whatever is not plain is asked of the kernel.
 */
#include <linux/hugetlb_inline.h>
#include <linux/mm.h>

#include "compat/tables.h"
#include "chunk.h"
#include "copy.h"

/* The page at @addr with a reference, to be read, or NULL: ask the kernel. */
static struct page *page_there(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = cmad_vma_at(mm, addr);

	if (!vma || !(vma->vm_flags & VM_READ) || is_vm_hugetlb_page(vma) ||
	    !cmad_vma_is_fit(vma))
		return NULL;
	return cmad_page_mapped(vma, addr);
}

/* The same for any pages, by the kernel. Unlocks. */
static noinline long pages_ask(struct mm_struct *mm, unsigned long addr,
			       unsigned long nr, bool write,
			       struct page **pages)
{
	int locked = 1;
	long got;

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
	struct page *page = NULL;

	if (!mmap_read_trylock(mm) && mmap_read_lock_killable(mm))
		return -EINTR;
	if (nr == 1 && !write)
		page = page_there(mm, addr);
	if (!page)
		return pages_ask(mm, addr, nr, write, pages);
	mmap_read_unlock(mm);
	*pages = page;
	return 1;
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

