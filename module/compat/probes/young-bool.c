// SPDX-License-Identifier: GPL-2.0
/* Notifiers answer whether a page is young by a bool. */
#include <linux/mmu_notifier.h>

bool probe(struct mmu_notifier *notifier, struct mm_struct *mm,
	   unsigned long address);

const struct mmu_notifier_ops ops = {
	.test_young = probe,
};
