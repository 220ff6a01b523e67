// SPDX-License-Identifier: GPL-2.0
/*
 * The door: one table of ioctls, and for each the way in and out of the
 * caller's memory. A structure is read once, so that a caller who changes it
 * meanwhile changes nothing; only out fields are written back. Copies, which
 * are short and many, pass by the table where they can.
 */
#include <linux/err.h>
#include <linux/nospec.h>
#include <linux/pid.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "compat/reading.h"
#include "compat/vector.h"
#include "copy.h"
#include "file.h"
#include "view.h"

#define COPY_FLAGS (CMA_COPY_WRITE | CMA_COPY_MANY | CMA_COPY_LARGE | \
		    CMA_COPY_REPORT | CMA_COPY_STRICT | CMA_COPY_SINGLE | \
		    CMA_COPY_KNOWN)

#define FEATURES_OF_COPIES                                              \
	(CMA_FEATURE_COPY_PID | CMA_FEATURE_COPY_PIDFD |                \
	 CMA_FEATURE_COPY_HANDLE | CMA_FEATURE_MANY |                   \
	 CMA_FEATURE_LARGE | CMA_FEATURE_REPORT | CMA_FEATURE_STRICT |  \
	 CMA_FEATURE_SINGLE | CMA_FEATURE_WINDOW | CMA_FEATURE_KNOWN |  \
	 CMA_FEATURE_LENGTH | CMA_FEATURE_PUBLISH)
#define FEATURES_OF_MAPPINGS \
	(CMA_FEATURE_MAP | CMA_FEATURE_POPULATE | CMA_FEATURE_SHOW)

union cmad_args {
	struct cma_ioc_info info;
	struct cma_ioc_copy copy;
	struct cma_ioc_open open;
	struct cma_ioc_close close;
	struct cma_ioc_window_create window_create;
	struct cma_ioc_window_destroy window_destroy;
	struct cma_ioc_populate populate;
	struct cma_ioc_show show;
	struct cma_ioc_reduce reduce;
};

