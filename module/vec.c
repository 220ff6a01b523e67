// SPDX-License-Identifier: GPL-2.0
/*
 * Segment lists: from the caller's memory into the kernel, checked in the
 * order in which process_vm_readv() checks them (import_iovec() for the local
 * side, iovec_from_user() for the remote one), which callers can observe. Where
 * kernels differ in it, compat/import.c has asked this one.
 *
 * After the import every local segment is known to be user memory
 * (access_ok), so that the engine may use the raw user copies, every sum of
 * lengths fits in 63 bits, and no segment is empty: to pass over tens of
 * thousands of those would be too long for a step.
 */
#include <linux/compat.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "compat/import.h"
#include "copy.h"

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
 * A list that process_vm_readv() takes costs its caller what it does there, and
 * no cgroup anything. A longer one, which is so because the caller says so, is
 * charged; where there is no room the call fails, and nobody is alarmed or killed.
 */
static gfp_t list_gfp(u64 nr)
{
	if (nr <= UIO_MAXIOV)
		return GFP_KERNEL;
	return GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
}

/* Whether @len bytes of a local segment are the caller's to name. */
static bool is_local(struct cmad_copy *copy, const struct cma_iovec *iov,
		     u64 len)
{
	if (access_ok(u64_to_user_ptr(iov->base), len))
		return true;
	copy->fault_side = CMA_FAULT_LOCAL;
	copy->fault_addr = iov->base;
	return false;
}

/*
 * Read @nr segments at @addr; with CMA_COPY_SINGLE they are the one segment's
 * length and address themselves.
 */
static int vec_read(struct cmad_copy *copy, struct cmad_vec *vec, u64 addr,
		    u64 nr, u32 flags)
{
	bool in_turn = cmad_import.in_turn && vec == &copy->local;
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
		vec->iov = kvmalloc_array(nr, sizeof(*vec->iov), list_gfp(nr));
		if (!vec->iov)
			return -ENOMEM;
		got = vec_read_many(vec, u64_to_user_ptr(addr));
	}
	if (got < nr && !cmad_import.as_read)
		return -EFAULT;

	for (i = 0; i < got; i++) {
		if (vec->iov[i].len > max_len)
			return -EINVAL;
		if (in_turn && !is_local(copy, &vec->iov[i], vec->iov[i].len))
			return -EFAULT;
	}
	return got < nr ? -EFAULT : 0;
}

static int local_import(struct cmad_copy *copy, u64 max_bytes, u64 *total)
{
	struct cmad_vec *vec = &copy->local;
	bool trim_first = cmad_import.trims && vec->nr == 1;
	unsigned long i, nr = 0;

	*total = 0;
	for (i = 0; i < vec->nr; i++) {
		const struct cma_iovec *iov = &vec->iov[i];
		u64 len = min(iov->len, max_bytes - *total);

		if (!is_local(copy, iov, trim_first ? len : iov->len))
			return -EFAULT;
		*total += len;
		if (len) {
			vec->iov[nr].base = iov->base;
			vec->iov[nr++].len = len;
		}
	}
	vec->nr = nr;
	return 0;
}

/* How much there is for the @max bytes of the other side. */
static u64 remote_import(struct cmad_vec *vec, u64 max)
{
	unsigned long i, nr = 0;
	u64 total = 0;

	for (i = 0; i < vec->nr && total < max; i++) {
		total += min(vec->iov[i].len, max - total);
		if (vec->iov[i].len)
			vec->iov[nr++] = vec->iov[i];
	}
	vec->nr = nr;
	return total;
}

/* Whether process_vm_readv() would have refused it, or taken less. */
static bool is_beyond(const struct cmad_copy *copy,
		      const struct cma_ioc_copy *args)
{
	return copy->left > MAX_RW_COUNT ||
	       (!(args->flags & CMA_COPY_SINGLE) &&
		max(args->local_cnt, args->remote_cnt) > UIO_MAXIOV);
}

/*
 * Import both lists. Success with copy->left 0 means that there is nothing to
 * do; the peer must not even be looked up then.
 */
int cmad_copy_import(struct cmad_copy *copy, const struct cma_ioc_copy *args)
{
	u64 max_bytes = args->flags & CMA_COPY_LARGE ? CMAD_MAX_BYTES_LARGE :
						       MAX_RW_COUNT;
	u64 total;
	int rc;

	copy->write = args->flags & CMA_COPY_WRITE;
	copy->lone = false;
	copy->poor = false;
	copy->left = 0;
	copy->copied = 0;
	copy->fault_side = CMA_FAULT_NONE;
	copy->remote.iov = copy->remote.fast;

	rc = vec_read(copy, &copy->local, args->local_iov, args->local_cnt,
		      args->flags);
	if (rc)
		return rc;
	rc = local_import(copy, max_bytes, &total);
	if (rc || !total)
		return rc;

	rc = vec_read(copy, &copy->remote, args->remote_iov, args->remote_cnt,
		      args->flags);
	if (rc)
		return rc;
	copy->left = remote_import(&copy->remote, total);
	copy->interruptible = is_beyond(copy, args);
	return 0;
}

/* @done bytes, which are less than there are, of one segment a side are copied. */
void cmad_copy_skip(struct cmad_copy *copy, u64 done)
{
	copy->local.off = done;
	copy->remote.off = done;
	copy->copied = done;
	copy->left -= done;
}

void cmad_copy_free(struct cmad_copy *copy)
{
	if (copy->local.iov != copy->local.fast)
		kvfree(copy->local.iov);
	if (copy->remote.iov != copy->remote.fast)
		kvfree(copy->remote.iov);
}
