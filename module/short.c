// SPDX-License-Identifier: GPL-2.0
/*
 * The short way: one segment a side, in one step, for a caller whose grant is at
 * hand. Where the cache translates the pages, it takes no reference: one step
 * (step.h), which is a read side of RCU, leads from the open file to the locked
 * chunk, whose lock keeps the translation true, and past the end of that lock.
 * Where it does not know a page, and is not to, that is held, as the engine holds
 * many (copy.c).
 *
 * It answers no question of its own. Whatever is out of the ordinary (no
 * verdict, no page, one to be translated, a fault on the caller's memory) is for
 * the long way, which goes on behind the bytes that were copied. For a copy within
 * a page these are none.
 */
#include <linux/pid.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "chunk.h"
#include "copy.h"
#include "file.h"
#include "step.h"
#include "trace.h"

/* What goes this way; for more, the long way costs no more than a fiftieth. */
#define SHORT_BYTES min(SZ_64K, CMAD_STEP_BYTES)

/* Good for the step. */
static __always_inline struct cmad_grant *
grant_peek(struct cmad_file *cf, const struct cma_ioc_copy *args)
{
	struct cmad_grant *grant;
	struct pid *pid;

	if (args->peer_type == CMA_PEER_HANDLE)
		return cmad_handle_peek(cf, args->peer);
	/* A handle allows no more than its file; a verdict knows no file. */
	if (!cmad_peer_is_pid(args->peer_type) ||
	    !(cf->access & cmad_copy_access(args)))
		return NULL;
	/* Tasks and their credentials want to be looked at under this one. */
	rcu_read_lock();
	pid = find_vpid(args->peer);
	grant = pid ? cmad_verdict_peek(cf, args->peer_type, pid) : NULL;
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
	unsigned long entry = cmad_entry(chunk, index);
	void __user *user = u64_to_user_ptr(args->local_iov);
	void *kaddr = (void *)(entry & PAGE_MASK) + offset_in_page(addr);

	smp_mb__after_atomic(); /* pairs with cmad_steps_wait() */
	if (cmad_grant_ended(grant) ||
	    !(entry & (write ? CMAD_ENTRY_WRITE : CMAD_ENTRY_READ)))
		return args->local_cnt;
	return cmad_step_move(kaddr, user, args->local_cnt, write);
}

/*
 * Bytes copied from or to pages of one chunk, from @addr on, as far as it
 * translates them. One that is due to be mapped in one piece is left alone, since
 * the long way does that.
 */
static noinline unsigned long copy_in_chunk(const struct cmad_grant *grant,
					    u64 addr,
					    const struct cma_ioc_copy *args)
{
	struct cmad_chunk *chunk = cmad_chunk_trylock(grant->space, addr);
	unsigned long offset = addr & (CMAD_CHUNK_SIZE - 1);
	unsigned long done = 0;

	if (!chunk)
		return 0;
	smp_mb__after_atomic(); /* pairs with cmad_steps_wait() */
	if (!cmad_grant_ended(grant) &&
	    READ_ONCE(chunk->carried) < READ_ONCE(chunk->vmap_look))
		done = cmad_copy_translated(chunk, offset,
					    u64_to_user_ptr(args->local_iov),
					    args->local_cnt,
					    args->flags & CMA_COPY_WRITE);
	if (READ_ONCE(chunk->asked))
		cmad_young_mark(chunk, offset, done);
	trace_cmad_copy_short(args, chunk, NULL, args->local_cnt - done);
	up_read(&chunk->lock);
	return done;
}

/* Whether @grant allows the copy, within its range. */
static __always_inline bool grant_reaches(const struct cmad_grant *grant,
					  const struct cma_ioc_copy *args)
{
	return grant->access & cmad_copy_access(args) &&
	       args->remote_iov < grant->length &&
	       args->local_cnt <= grant->length - args->remote_iov;
}

/*
 * Whether the copy is done, by @known or else by what the file has. If it is not,
 * @args->copied bytes are, and @grantp may have become the grant, with a reference.
 */
static __always_inline bool copy_try(struct cmad_file *cf,
				     struct cma_ioc_copy *args,
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
		else if ((addr & (CMAD_CHUNK_SIZE - 1)) + len <= CMAD_CHUNK_SIZE)
			args->copied = copy_in_chunk(grant, addr, args);
	}
	if (!chunk) {
		if (args->copied != len && grant &&
		    refcount_inc_not_zero(&grant->refs))
			*grantp = grant;
		cmad_step_end();
		if (args->copied == len)
			cmad_count_copy(cf->moved, len);
		return args->copied == len;
	}

	missed = copy_in_page(chunk, addr, grant, args);
	if (READ_ONCE(chunk->asked))
		cmad_young_mark(chunk, addr & (CMAD_CHUNK_SIZE - 1), len);
	trace_cmad_copy_short(args, chunk, NULL, missed);
	up_read(&chunk->lock);
	cmad_step_end();
	if (missed)
		return false;

	cmad_count_copy(cf->moved, len);
	return true;
}

