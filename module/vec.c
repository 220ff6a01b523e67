// SPDX-License-Identifier: GPL-2.0
/*
 * Segment lists: from the caller's memory into the kernel, checked in the
 * order in which process_vm_readv() checks them (import_iovec() for the local
 * side, iovec_from_user() for the remote one), which callers can observe.
 *
 * After the import every local segment is known to be user memory
 * (access_ok), so that the engine may use the raw user copies, and every sum
 * of lengths fits in 63 bits.
 */
#include <linux/compat.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "private.h"

/*
 * Both readers return how many segments could be read. Few segments go without
 * the checks of object sizes that copy_from_user() makes.
 */
static unsigned long vec_read_few(struct cmad_vec *vec,
				  struct cma_iovec __user *uvec)
{
	struct cma_iovec *iov = vec->iov;
	struct cma_iovec *end = iov + vec->nr;

	if (!user_access_begin(uvec, vec->nr * sizeof(*uvec)))
		return 0;
	for (; iov < end; iov++, uvec++) {
		unsafe_get_user(iov->base, &uvec->base, fault);
		unsafe_get_user(iov->len, &uvec->len, fault);
	}
fault:
	user_access_end();
	return iov - vec->iov;
}

static unsigned long vec_read_many(struct cmad_vec *vec,
				   struct cma_iovec __user *uvec)
{
	unsigned long missed = copy_from_user(vec->iov, uvec,
					      vec->nr * sizeof(*uvec));

	return vec->nr - DIV_ROUND_UP(missed, sizeof(*uvec));
}

/*
 * Read @nr segments at @addr; with CMA_COPY_SINGLE they are the one segment's
 * length and address themselves.
 */
static int vec_read(struct cmad_vec *vec, u64 addr, u64 nr, u32 flags)
{
	u64 max = flags & CMA_COPY_MANY ? CMAD_MAX_IOV_MANY : UIO_MAXIOV;
	/* What a caller's ssize_t holds; a 32-bit caller's is shorter. */
	u64 max_len = in_compat_syscall() ? S32_MAX : S64_MAX;
	unsigned long got, i;

	vec->iov = vec->fast;
	vec->seg = 0;
	vec->off = 0;
	if (flags & CMA_COPY_SINGLE) {
		vec->nr = 1;
		vec->fast[0].base = addr;
		vec->fast[0].len = nr;
		return nr > max_len ? -EINVAL : 0;
	}

	vec->nr = nr;
	if (nr > max)
		return -EINVAL;
	if (nr <= CMAD_FAST_IOV) {
		got = vec_read_few(vec, u64_to_user_ptr(addr));
	} else {
		/* So long because the caller says so: that alarms nobody. */
		vec->iov = kvmalloc_array(nr, sizeof(*vec->iov),
					  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!vec->iov)
			return -ENOMEM;
		got = vec_read_many(vec, u64_to_user_ptr(addr));
	}
	if (got < nr && !CMAD_CHECKS_AS_READ)
		return -EFAULT;

	for (i = 0; i < got; i++)
		if (vec->iov[i].len > max_len)
			return -EINVAL;
	return got < nr ? -EFAULT : 0;
}

static int local_import(struct cmad_copy *copy, u64 max_bytes, u64 *total)
{
	struct cmad_vec *vec = &copy->local;
	bool trim_first = cmad_trims_first(vec->nr);
	unsigned long i;

	*total = 0;
	for (i = 0; i < vec->nr; i++) {
		struct cma_iovec *iov = &vec->iov[i];
		u64 len = min(iov->len, max_bytes - *total);

		if (!access_ok(u64_to_user_ptr(iov->base),
			       trim_first ? len : iov->len)) {
			copy->fault_side = CMA_FAULT_LOCAL;
			copy->fault_addr = iov->base;
			return -EFAULT;
		}
		iov->len = len;
		*total += len;
	}
	return 0;
}

/*
 * Import both lists. Success with copy->left 0 means that there is nothing to
 * do; the peer must not even be looked up then.
 */
int cmad_copy_import(struct cmad_copy *copy, const struct cma_ioc_copy *args)
{
	u64 max_bytes = args->flags & CMA_COPY_LARGE ? CMAD_MAX_BYTES_LARGE :
						       MAX_RW_COUNT;
	unsigned long i;
	u64 total;
	int rc;

	copy->write = args->flags & CMA_COPY_WRITE;
	copy->lone = false;
	copy->left = 0;
	copy->copied = 0;
	copy->fault_side = CMA_FAULT_NONE;
	copy->remote.iov = copy->remote.fast;

	rc = vec_read(&copy->local, args->local_iov, args->local_cnt,
		      args->flags);
	if (rc)
		return rc;
	rc = local_import(copy, max_bytes, &total);
	if (rc || !total)
		return rc;

	rc = vec_read(&copy->remote, args->remote_iov, args->remote_cnt,
		      args->flags);
	if (rc)
		return rc;
	for (i = 0; i < copy->remote.nr && copy->left < total; i++)
		copy->left += min(copy->remote.iov[i].len, total - copy->left);
	return 0;
}

void cmad_copy_free(struct cmad_copy *copy)
{
	if (copy->local.iov != copy->local.fast)
		kvfree(copy->local.iov);
	if (copy->remote.iov != copy->remote.fast)
		kvfree(copy->remote.iov);
}
