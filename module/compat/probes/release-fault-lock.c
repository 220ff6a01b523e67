// SPDX-License-Identifier: GPL-2.0
/* A fault may hold the lock of its VMA in place of the mmap_lock. */
#include <linux/mm.h>

void probe(struct vm_fault *vmf);
void probe(struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_VMA_LOCK)
		release_fault_lock(vmf);
}