/* The grant with a reference, or NULL. */
static struct cmad_grant *grant_hold(struct cmad_file *cf,
				     const struct cma_ioc_copy *args)
{
	struct cmad_grant *grant;

	cmad_step_begin();
	grant = grant_peek(cf, args);
	if (grant && !refcount_inc_not_zero(&grant->refs))
		grant = NULL;
	cmad_step_end();
	return grant;
}

/* Bytes not copied. The page is held, and may not be the peer's any more. */
static unsigned long copy_by_page(struct page *page, u64 addr,
				  const struct cmad_grant *grant,
				  const struct cma_ioc_copy *args)
{
	unsigned long missed = args->local_cnt;

	cmad_step_begin();
	smp_mb(); /* pairs with cmad_steps_wait() */
	if (!cmad_grant_ended(grant) && !cmad_space_is_dead(grant->space))
		missed = cmad_step_move(page_address(page) +
					offset_in_page(addr),
					u64_to_user_ptr(args->local_iov),
					args->local_cnt,
					args->flags & CMA_COPY_WRITE);
	trace_cmad_copy_short(args, NULL, grant->space, missed);
	cmad_step_end();
	return missed;
}

/* Whether the copy is done without the cache. The caller holds the grant. */
static bool copy_uncached(struct cmad_file *cf,
			  const struct cma_ioc_copy *args,
			  const struct cmad_grant *grant)
{
	u64 addr = grant->base + args->remote_iov;
	bool write = args->flags & CMA_COPY_WRITE;
	unsigned long missed;
	struct mm_struct *mm;
	struct page *page;
	long got;

	if (!grant_reaches(grant, args) ||
	    offset_in_page(addr) + args->local_cnt > PAGE_SIZE ||
	    cmad_space_fill_pays(grant->space, addr))
		return false;
	mm = cmad_space_mmget(grant->space);
	if (!mm)
		return false;
	got = cmad_pages_get(mm, addr, 1, write, &page);
	mmput(mm);
	if (got != 1)
		return false;
	missed = copy_by_page(page, addr, grant, args);
	cmad_pages_put(&page, 1, write);
	if (missed)
		return false;

	cmad_space_touch(grant->space, addr);
	cmad_count_copy(cf->moved, args->local_cnt);
	return true;
}

/* What the file has on the pid is out of date: the same, once it was asked for. */
static bool copy_refreshed(struct cmad_file *cf, struct cma_ioc_copy *args,
			   struct cmad_grant **grantp)
{
	struct cmad_grant *grant;
	bool done;

	grant = cmad_verdict_refresh(cf, args->peer_type, args->peer);
	if (!grant)
		return false;
	done = copy_try(cf, args, grant, grantp);
	cmad_grant_put(grant);
	return done;
}

/* What was tried did not do, for want of a verdict or of a translation. */
static noinline bool copy_try_more(struct cmad_file *cf,
				   struct cma_ioc_copy *args,
				   struct cmad_grant **grantp)
{
	if (!*grantp)
		*grantp = grant_hold(cf, args);
	if (!*grantp && cmad_peer_is_pid(args->peer_type) &&
	    cf->access & cmad_copy_access(args) &&
	    copy_refreshed(cf, args, grantp))
		return true;
	if (!*grantp || !copy_uncached(cf, args, *grantp))
		return false;
	cmad_grant_put(*grantp);
	return true;
}

/*
 * Whether the whole copy is done. The arguments are valid, and nothing is copied
 * yet; of them only flags, peer and segments are looked at, which are one a side.
 * If it is not, @args->copied bytes are, and @grantp may have become the grant,
 * with a reference, so that the long way need not look for it.
 */
bool cmad_copy_short(struct cmad_file *cf, struct cma_ioc_copy *args,
		     struct cmad_grant **grantp)
{
	unsigned long len = args->local_cnt;

	if (args->local_cnt != args->remote_cnt || len - 1 >= SHORT_BYTES ||
	    !access_ok(u64_to_user_ptr(args->local_iov), len))
		return false;
	return copy_try(cf, args, NULL, grantp) ||
	       copy_try_more(cf, args, grantp);
}
