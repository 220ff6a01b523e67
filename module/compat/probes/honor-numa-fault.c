// SPDX-License-Identifier: GPL-2.0
/* Whether NUMA hints count is up to who gets pages. */
#include <linux/mm.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return FOLL_HONOR_NUMA_FAULT;
}
