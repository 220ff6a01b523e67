/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mapping pages of another address space needs of the kernel's mm.
 */
#ifndef CMAD_COMPAT_MAPPING_H
#define CMAD_COMPAT_MAPPING_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "probed.h"

#ifdef CMAD_HAVE_INSERT_PFN_T
#include <linux/pfn_t.h>
#endif

/* It counts who maps a huge page, and does not know 2 MB entries as special. */
#ifdef CONFIG_PAGE_TABLE_CHECK
#undef CMAD_HAVE_HUGE_PFN
#endif

/* Take what is mapped at @size bytes from @addr out of a VMA of frames. */
static inline void cmad_zap(struct vm_area_struct *vma, unsigned long addr,
			    unsigned long size)
{
#ifdef CMAD_HAVE_ZAP_SPECIAL
	zap_special_vma_range(vma, addr, size);
#else
	zap_vma_ptes(vma, addr, size);
#endif
}

/* The VMA is the caller's own, and the kernel knows nothing of it. */
static inline void cmad_vm_flags_init(struct vm_area_struct *vma,
				      unsigned long flags)
{
#ifdef CMAD_HAVE_VM_FLAGS_SET
	vm_flags_init(vma, flags);
#else
	vma->vm_flags = flags;
#endif
}

/* The caller is the VMA's ->mmap. */
static inline void cmad_vm_flags(struct vm_area_struct *vma, unsigned long set,
				 unsigned long clear)
{
#ifdef CMAD_HAVE_VM_FLAGS_SET
	vm_flags_set(vma, set);
	vm_flags_clear(vma, clear);
#else
	vma->vm_flags = (vma->vm_flags & ~clear) | set;
#endif
}

/* The caller is the VMA's ->mmap; the VMA takes a reference of its own. */
static inline void cmad_vma_set_file(struct vm_area_struct *vma,
				     struct file *file)
{
#ifdef CMAD_HAVE_VMA_SET_FILE
	vma_set_file(vma, file);
#else
	struct file *old = vma->vm_file;

	vma->vm_file = get_file(file);
	fput(old);
#endif
}

/*
 * Let go of what a fault holds. True if it was the mmap_lock, which may be
 * taken again.
 */
static inline bool cmad_release_fault_lock(struct vm_fault *vmf)
{
#ifdef CMAD_HAVE_RELEASE_FAULT_LOCK
	bool whole = !(vmf->flags & FAULT_FLAG_VMA_LOCK);

	release_fault_lock(vmf);
	return whole;
#else
	mmap_read_unlock(vmf->vma->vm_mm);
	return true;
#endif
}

#ifdef CMAD_HAVE_HUGE_PFN
static inline vm_fault_t cmad_insert_huge(struct vm_fault *vmf,
					  unsigned long pfn, bool write)
{
#ifdef CMAD_HAVE_INSERT_PFN_T
	return vmf_insert_pfn_pmd(vmf, pfn_to_pfn_t(pfn), write);
#else
	return vmf_insert_pfn_pmd(vmf, pfn, write);
#endif
}
#endif

#endif /* CMAD_COMPAT_MAPPING_H */
