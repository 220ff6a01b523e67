// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: pages of a peer's address space in the caller's own, by mmap() of a
 * handle's range.
 *
 * A mapping keeps its grant, and nothing of the peer's memory: pages come by
 * faults (fault.c) and are unmapped before the peer no longer has them (unmap.c).
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>

#include "compat/mapping.h"
#include "compat/reading.h"
#include "chunk.h"
#include "file.h"
#include "view.h"

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
	/*
	 * Looked at for the kind of its file system; the inode is for ever, and
	 * the same for all who come here at once.
	 */
	WRITE_ONCE(grant->space->mapping.host, file_inode(file));
	file->f_mapping = &grant->space->mapping;

	old = cmpxchg(&grant->file, NULL, file);
	if (old)
		fput(file);
	return old ?: file;
}

/* Where its addresses end; none are those of the dead. */
static u64 space_size(const struct cmad_space *space)
{
	const struct mm_struct *mm;
	u64 size;

	rcu_read_lock();
	mm = rcu_dereference(space->mm);
	size = mm ? mm->task_size : 0;
	rcu_read_unlock();
	return size;
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
	u64 end = space_size(grant->space);

	if (begin < grant->base ||
	    begin - grant->base > grant->length ||
	    size > grant->length - (begin - grant->base) ||
	    begin >= end || size > end - begin)
		return -ENXIO;
	return begin;
}

static struct cmad_grant *map_grant(struct file *file, unsigned long pgoff)
{
	return cmad_handle_grant(file->private_data,
				 pgoff >> (CMA_MAP_SHIFT - PAGE_SHIFT), false);
}

static int map_check(const struct vm_area_struct *vma,
		     const struct cmad_grant *grant)
{
	/* Not VM_SHARED, which the kernel clears where the file is read-only. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC || !(grant->access & CMA_ACCESS_READ))
		return -EACCES;
	if (vma->vm_flags & VM_WRITE && !(grant->access & CMA_ACCESS_WRITE))
		return -EACCES;
	return cmad_view_check(grant);
}

/*
 * The file offset that the mapping of the peer's pages from number @first on is
 * to show, in /proc/PID/maps and elsewhere: that in the window, since the peer's
 * own addresses are not the mapper's to know. A mapping that has room for a 2 MB
 * entry must agree with its address modulo 2 MB, or the kernel makes none; the
 * address tells no less then.
 */
static unsigned long map_pgoff(const struct vm_area_struct *vma,
			       const struct cmad_grant *grant,
			       unsigned long first)
{
	unsigned long start = round_up(vma->vm_start, CMAD_CHUNK_SIZE);
	unsigned long base = grant->base >> PAGE_SHIFT;
	unsigned long pgoff = first - base;

	if (start < vma->vm_end && vma->vm_end - start >= CMAD_CHUNK_SIZE &&
	    !(((vma->vm_start >> PAGE_SHIFT) - first) % CMAD_CHUNK_PAGES))
		pgoff += base % CMAD_CHUNK_PAGES;
	return pgoff;
}

/* Takes a reference on the grant if it succeeds. */
static int map_vma(struct vm_area_struct *vma, struct cmad_grant *grant)
{
	s64 begin = map_begin(grant, vma->vm_pgoff,
			      vma->vm_end - vma->vm_start);
	unsigned long never = VM_MAYEXEC;
	unsigned long first;
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
	first = begin >> PAGE_SHIFT;
	vma->vm_pgoff = map_pgoff(vma, grant, first);
	rc = cmad_view_create(vma, grant, first - vma->vm_pgoff, NULL,
			      GFP_KERNEL_ACCOUNT);
	/* A process's first notifier takes all its locks; a signal ends that. */
	if (rc)
		return rc == -EINTR ? -ERESTARTNOINTR : rc;
	/* Last: after a failure 5.10 puts the file that it came with, not the VMA's. */
	cmad_vma_set_file(vma, file);
	vma->vm_ops = &cmad_map_ops;
	return 0;
}

int cmad_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct cmad_grant *grant;
	int rc;

	if (!CMAD_READS_TABLES)
		return -ENODEV;
	grant = map_grant(file, vma->vm_pgoff);
	if (IS_ERR(grant))
		return PTR_ERR(grant);
	rc = map_vma(vma, grant);
	cmad_grant_put(grant);
	return rc;
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/* An address that lets 2 MB entries show the peer's huge pages. */
unsigned long cmad_map_area(struct file *file, unsigned long addr,
			    unsigned long len, unsigned long pgoff,
			    unsigned long flags)
{
	struct cmad_grant *grant = map_grant(file, pgoff);
	s64 begin = -ENOENT;

	if (!IS_ERR(grant)) {
		begin = map_begin(grant, pgoff, len);
		cmad_grant_put(grant);
	}
	if (begin >= 0)
		pgoff = begin >> PAGE_SHIFT;
	return thp_get_unmapped_area(file, addr, len, pgoff, flags);
}
#endif
