// SPDX-License-Identifier: GPL-2.0
/* The VMA of an address costs less than the next one from there on. */
#include <linux/mm.h>

struct vm_area_struct *probe(struct mm_struct *mm, unsigned long addr);
struct vm_area_struct *probe(struct mm_struct *mm, unsigned long addr)
{
	return vma_lookup(mm, addr);
}
