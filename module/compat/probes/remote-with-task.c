// SPDX-License-Identifier: GPL-2.0
/* Getting another process's pages is told whose faults to count. */
#include <linux/mm.h>

long probe(struct mm_struct *mm, struct page **pages, int *locked);
long probe(struct mm_struct *mm, struct page **pages, int *locked)
{
	return get_user_pages_remote(NULL, mm, 0, 1, FOLL_WRITE, pages, NULL,
				     locked) +
	       pin_user_pages_remote(NULL, mm, 0, 1, FOLL_WRITE, pages, NULL,
				     locked);
}
