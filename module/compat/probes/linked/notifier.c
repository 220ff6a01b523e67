// SPDX-License-Identifier: GPL-2.0
/*
 * The end of another process's address space is told, and each change in it.
 * Needed: this kernel has no CONFIG_MMU_NOTIFIER, and cma cannot do without
 */
#include <linux/mmu_notifier.h>

#ifndef CONFIG_MMU_NOTIFIER
#error declared, but not there
#endif

int probe(struct mmu_notifier *notifier, struct mm_struct *mm);
int probe(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	return mmu_notifier_register(notifier, mm);
}
