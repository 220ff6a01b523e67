// SPDX-License-Identifier: GPL-2.0
/*
 * The short way: one segment a side, within one page that the cache
 * translates, for a caller whose grant is at hand. It takes no reference: one
 * step (step.h), which is a read side of RCU, leads from the open file to the
 * locked chunk, whose lock keeps the translation true, and past the end of that
 * lock.
 *
 * It answers no question of its own. Whatever is out of the ordinary (no
 * verdict, no translation, a fault on the caller's memory) leaves the copy as
 * it was, for the long way to do from the start.
 */
#include <linux/pid.h>
#include <linux/uaccess.h>

#include "private.h"
#include "step.h"
#include "trace.h"

/* Good for the step. */
static struct cmad_grant *grant_peek(struct cmad_file *cf,
				     const struct cma_ioc_copy *args)
{
	struct cmad_grant *grant;
	struct pid *pid;

	if (args->peer_type == CMA_PEER_HANDLE)
		return cmad_handle_peek(cf, args->peer);
	/* A handle allows no more than its file; a verdict knows no file. */
	if (args->peer_type != CMA_PEER_PID ||
	    !(cf->access & cmad_copy_access(args)))
		return NULL;
	/* Tasks and their credentials want to be looked at under this one. */
	rcu_read_lock();
	pid = find_vpid(args->peer);
	grant = pid ? cmad_verdict_peek(cf, pid) : NULL;
	rcu_read_unlock();
	return grant;
}

/* Bytes not copied. The chunk is locked. */
static unsigned long copy_in_page(const struct cmad_chunk *chunk, u64 addr,
				  const struct cmad_grant *grant,
				  const struct cma_ioc_copy *args)
{
	bool write = args->flags & CMA_COPY_WRITE;
	unsigned long index = (addr & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	unsigned long entry = chunk->entries[index];
	void __user *user = u64_to_user_ptr(args->local_iov);
	void *kaddr = (void *)(entry & PAGE_MASK) + offset_in_page(addr);

	smp_mb__after_atomic(); /* pairs with cmad_steps_wait() */
	if (cmad_grant_ended(grant) ||
	    !(entry & (write ? CMAD_ENTRY_WRITE : CMAD_ENTRY_READ)))
		return args->local_cnt;
	return cmad_step_move(kaddr, user, args->local_cnt, write);
}

/* Whether @grant allows the copy, within its range. */
static bool grant_reaches(const struct cmad_grant *grant,
			  const struct cma_ioc_copy *args)
{
	return grant->access & cmad_copy_access(args) &&
	       args->remote_iov < grant->length &&
	       args->local_cnt <= grant->length - args->remote_iov;
}

/*
 * Whether the copy is done, by @known or else by what the file has. If it is not,
 * @grantp may have become the grant, with a reference.
 */
static __always_inline bool copy_try(struct cmad_file *cf,
				     const struct cma_ioc_copy *args,
				     struct cmad_grant *known,
				     struct cmad_grant **grantp)
{
	unsigned long len = args->local_cnt;
	struct cmad_chunk *chunk = NULL;
	struct cmad_grant *grant;
	unsigned long missed;
	u64 addr;

	cmad_step_begin();
	grant = known ?: grant_peek(cf, args);
	if (grant && grant_reaches(grant, args)) {
		addr = grant->base + args->remote_iov;
		if (offset_in_page(addr) + len <= PAGE_SIZE)
			chunk = cmad_chunk_trylock(grant->space, addr);
	}
	if (!chunk) {
		if (grant && refcount_inc_not_zero(&grant->refs))
			*grantp = grant;
		cmad_step_end();
		return false;
	}

	missed = copy_in_page(chunk, addr, grant, args);
	if (READ_ONCE(chunk->asked))
		cmad_young_mark(chunk, addr & (CMAD_CHUNK_SIZE - 1), len);
	trace_cmad_copy_short(args, chunk, missed);
	up_read(&chunk->lock);
	cmad_step_end();
	if (missed)
		return false;

	cmad_count_copy(cf->moved, len);
	return true;
}

/* What the file has on the pid is out of date: the same, once it was asked for. */
static noinline bool copy_refreshed(struct cmad_file *cf,
				    const struct cma_ioc_copy *args,
				    struct cmad_grant **grantp)
{
	struct cmad_grant *grant = cmad_verdict_refresh(cf, args->peer);
	bool done;

	if (!grant)
		return false;
	done = copy_try(cf, args, grant, grantp);
	cmad_grant_put(grant);
	return done;
}

/*
 * Whether the whole copy is done. The arguments are valid; of them only flags,
 * peer and segments are looked at, which are one a side. If it is not,
 * @grantp may have become the grant, with a reference, so that the long way
 * need not look for it.
 */
bool cmad_copy_short(struct cmad_file *cf, const struct cma_ioc_copy *args,
		     struct cmad_grant **grantp)
{
	unsigned long len = args->local_cnt;

	if (args->local_cnt != args->remote_cnt || len - 1 >= PAGE_SIZE ||
	    !access_ok(u64_to_user_ptr(args->local_iov), len))
		return false;
	if (copy_try(cf, args, NULL, grantp))
		return true;
	return !*grantp && args->peer_type == CMA_PEER_PID &&
	       cf->access & cmad_copy_access(args) &&
	       copy_refreshed(cf, args, grantp);
}