static long ioctl_info(struct cmad_file *cf, union cmad_args *args,
		       void __user *uarg, u32 size)
{
	const struct cma_ioc_info info = {
		.size = args->info.size,
		.abi_version = CMA_ABI_VERSION,
		.features = FEATURES_OF_COPIES |
			    (CMAD_READS_TABLES ? FEATURES_OF_MAPPINGS : 0) |
			    (CMAD_READS_TABLES && cmad_has_vectors() ?
			     CMA_FEATURE_REDUCE : 0),
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

/*
 * The caller's grant for the peer with a reference, or an ERR_PTR. Of @flags,
 * CMA_COPY_STRICT and CMA_COPY_KNOWN count.
 */
static struct cmad_grant *peer_grant(struct cmad_file *cf, u32 type, s32 id,
				     u32 flags)
{
	struct cmad_grant *grant;
	struct pid *pid;

	if (type == CMA_PEER_HANDLE)
		return cmad_handle_grant(cf, id, flags & CMA_COPY_STRICT);

	pid = cmad_peer_pid(type, id);
	if (IS_ERR(pid))
		return ERR_CAST(pid);
	grant = cmad_verdict_grant(cf, type, pid, flags);
	put_pid(pid);
	return grant;
}

static int copy_report(const struct cmad_copy *copy,
		       struct cma_ioc_copy __user *uarg)
{
	if (put_user(copy->fault_addr, &uarg->fault_addr) ||
	    put_user(copy->fault_side, &uarg->fault_side))
		return -EFAULT;
	return 0;
}

/*
 * The long way, which every copy can go. Takes over @grant, if there is one. Of a
 * copy with CMA_COPY_SINGLE the first @args->copied bytes are done, but not all.
 */
static noinline long copy_long(struct cmad_file *cf,
			       const struct cma_ioc_copy *args,
			       struct cma_ioc_copy __user *out,
			       struct cmad_grant *grant)
{
	struct cmad_copy copy CMAD_UNINITIALIZED;
	int rc;

	/* Asked before all else; the short way knows by the grant. */
	if (!(cf->access & cmad_copy_access(args))) {
		if (grant)
			cmad_grant_put(grant);
		return -EBADF;
	}
	rc = cmad_copy_import(&copy, args);
	if (!rc && args->copied)
		cmad_copy_skip(&copy, args->copied);
	if (!rc && copy.left) {
		if (!grant)
			grant = peer_grant(cf, args->peer_type, args->peer,
					   args->flags);
		rc = PTR_ERR_OR_ZERO(grant);
		if (!rc)
			rc = cmad_copy_run(cf, &copy, grant);
		else if (copy.copied)
			rc = 0;
	}
	if (!IS_ERR_OR_NULL(grant))
		cmad_grant_put(grant);
	cmad_copy_free(&copy);

	if (!rc && put_user(copy.copied, &out->copied))
		rc = -EFAULT;
	if (args->flags & CMA_COPY_REPORT && copy.fault_side &&
	    copy_report(&copy, out))
		rc = -EFAULT;
	return rc;
}

/*
 * Lists of one segment a side become what CMA_COPY_SINGLE has in their place, which
 * asks for the same. False, with @args as they were, if there are more, or the
 * lists cannot be read, which is for the long way to tell in its order.
 */
static __always_inline bool copy_lists_single(struct cma_ioc_copy *args)
{
	const struct cma_iovec __user *local = u64_to_user_ptr(args->local_iov);
	const struct cma_iovec __user *remote =
		u64_to_user_ptr(args->remote_iov);
	struct cma_iovec here, there;

	if (args->local_cnt != 1 || args->remote_cnt != 1 ||
	    !access_ok(remote, sizeof(*remote)) ||
	    !user_access_begin(local, sizeof(*local)))
		return false;
	unsafe_get_user(here.base, &local->base, fault);
	unsafe_get_user(here.len, &local->len, fault);
	unsafe_get_user(there.base, &remote->base, fault);
	unsafe_get_user(there.len, &remote->len, fault);
	user_access_end();
	args->flags |= CMA_COPY_SINGLE;
	args->local_iov = here.base;
	args->local_cnt = here.len;
	args->remote_iov = there.base;
	args->remote_cnt = there.len;
	return true;

fault:
	user_access_end();
	return false;
}

/* The copy that @args ask for; @copied of them, and of @out, is 0. */
static __always_inline long copy_any(struct cmad_file *cf,
				     struct cma_ioc_copy *args,
				     struct cma_ioc_copy __user *out)
{
	const u32 forms = CMA_COPY_SINGLE | CMA_COPY_STRICT;
	struct cmad_grant *grant = NULL;

	if (args->flags & ~COPY_FLAGS || args->reserved ||
	    !cmad_peer_is_copied(args->peer_type))
		return -EINVAL;

	/* A strict copy has its caller judged first. */
	if ((args->flags & forms ? (args->flags & forms) == CMA_COPY_SINGLE :
				   copy_lists_single(args)) &&
	    cmad_copy_short(cf, args, &grant))
		return put_user(args->local_cnt, &out->copied);
	return copy_long(cf, args, out, grant);
}

/*
 * What a copy needs of the structure, for a caller who knows it as we do; else,
 * and where it cannot be had, false. It is written to first of all: one that
 * cannot be written must not show after the copy.
 */
static __always_inline bool copy_args(struct cma_ioc_copy *args,
				      struct cma_ioc_copy __user *uarg)
{
	if (!user_access_begin(uarg, sizeof(*uarg)))
		return false;
	unsafe_get_user(args->size, &uarg->size, fault);
	if (args->size != sizeof(*args))
		goto fault;
	unsafe_put_user(0, &uarg->copied, fault);
	args->copied = 0;
	unsafe_get_user(args->flags, &uarg->flags, fault);
	unsafe_get_user(args->peer_type, &uarg->peer_type, fault);
	unsafe_get_user(args->peer, &uarg->peer, fault);
	unsafe_get_user(args->local_iov, &uarg->local_iov, fault);
	unsafe_get_user(args->remote_iov, &uarg->remote_iov, fault);
	unsafe_get_user(args->local_cnt, &uarg->local_cnt, fault);
	unsafe_get_user(args->remote_cnt, &uarg->remote_cnt, fault);
	unsafe_get_user(args->reserved, &uarg->reserved, fault);
	user_access_end();
	return true;

fault:
	user_access_end();
	return false;
}

static long ioctl_copy(struct cmad_file *cf, union cmad_args *uargs,
		       void __user *uarg, u32 size)
{
	struct cma_ioc_copy __user *out = uarg;

	if (put_user(0, &out->copied))
		return -EFAULT;
	uargs->copy.copied = 0;
	return copy_any(cf, &uargs->copy, out);
}

/* The grant that a new handle is to hold, or an ERR_PTR. */
static struct cmad_grant *open_grant(const struct cma_ioc_open *args)
{
	struct cmad_grant *grant;
	struct cmad_window *window;
	struct pid *pid;

	if (args->peer_type == CMA_PEER_WINDOW) {
		window = cmad_window_find(args->window);
		if (!window)
			return ERR_PTR(-ENOENT);
		return cmad_access_window(window, args->access,
					  GFP_KERNEL_ACCOUNT);
	}

	pid = cmad_peer_pid(args->peer_type, args->peer);
	if (IS_ERR(pid))
		return ERR_CAST(pid);
	if (args->peer_type == CMA_PEER_PUBLISHED)
		grant = cmad_access_published(pid, args->access,
					      GFP_KERNEL_ACCOUNT);
	else
		grant = cmad_access_judge(pid, NULL, GFP_KERNEL_ACCOUNT);
	put_pid(pid);
	return grant;
}

static long ioctl_open(struct cmad_file *cf, union cmad_args *uargs,
		       void __user *uarg, u32 size)
{
	const struct cma_ioc_open *args = &uargs->open;
	struct cma_ioc_open __user *out = uarg;
	struct cmad_grant *grant;
	u64 length;
	u32 access;
	int id;

	if (args->peer_type == CMA_PEER_HANDLE)
		return -EOPNOTSUPP;
	if (args->flags || args->peer_type < CMA_PEER_PID ||
	    args->peer_type > CMA_PEER_PUBLISHED ||
	    args->access & ~(CMA_ACCESS_READ | CMA_ACCESS_WRITE) ||
	    (args->peer_type == CMA_PEER_WINDOW ? args->peer : args->window))
		return -EINVAL;
	if (!cf->access || args->access & ~cf->access)
		return -EBADF;

	grant = open_grant(args);
	if (IS_ERR(grant))
		return PTR_ERR(grant);
	access = (args->access ?: grant->access) & cf->access;
	if (!access) {
		cmad_grant_put(grant);
		return -EBADF;
	}
	/* Nobody else knows it yet. */
	grant->access = access;
	length = grant->length;
	id = cmad_handle_open(cf, grant);
	if (id < 0)
		return id;

	if (!user_access_begin(out, size))
		goto close;
	unsafe_put_user(access, &out->access, fault);
	unsafe_put_user(id, &out->handle, fault);
	if (size >= offsetofend(struct cma_ioc_open, length))
		unsafe_put_user(length, &out->length, fault);
	user_access_end();
	return 0;

fault:
	user_access_end();
close:
	cmad_handle_close(cf, id);
	return -EFAULT;
}

static long ioctl_close(struct cmad_file *cf, union cmad_args *args,
			void __user *uarg, u32 size)
{
	return cmad_handle_close(cf, args->close.handle);
}

static long ioctl_window_create(struct cmad_file *cf, union cmad_args *args,
				void __user *uarg, u32 size)
{
	struct cma_ioc_window_create __user *out = uarg;
	int rc;

	rc = cmad_window_create(cf, &args->window_create);
	if (!rc && put_user(args->window_create.window, &out->window)) {
		cmad_window_destroy(cf, args->window_create.window);
		rc = -EFAULT;
	}
	return rc;
}

static long ioctl_window_destroy(struct cmad_file *cf, union cmad_args *args,
				 void __user *uarg, u32 size)
{
	if (args->window_destroy.reserved)
		return -EINVAL;
	return cmad_window_destroy(cf, args->window_destroy.window);
}

static long ioctl_populate(struct cmad_file *cf, union cmad_args *args,
			   void __user *uarg, u32 size)
{
	return cmad_populate(&args->populate);
}

static long ioctl_show(struct cmad_file *cf, union cmad_args *args,
		       void __user *uarg, u32 size)
{
	return cmad_show(&args->show);
}

static long ioctl_reduce(struct cmad_file *cf, union cmad_args *uargs,
			 void __user *uarg, u32 size)
{
	struct cmad_grant *grants[CMA_REDUCE_OPERANDS];
	struct cma_ioc_reduce *args = &uargs->reduce;
	struct cma_ioc_reduce __user *out = uarg;
	unsigned int nr = 0;
	int rc;

	if (put_user(0, &out->reduced))
		return -EFAULT;
	rc = cmad_reduce_check(args);
	if (!rc && !(cf->access & CMA_ACCESS_READ))
		rc = -EBADF;
	while (!rc && nr < args->operand_cnt) {
		const struct cma_ioc_operand *operand = &args->operand[nr];

		grants[nr] = peer_grant(cf, operand->peer_type, operand->peer,
					args->flags);
		rc = PTR_ERR_OR_ZERO(grants[nr]);
		nr += !rc;
	}
	if (!rc)
		rc = cmad_reduce(cf, args, grants);
	while (nr)
		cmad_grant_put(grants[--nr]);
	return rc ?: put_user(args->reduced, &out->reduced);
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
		.size = sizeof(struct cma_ioc_info),
		.min_size = offsetofend(struct cma_ioc_info, version),
		.run = ioctl_info,
	},
	[CMA_IOC_NR_COPY] = {
		.size = sizeof(struct cma_ioc_copy),
		.min_size = offsetofend(struct cma_ioc_copy, reserved),
		.run = ioctl_copy,
	},
	[CMA_IOC_NR_OPEN] = {
		.size = sizeof(struct cma_ioc_open),
		.min_size = offsetofend(struct cma_ioc_open, handle),
		.run = ioctl_open,
	},
	[CMA_IOC_NR_CLOSE] = {
		.size = sizeof(struct cma_ioc_close),
		.min_size = offsetofend(struct cma_ioc_close, handle),
		.run = ioctl_close,
	},
	[CMA_IOC_NR_WINDOW_CREATE] = {
		.size = sizeof(struct cma_ioc_window_create),
		.min_size = offsetofend(struct cma_ioc_window_create, window),
		.run = ioctl_window_create,
	},
	[CMA_IOC_NR_WINDOW_DESTROY] = {
		.size = sizeof(struct cma_ioc_window_destroy),
		.min_size = offsetofend(struct cma_ioc_window_destroy, window),
		.run = ioctl_window_destroy,
	},
	[CMA_IOC_NR_POPULATE] = {
		.size = sizeof(struct cma_ioc_populate),
		.min_size = offsetofend(struct cma_ioc_populate, length),
		.run = ioctl_populate,
	},
	[CMA_IOC_NR_SHOW] = {
		.size = sizeof(struct cma_ioc_show),
		.min_size = offsetofend(struct cma_ioc_show, length),
		.run = ioctl_show,
	},
	[CMA_IOC_NR_REDUCE] = {
		.size = sizeof(struct cma_ioc_reduce),
		.min_size = sizeof(struct cma_ioc_reduce),
		.run = ioctl_reduce,
	},
};

/* Read the structure in. Most callers know it as we do: no length to be checked. */
static int args_import(union cmad_args *args, const void __user *uarg, u32 size,
		       u32 known)
{
	if (size != known)
		return copy_struct_from_user(args, known, uarg, size);
	if (!access_ok(uarg, known))
		return -EFAULT;
	barrier_nospec(); /* as copy_from_user() has it */
	return raw_copy_from_user(args, uarg, known) ? -EFAULT : 0;
}

/* Whatever its structure's version, and whatever it is. */
static noinline long ioctl_any(struct cmad_file *cf, unsigned int cmd,
			       void __user *uarg)
{
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
	rc = args_import(&args, uarg, size, op->size);
	if (rc)
		return rc;

	return op->run(cf, &args, uarg, min(size, op->size));
}

long cmad_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct cma_ioc_copy args CMAD_UNINITIALIZED;
	struct cmad_file *cf = file->private_data;
	void __user *uarg = (void __user *)arg;

	if (cmd == CMA_IOC_COPY && copy_args(&args, uarg))
		return copy_any(cf, &args, uarg);
	return ioctl_any(cf, cmd, uarg);
}
