// SPDX-License-Identifier: GPL-2.0
/*
 * The short way: one segment a side, within one page that the cache
 * translates, for a caller whose grant is at hand. It takes no reference: one
 * RCU section leads from the open file to the locked chunk, whose lock keeps
 * the translation true, and past the end of that lock.
 *
 * It answers no question of its own. Whatever is out of the ordinary (no
 * verdict, no translation, a fault on the caller's memory) leaves the copy as
 * it was, for the long way to do from the start.
 */
#include <linux/pid.h>
#include <linux/uaccess.h>

#include "private.h"
#include "trace.h"

static struct cmad_grant *grant_peek(struct cmad_file *cf,
				     const struct cma_ioc_copy *args)
{
	struct pid *pid;

	if (args->peer_type == CMA_PEER_HANDLE)
		return cmad_handle_peek(cf, args->peer);
	if (args->peer_type != CMA_PEER_PID)
		return NULL;
	pid = find_vpid(args->peer);
	return pid ? cmad_verdict_peek(cf, pid) : NULL;
}

/* Bytes not copied. The chunk is locked. */
static unsigned long copy_in_page(const struct cmad_chunk *chunk, u64 addr,
				  const struct cma_ioc_copy *args)
{
	unsigned long index = (addr & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	unsigned long entry = chunk->entries[index];
	void __user *user = u64_to_user_ptr(args->local_iov);
	void *kaddr = (void *)(entry & PAGE_MASK) + offset_in_page(addr);
	unsigned long missed = args->local_cnt;

	pagefault_disable();
	if (args->flags & CMA_COPY_WRITE) {
		if (entry & CMAD_ENTRY_WRITE)
			missed = raw_copy_from_user(kaddr, user, missed);
	} else if (entry & CMAD_ENTRY_READ) {
		missed = raw_copy_to_user(user, kaddr, missed);
	}
	pagefault_enable();
	return missed;
}

/* Whether @grant allows the copy, within its range. */
static bool grant_reaches(const struct cmad_grant *grant,
			  const struct cma_ioc_copy *args)
{
	u32 access = args->flags & CMA_COPY_WRITE ? CMA_ACCESS_WRITE :
						    CMA_ACCESS_READ;

	return grant->access & access && args->remote_iov < grant->length &&
	       args->local_cnt <= grant->length - args->remote_iov &&
	       !(grant->window && READ_ONCE(grant->window->ended));
}

/*
 * Whether the whole copy is done. The arguments are valid. If it is not,
 * @grantp may have become the grant, with a reference, so that the long way
 * need not look for it.
 */
bool cmad_copy_short(struct cmad_file *cf, const struct cma_ioc_copy *args,
		     struct cmad_grant **grantp)
{
	unsigned long len = args->local_cnt;
	struct cmad_chunk *chunk = NULL;
	struct cmad_grant *grant;
	unsigned long missed;
	u64 addr;

	if (args->local_cnt != args->remote_cnt || len - 1 >= PAGE_SIZE ||
	    !access_ok(u64_to_user_ptr(args->local_iov), len))
		return false;

	rcu_read_lock();
	grant = grant_peek(cf, args);
	if (grant && grant_reaches(grant, args)) {
		addr = grant->base + args->remote_iov;
		if (offset_in_page(addr) + len <= PAGE_SIZE)
			chunk = cmad_chunk_trylock(grant->space, addr);
	}
	if (!chunk) {
		if (grant && refcount_inc_not_zero(&grant->refs))
			*grantp = grant;
		rcu_read_unlock();
		return false;
	}

	missed = copy_in_page(chunk, addr, args);
	trace_cmad_copy_short(args, chunk, missed);
	up_read(&chunk->lock);
	rcu_read_unlock();
	if (missed)
		return false;

	cmad_count(copies, 1);
	cmad_count(bytes, len);
	return true;
}
