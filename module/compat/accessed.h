/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The accessed bits of entries for bare frames, which the kernel itself never
 * asks about, read and cleared without the page table's lock: whoever asks has
 * another process's, and may be asked there at the same time.
 */
#ifndef CMAD_COMPAT_ACCESSED_H
#define CMAD_COMPAT_ACCESSED_H

#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/mm.h>

#include "compat/tables.h"

/*
 * Where the hardware sets it by an atomic operation, as we clear it. User Mode
 * Linux, which calls itself x86-64 too, has none.
 */
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#define CMAD_ACCESSED_BIT _PAGE_BIT_ACCESSED
#elif defined(CONFIG_ARM64)
#define CMAD_ACCESSED_BIT ilog2(PTE_AF)
#endif

#ifdef CMAD_ACCESSED_BIT

/* One who clears the bit of what is no entry any more clears one that is clear. */
static inline bool cmad_accessed_entry(void *entry, bool clear)
{
	if (!test_bit(CMAD_ACCESSED_BIT, entry))
		return false;
	return !clear || test_and_clear_bit(CMAD_ACCESSED_BIT, entry);
}

/*
 * Whether the entry for @addr was used since its bit was cleared last. The
 * caller sees to it that page tables stay, and is in a read side of RCU, as the
 * kernel frees them behind that.
 */
static inline bool cmad_accessed(struct mm_struct *mm, unsigned long addr,
				 bool clear)
{
	pmd_t *pmd = cmad_pmd(mm, addr);
	pmd_t value;

	if (!pmd)
		return false;
	value = READ_ONCE(*pmd);
	if (!pmd_present(value))
		return false;
	if (pmd_leaf(value))
		return cmad_accessed_entry(pmd, clear);
	return cmad_accessed_entry(pte_offset_kernel(&value, addr), clear);
}

#else

static inline bool cmad_accessed(struct mm_struct *mm, unsigned long addr,
				 bool clear)
{
	return false;
}

#endif

#endif /* CMAD_COMPAT_ACCESSED_H */
