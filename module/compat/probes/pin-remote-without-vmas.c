// SPDX-License-Identifier: GPL-2.0
/* pin_user_pages_remote() takes no array of VMAs. */
#include <linux/mm.h>

long probe(struct mm_struct *mm, struct page **pages, int *locked);
long probe(struct mm_struct *mm, struct page **pages, int *locked)
{
	return pin_user_pages_remote(mm, 0, 1, FOLL_WRITE, pages, locked);
}
