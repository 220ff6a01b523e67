// SPDX-License-Identifier: GPL-2.0
/*
 * The module's life: /dev/cma appears last and goes first, so that whoever
 * has it open finds everything else in place.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "compat/import.h"
#include "chunk.h"
#include "file.h"
#include "view.h"

static int cmad_open(struct inode *inode, struct file *file)
{
	struct cmad_file *cf;

	cf = kzalloc(struct_size(cf, few.slot, CMAD_FEW_HANDLES),
		     GFP_KERNEL_ACCOUNT);
	if (!cf)
		return -ENOMEM;
	cf->moved = alloc_percpu_gfp(struct cmad_moved, GFP_KERNEL_ACCOUNT);
	if (!cf->moved) {
		kfree(cf);
		return -ENOMEM;
	}

	cmad_handles_init(cf);
	spin_lock_init(&cf->windows_lock);
	INIT_LIST_HEAD(&cf->windows);
	cmad_verdicts_init(cf);
	if (file->f_mode & FMODE_READ)
		cf->access |= CMA_ACCESS_READ;
	if (file->f_mode & FMODE_WRITE)
		cf->access |= CMA_ACCESS_WRITE;
	file->private_data = cf;
	cmad_count(files, 1);
	return nonseekable_open(inode, file);
}

static int cmad_release(struct inode *inode, struct file *file)
{
	struct cmad_file *cf = file->private_data;

	cmad_windows_free(cf);
	cmad_handles_free(cf);
	cmad_verdicts_free(cf);
	free_percpu(cf->moved);
	kfree(cf);
	cmad_count(files, -1);
	return 0;
}

static const struct file_operations cmad_fops = {
	.owner = THIS_MODULE,
	.open = cmad_open,
	.release = cmad_release,
	.unlocked_ioctl = cmad_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = cmad_mmap,
	.get_unmapped_area = cmad_map_area,
	.show_fdinfo = cmad_show_fdinfo,
};

/* The udev rule that comes with the module opens the node to everybody. */
static struct miscdevice cmad_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "cma",
	.fops = &cmad_fops,
	.groups = cmad_stat_groups,
};

static int __init cmad_init(void)
{
	int rc;

	rc = cmad_import_init();
	if (rc)
		return rc;
	cmad_user_init();
	cmad_evict_set_defaults();
	rc = cmad_space_init(&cmad_chunk_space_ops);
	if (rc)
		return rc;
	rc = cmad_window_init();
	if (rc)
		goto exit_space;
	rc = cmad_table_init();
	if (rc)
		goto exit_window;
	rc = cmad_chunk_init();
	if (rc)
		goto exit_table;
	rc = cmad_evict_init();
	if (rc)
		goto exit_chunk;
	rc = cmad_access_init();
	if (rc)
		goto stop_evict;

	rc = misc_register(&cmad_misc);
	if (rc)
		goto exit_access;
	return 0;

exit_access:
	cmad_access_exit();
stop_evict:
	cmad_evict_stop();
	cmad_evict_exit();
exit_chunk:
	cmad_chunk_exit();
exit_table:
	cmad_table_exit();
exit_window:
	cmad_window_exit();
exit_space:
	cmad_space_exit();
	return rc;
}

static void __exit cmad_exit(void)
{
	misc_deregister(&cmad_misc);
	cmad_evict_stop();
	cmad_space_exit();
	/* Chunks and windows are freed after another grace period. */
	rcu_barrier();
	cmad_window_exit();
	cmad_evict_exit();
	cmad_chunk_exit();
	cmad_table_exit();
	cmad_access_exit();
}

module_init(cmad_init);
module_exit(cmad_exit);

MODULE_DESCRIPTION("Cross memory attach: single-copy transfers between processes");
MODULE_AUTHOR("The cma developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(CMAD_VERSION);
