// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: pages of a peer's address space in the caller's own, by mmap() of a
 * handle's range.
 *
 * A mapping keeps its grant, and nothing of the peer's memory: pages come by
 * faults (fault.c) and are hidden before the peer no longer has them (hide.c).
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "compat/mapping.h"
#include "private.h"

#define CHUNK_MASK (~(CMAD_CHUNK_SIZE - 1))

static int map_release(struct inode *inode, struct file *file)
{
	cmad_space_put(file->private_data);
	return 0;
}

static const struct file_operations map_fops = {
	.owner = THIS_MODULE,
	.release = map_release,
};

/*
 * The file of the mappings by @grant, whose one purpose is to put their VMAs
 * into the space's tree: NULL without memory.
 */
static struct file *map_file(struct cmad_grant *grant)
{
	struct file *file = READ_ONCE(grant->file), *old;

	if (file)
		return file;
	file = anon_inode_getfile("[cma]", &map_fops, grant->space, O_RDWR);
	if (IS_ERR(file))
		return NULL;
	refcount_inc(&grant->space->refs);
	/* Looked at for the kind of its file system; the inode is for ever. */
	grant->space->mapping.host = file_inode(file);
	file->f_mapping = &grant->space->mapping;

	old = cmpxchg(&grant->file, NULL, file);
	if (old)
		fput(file);
	return old ?: file;
}

/*
 * Where in the peer a mapping begins: its offset counts from the page that the
 * grant begins in. Negative if not all of its pages are the grant's.
 */
static s64 map_begin(const struct cmad_grant *grant, unsigned long pgoff,
		     unsigned long size)
{
	u64 offset = (u64)(pgoff << PAGE_SHIFT) & (CMA_MAP_SPACE - 1);
	u64 begin = (grant->base & PAGE_MASK) + offset;

	if (begin < grant->base ||
	    begin - grant->base > grant->length ||
	    size > grant->length - (begin - grant->base) ||
	    begin >= grant->space->mm->task_size ||
	    size > grant->space->mm->task_size - begin)
		return -ENXIO;
	return begin;
}

/**
 * struct populate - what MAP_POPULATE leaves to be done after mmap()
 * @work: done by the caller of mmap() before it returns to its program
 * @file: of the mapping; keeps the module
 * @start: address of the mapping
 * @end: end of the mapping
 * @skew: what leads from there to the address in the peer
 */
struct populate {
	struct callback_head work;
	struct file *file;
	unsigned long start;
	unsigned long end;
	unsigned long skew;
};

/* Touch the pages from @addr on, up to one that is there. */
static void populate_some(unsigned long addr, unsigned long end)
{
	bool unlocked;
	int rc = -EFAULT;

	mmap_read_lock(current->mm);
	for (; addr < end && rc == -EFAULT; addr += PAGE_SIZE)
		rc = fixup_user_fault(current->mm, addr, 0, &unlocked);
	mmap_read_unlock(current->mm);
}

/*
 * The kernel does not populate mappings of bare frames. A fault maps all there
 * is around it, so that one in each span is enough.
 */
static void map_populate(struct callback_head *work)
{
	struct populate *populate = container_of(work, struct populate, work);
	unsigned long skew = populate->skew;
	unsigned long addr = populate->start;

	while (addr < populate->end && !fatal_signal_pending(current)) {
		unsigned long end = min3(populate->end,
					 (addr | ~PMD_MASK) + 1,
					 ((addr + skew) | ~CHUNK_MASK) + 1 - skew);

		populate_some(addr, end);
		addr = end;
		cond_resched();
	}
	fput(populate->file);
	kfree(populate);
}

/* What cannot be populated is mapped when it is touched. */
static void populate_later(struct vm_area_struct *vma)
{
	struct populate *populate = kmalloc(sizeof(*populate), GFP_KERNEL);

	if (!populate)
		return;
	init_task_work(&populate->work, map_populate);
	populate->file = get_file(vma->vm_file);
	populate->start = vma->vm_start;
	populate->end = vma->vm_end;
	populate->skew = (vma->vm_pgoff << PAGE_SHIFT) - vma->vm_start;
	if (task_work_add(current, &populate->work, TWA_RESUME)) {
		fput(populate->file);
		kfree(populate);
	}
}

static struct cmad_grant *map_grant(struct file *file, unsigned long pgoff)
{
	return cmad_handle_grant(file->private_data,
				 pgoff >> (CMA_MAP_SHIFT - PAGE_SHIFT), false);
}

static int map_check(const struct vm_area_struct *vma,
		     const struct cmad_grant *grant)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC || !(grant->access & CMA_ACCESS_READ))
		return -EACCES;
	if (vma->vm_flags & VM_WRITE && !(grant->access & CMA_ACCESS_WRITE))
		return -EACCES;
	if (grant->window && READ_ONCE(grant->window->ended))
		return -EIDRM;
	if (!atomic_read(&grant->space->mm->mm_users))
		return -ESRCH;
	return 0;
}

/* Takes a reference on the grant if it succeeds. */
static int map_vma(struct vm_area_struct *vma, struct cmad_grant *grant)
{
	s64 begin = map_begin(grant, vma->vm_pgoff,
			      vma->vm_end - vma->vm_start);
	unsigned long never = VM_MAYEXEC;
	struct file *file;
	int rc;

	rc = map_check(vma, grant);
	if (rc)
		return rc;
	if (begin < 0)
		return begin;
	file = map_file(grant);
	if (!file)
		return -ENOMEM;

	if (!(grant->access & CMA_ACCESS_WRITE))
		never |= VM_MAYWRITE;
	/* With VM_IO, madvise() does not take VM_DONTCOPY back. */
	cmad_vm_flags(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTCOPY |
			   VM_DONTDUMP, never);
	cmad_vma_set_file(vma, file);
	vma->vm_pgoff = begin >> PAGE_SHIFT;
	vma->vm_private_data = grant;
	vma->vm_ops = &cmad_map_ops;
	refcount_inc(&grant->refs);
	return 0;
}

int cmad_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct cmad_grant *grant = map_grant(file, vma->vm_pgoff);
	struct cmad_file *cf = file->private_data;
	int rc;

	if (IS_ERR(grant))
		return PTR_ERR(grant);
	rc = map_vma(vma, grant);
	cmad_grant_put(grant);
	if (!rc && READ_ONCE(cf->populate) == current)
		populate_later(vma);
	return rc;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/*
 * An address that lets 2 MB entries show the peer's huge pages. Here, just
 * before it comes to cmad_mmap(), mmap() tells of MAP_POPULATE, which does
 * nothing on a kernel without huge pages.
 */
unsigned long cmad_map_area(struct file *file, unsigned long addr,
			    unsigned long len, unsigned long pgoff,
			    unsigned long flags)
{
	struct cmad_grant *grant = map_grant(file, pgoff);
	struct cmad_file *cf = file->private_data;
	s64 begin = -ENOENT;

	if (!IS_ERR(grant)) {
		begin = map_begin(grant, pgoff, len);
		cmad_grant_put(grant);
	}
	WRITE_ONCE(cf->populate, flags & MAP_POPULATE ? current : NULL);
	if (begin >= 0)
		pgoff = begin >> PAGE_SHIFT;
	return thp_get_unmapped_area(file, addr, len, pgoff, flags);
}
#endif
