// SPDX-License-Identifier: GPL-2.0
/*
 * The order of import_iovec()'s checks, asked of the function itself as the
 * module is loaded: no header tells, and where distributions take the
 * declarations of a newer kernel over, they do not always take its code.
 */
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "compat/import.h"

/* As mainline has done it since 6.4. */
struct cmad_import cmad_import __ro_after_init = {
	.as_read = true,
	.trims = true,
};

/* What import_iovec() says to @nr segments at @list. */
static ssize_t __init import(const struct iovec __user *list, unsigned int nr)
{
	struct iovec few[UIO_FASTIOV];
	struct iovec *iov = few;
	struct iov_iter iter;
	ssize_t rc = import_iovec(WRITE, list, nr, ARRAY_SIZE(few), &iov, &iter);

	kfree(iov); /* NULL, where it is few */
	return rc;
}

/* Lists end with the memory at @end. */
static int __init ask(struct iovec __user *end)
{
	const struct iovec negative = { .iov_len = SIZE_MAX };
	const struct iovec nowhere = { (void __user *)-PAGE_SIZE, 1 };
	/* Its first MAX_RW_COUNT bytes may be anybody's. */
	const struct iovec endless = { (void __user *)PAGE_SIZE, LONG_MAX };

	if (copy_to_user(end - 1, &negative, sizeof(negative)) ||
	    copy_to_user(end - 2, &nowhere, sizeof(nowhere)))
		return -EFAULT;
	cmad_import.as_read = import(end - 1, 2) == -EINVAL;
	cmad_import.in_turn = import(end - 2, 2) == -EFAULT;

	if (copy_to_user(end - 1, &endless, sizeof(endless)))
		return -EFAULT;
	cmad_import.trims = import(end - 1, 1) > 0;
	return 0;
}

/* Called in the context of the process that loads the module. */
int __init cmad_import_init(void)
{
	unsigned long addr;
	int rc;

	/* The lists of a 32-bit process have a way of their own there. */
	if (in_compat_syscall())
		return 0;
	addr = vm_mmap(NULL, 0, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	rc = vm_munmap(addr + PAGE_SIZE, PAGE_SIZE);
	if (!rc)
		rc = ask((struct iovec __user *)(addr + PAGE_SIZE));
	vm_munmap(addr, PAGE_SIZE);
	return rc;
}
