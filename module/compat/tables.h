/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Looking at another process's page tables by hand, for what the kernel has no
 * function for, or one that does much more. Where it is not known that this may
 * be done, nothing is ever found.
 */
#ifndef CMAD_COMPAT_TABLES_H
#define CMAD_COMPAT_TABLES_H

#include <linux/mm.h>
#include <linux/rcupdate.h>

#if defined(CONFIG_X86_64) || defined(CONFIG_ARM64)

/*
 * Where the entry for 2 MB at @addr is, or NULL. The caller sees to it that page
 * tables above it stay, and is in a read side of RCU, as the kernel may free the
 * one below behind that.
 */
static inline pmd_t *cmad_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud, value;

	if (pgd_none(READ_ONCE(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	value = READ_ONCE(*pud);
	if (!pud_present(value) || pud_leaf(value))
		return NULL;
	return pmd_offset(pud, addr);
}

/*
 * The page of an entry that the processor could use as it is, and has used: of
 * such a page get_user_pages() would bring nothing in, and note nothing that
 * reclaim does not see there. Else NULL.
 */
static inline struct page *cmad_pte_page(pte_t pte)
{
	struct page *page;

	if (!pte_present(pte) || !pte_young(pte) || pte_special(pte) ||
	    pte_protnone(pte))
		return NULL;
	page = pte_page(pte);
	return is_zone_device_page(page) ? NULL : page;
}

/*
 * The page at @addr of @vma with a reference, or NULL: it is not there, or not
 * as most are. The mmap_lock is held, which keeps the tables above; the lowest
 * one is the same still if its entry is, under its lock.
 */
static inline struct page *cmad_page_mapped(struct vm_area_struct *vma,
					    unsigned long addr)
{
	struct page *page = NULL;
	spinlock_t *lock; /* the lowest table's */
	pmd_t *pmd, seen;

	rcu_read_lock();
	pmd = cmad_pmd(vma->vm_mm, addr);
	if (!pmd)
		goto out;
	seen = READ_ONCE(*pmd);
	if (pmd_bad(seen)) /* also a leaf, or none */
		goto out;
	lock = pte_lockptr(vma->vm_mm, &seen);
	spin_lock(lock);
	if (pmd_same(seen, READ_ONCE(*pmd))) {
		page = cmad_pte_page(READ_ONCE(*pte_offset_kernel(&seen, addr)));
		if (page && !try_get_page(page))
			page = NULL;
	}
	spin_unlock(lock);
out:
	rcu_read_unlock();
	return page;
}

#else

static inline struct page *cmad_page_mapped(struct vm_area_struct *vma,
					    unsigned long addr)
{
	return NULL;
}

#endif

#endif /* CMAD_COMPAT_TABLES_H */
