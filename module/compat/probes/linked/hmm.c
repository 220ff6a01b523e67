// SPDX-License-Identifier: GPL-2.0
/*
 * Other processes' page tables can be read.
 * Without it: no CONFIG_HMM_MIRROR: built without translations kept, and without mappings
 */
#include <linux/hmm.h>

#ifndef CONFIG_HMM_MIRROR
#error declared, but not there
#endif

int probe(struct hmm_range *range);
int probe(struct hmm_range *range)
{
	return hmm_range_fault(range);
}
