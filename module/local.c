// SPDX-License-Identifier: GPL-2.0
/*
 * The caller's own memory, brought in between two steps, which touch it with page
 * faults disabled. That may take any time: nothing of a peer's is held meanwhile.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "copy.h"

/* Touch the caller's memory, as a load of its own would. */
int cmad_local_touch(unsigned long addr)
{
	char __maybe_unused c;

	return get_user(c, (char __user *)addr);
}

/*
 * Have the caller's page at @addr there, writable, and otherwise as it is. A
 * stack grows by being touched only.
 */
int cmad_local_fetch(unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	bool unlocked, there;
	int rc = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, addr);
	there = vma && vma->vm_start <= addr;
	if (there)
		rc = cmad_fixup_fault(mm, addr, FAULT_FLAG_WRITE, &unlocked);
	mmap_read_unlock(mm);
	return there ? rc : cmad_local_touch(addr);
}
