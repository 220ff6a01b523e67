// SPDX-License-Identifier: GPL-2.0
/* Must compile: what every kernel has. */
#include <linux/mm.h>
#include <linux/sched/mm.h>

void probe(struct mm_struct *mm);
void probe(struct mm_struct *mm)
{
	mmgrab(mm);
}
