// SPDX-License-Identifier: GPL-2.0
/*
 * The door: one table of ioctls, and for each the way in and out of the
 * caller's memory. A structure is read once, with copy_struct_from_user(), so
 * that a caller who changes it meanwhile changes nothing; only out fields are
 * written back.
 */
#include <linux/err.h>
#include <linux/nospec.h>
#include <linux/pid.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "private.h"

#define COPY_FLAGS (CMA_COPY_WRITE | CMA_COPY_MANY | CMA_COPY_LARGE | \
		    CMA_COPY_REPORT | CMA_COPY_STRICT)

union cmad_args {
	struct cma_ioc_info info;
	struct cma_ioc_copy copy;
	struct cma_ioc_open open;
	struct cma_ioc_close close;
};

static long ioctl_info(struct cmad_file *cf, union cmad_args *args,
		       void __user *uarg, u32 size)
{
	const struct cma_ioc_info info = {
		.size = args->info.size,
		.abi_version = CMA_ABI_VERSION,
		.features = CMA_FEATURE_COPY_PID | CMA_FEATURE_COPY_PIDFD |
			    CMA_FEATURE_COPY_HANDLE | CMA_FEATURE_MANY |
			    CMA_FEATURE_LARGE | CMA_FEATURE_REPORT |
			    CMA_FEATURE_STRICT,
		.max_iov = UIO_MAXIOV,
		.max_iov_many = CMAD_MAX_IOV_MANY,
		.max_bytes = MAX_RW_COUNT,
		.max_bytes_large = CMAD_MAX_BYTES_LARGE,
		.max_handles = CMAD_MAX_HANDLES,
		.verdict_ms = cmad_verdict_ms,
		.version = CMAD_VERSION,
	};

	return copy_to_user(uarg, &info, size) ? -EFAULT : 0;
}

/* The peer's address space for one operation, or an ERR_PTR. */
static struct mm_struct *copy_peer_mm(struct cmad_file *cf,
				      const struct cma_ioc_copy *args)
{
	bool strict = args->flags & CMA_COPY_STRICT;
	struct mm_struct *mm;
	struct pid *pid;

	if (args->peer_type == CMA_PEER_HANDLE)
		return cmad_handle_mm(cf, args->peer, strict);

	pid = cmad_peer_pid(args->peer_type, args->peer);
	if (IS_ERR(pid))
		return ERR_CAST(pid);
	mm = cmad_access_mm(cf, pid, strict);
	put_pid(pid);
	return mm;
}

static int copy_report(const struct cmad_copy *copy,
		       struct cma_ioc_copy __user *uarg)
{
	if (put_user(copy->fault_addr, &uarg->fault_addr) ||
	    put_user(copy->fault_side, &uarg->fault_side))
		return -EFAULT;
	return 0;
}

static long ioctl_copy(struct cmad_file *cf, union cmad_args *uargs,
		       void __user *uarg, u32 size)
{
	const struct cma_ioc_copy *args = &uargs->copy;
	struct cma_ioc_copy __user *out = uarg;
	struct cmad_copy copy CMAD_UNINITIALIZED;
	struct mm_struct *mm;
	int rc;

	if (args->flags & ~COPY_FLAGS || args->reserved ||
	    args->peer_type < CMA_PEER_PID || args->peer_type > CMA_PEER_HANDLE)
		return -EINVAL;

	/* A structure that cannot be written must not show after the copy. */
	if (put_user(0, &out->copied))
		return -EFAULT;

	rc = cmad_copy_import(&copy, args);
	if (!rc && copy.left) {
		mm = copy_peer_mm(cf, args);
		rc = PTR_ERR_OR_ZERO(mm);
		if (!rc) {
			rc = cmad_copy_run(&copy, mm);
			mmput(mm);
		}
	}
	cmad_copy_free(&copy);

	if (!rc && put_user(copy.copied, &out->copied))
		rc = -EFAULT;
	if (args->flags & CMA_COPY_REPORT && copy.fault_side &&
	    copy_report(&copy, out))
		rc = -EFAULT;
	return rc;
}

static long ioctl_open(struct cmad_file *cf, union cmad_args *uargs,
		       void __user *uarg, u32 size)
{
	const struct cma_ioc_open *args = &uargs->open;
	struct cma_ioc_open __user *out = uarg;
	struct pid *pid;
	int id;

	if (args->flags || args->reserved)
		return -EINVAL;
	if (args->peer_type == CMA_PEER_HANDLE)
		return -EOPNOTSUPP;
	if (args->peer_type != CMA_PEER_PID &&
	    args->peer_type != CMA_PEER_PIDFD)
		return -EINVAL;

	pid = cmad_peer_pid(args->peer_type, args->peer);
	if (IS_ERR(pid))
		return PTR_ERR(pid);
	id = cmad_handle_open(cf, pid);
	put_pid(pid);
	if (id < 0)
		return id;

	if (put_user(id, &out->handle)) {
		cmad_handle_close(cf, id);
		return -EFAULT;
	}
	return 0;
}

static long ioctl_close(struct cmad_file *cf, union cmad_args *args,
			void __user *uarg, u32 size)
{
	return cmad_handle_close(cf, args->close.handle);
}

/**
 * struct cmad_op - one ioctl
 * @size: of its structure, as this module knows it
 * @min_size: of its structure's first version
 * @run: the handler; gets the structure, zero beyond what the caller gave,
 *	where it came from, and how much of it may be written back
 */
struct cmad_op {
	u32 size;
	u32 min_size;
	long (*run)(struct cmad_file *cf, union cmad_args *args,
		    void __user *uarg, u32 size);
};

static const struct cmad_op cmad_ops[] = {
	[CMA_IOC_NR_INFO] = {
		sizeof(struct cma_ioc_info),
		offsetofend(struct cma_ioc_info, version),
		ioctl_info,
	},
	[CMA_IOC_NR_COPY] = {
		sizeof(struct cma_ioc_copy),
		offsetofend(struct cma_ioc_copy, reserved),
		ioctl_copy,
	},
	[CMA_IOC_NR_OPEN] = {
		sizeof(struct cma_ioc_open),
		offsetofend(struct cma_ioc_open, reserved),
		ioctl_open,
	},
	[CMA_IOC_NR_CLOSE] = {
		sizeof(struct cma_ioc_close),
		offsetofend(struct cma_ioc_close, handle),
		ioctl_close,
	},
};

long cmad_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	const struct cmad_op *op;
	unsigned int nr = _IOC_NR(cmd);
	union cmad_args args CMAD_UNINITIALIZED;
	u32 size;
	int rc;

	if (nr >= ARRAY_SIZE(cmad_ops) || cmd != _IO(CMA_IOC_MAGIC, nr))
		return -ENOTTY;
	op = &cmad_ops[array_index_nospec(nr, ARRAY_SIZE(cmad_ops))];

	if (get_user(size, (u32 __user *)uarg))
		return -EFAULT;
	if (size < op->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	rc = copy_struct_from_user(&args, op->size, uarg, size);
	if (rc)
		return rc;

	return op->run(file->private_data, &args, uarg, min(size, op->size));
}
