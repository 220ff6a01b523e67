// SPDX-License-Identifier: GPL-2.0
/* A 2 MB entry may be made of page frames, and says that it was. */
#include <linux/mm.h>

#ifndef CONFIG_TRANSPARENT_HUGEPAGE
#error declared, but not there
#endif

vm_fault_t probe(struct vm_fault *vmf, unsigned int order);
vm_fault_t probe(struct vm_fault *vmf, unsigned int order)
{
	if (pmd_special(*vmf->pmd))
		return 0;
	return vmf->vma->vm_ops->huge_fault(vmf, order);
}
