// SPDX-License-Identifier: GPL-2.0
/*
 * Modules may set page table entries, of bare frames.
 * Without it: no set_pte_at() for modules: first touches of mappings cost more
 */
#include <linux/mm.h>

void probe(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte);
void probe(struct mm_struct *mm, unsigned long addr, pte_t *ptep, pte_t pte)
{
	set_pte_at(mm, addr, ptep, pte_mkspecial(pte));
}
