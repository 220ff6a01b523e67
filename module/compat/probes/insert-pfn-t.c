// SPDX-License-Identifier: GPL-2.0
/* vmf_insert_pfn_pmd() wraps the frame number in a pfn_t. */
#include <linux/mm.h>
#include <linux/pfn_t.h>

vm_fault_t probe(struct vm_fault *vmf);
vm_fault_t probe(struct vm_fault *vmf)
{
	return vmf_insert_pfn_pmd(vmf, pfn_to_pfn_t(0), true);
}
