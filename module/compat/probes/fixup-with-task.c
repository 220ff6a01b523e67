// SPDX-License-Identifier: GPL-2.0
/* fixup_user_fault() is told whose faults to count. */
#include <linux/mm.h>

int probe(struct mm_struct *mm, bool *unlocked);
int probe(struct mm_struct *mm, bool *unlocked)
{
	return fixup_user_fault(NULL, mm, 0, FAULT_FLAG_WRITE, unlocked);
}
