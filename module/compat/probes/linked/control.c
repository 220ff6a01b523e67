// SPDX-License-Identifier: GPL-2.0
/* Must link: what every kernel exports to modules. */
#include <linux/mm.h>

unsigned long probe(void __user *to, const void *from, unsigned long len);
unsigned long probe(void __user *to, const void *from, unsigned long len)
{
	return copy_to_user(to, from, len) + totalram_pages();
}
