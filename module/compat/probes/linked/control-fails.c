// SPDX-License-Identifier: GPL-2.0
/* Must not link: declared, and yet exported by no kernel. */
#include <linux/start_kernel.h>

void probe(void);
void probe(void)
{
	start_kernel();
}
