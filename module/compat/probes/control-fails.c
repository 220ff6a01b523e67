// SPDX-License-Identifier: GPL-2.0
/* Must not compile: what no kernel has. */
#include <linux/mm.h>

void probe(struct mm_struct *mm);
void probe(struct mm_struct *mm)
{
	cmad_no_kernel_has_this(mm);
}
