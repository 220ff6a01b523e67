// SPDX-License-Identifier: GPL-2.0
/*
 * Verdicts: what an open file remembers of the peers that are copied from by
 * pid, so that the kernel need not be asked about each copy (access.c), nor each
 * time be looked for what they publish.
 *
 * What is remembered is a grant. As a verdict it may be reused for the very same
 * caller credentials (a new pointer after every fork, exec and change), target
 * credentials, pid and mm, only while the target is dumpable, and for no longer
 * than cmad_verdict_ms. What it cannot see in that time: a withdrawn
 * PR_SET_PTRACER, a target that got another parent and so is no descendant any
 * more (Yama 1), and changed policy of Yama or another security module.
 *
 * By a published window there is less to compare: caller, pid and mm. It holds
 * until it ends, and its mode, which never changes, was judged for the caller.
 *
 * After that it is kept: not as a verdict, but because to ask again about what
 * is known, where procfs has the peer and what the cache has of it, costs less
 * than process_vm_readv() does. A yes renews it, and nothing else does.
 *
 * The table has one chain for each verdict, about, and grows as they become
 * more. A reader under RCU may lose its way while it grows, and miss one; who
 * looks under the lock misses none.
 */
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "file.h"

#define TABLE_BYTES_MIN 512	/* a power of two, as what kmalloc() gives */
#define VERDICTS_MAX 65536	/* of one open file */
#define CHAIN_LONG 4		/* on average, where there is no larger table */
/* Computing between messages is not idling; see there for what the dead leave. */
#define VERDICT_IDLE (600 * HZ)
#define SWEEP_PERIOD HZ
#define SWEEP_CHAINS 4096	/* at once */

static struct cmad_verdicts *verdicts_locked(struct cmad_file *cf)
{
	return rcu_dereference_protected(cf->verdicts,
					 lockdep_is_held(&cf->verdicts_lock));
}

static struct hlist_head *verdict_chain(struct cmad_verdicts *verdicts,
					const struct pid *pid,
					const struct cred *caller)
{
	unsigned long key = (unsigned long)pid + (unsigned long)caller;

	return &verdicts->chain[reciprocal_scale(hash_long(key, 32),
						 verdicts->size)];
}

/*
 * What is kept on @pid for current, by the rules of ptrace or by what the process
 * publishes, or NULL. Under RCU, or the file's lock.
 */
static struct cmad_grant *verdict_find(struct cmad_verdicts *verdicts,
				       bool published, const struct pid *pid)
{
	const struct cred *caller = current_cred();
	struct cmad_grant *grant;

	if (!verdicts)
		return NULL;
	hlist_for_each_entry_rcu(grant, verdict_chain(verdicts, pid, caller),
				 kept, true)
		if (grant->pid == pid && grant->caller == caller &&
		    !!grant->window == published)
			return grant;
	return NULL;
}

/* Whether it still speaks of @task as it is now. Under RCU. */
static __always_inline bool verdict_holds(const struct cmad_grant *grant,
					  struct task_struct *task)
{
	struct mm_struct *mm = rcu_dereference(grant->space->mm);
	/* Pairs with verdict_renew(): as old as this, or newer, is @target. */
	unsigned long expires = smp_load_acquire(&grant->expires);

	if (!time_before(jiffies, expires) || !mm || READ_ONCE(task->mm) != mm)
		return false;
	if (grant->window)
		return !cmad_grant_ended(grant);
	return rcu_access_pointer(task->real_cred) ==
	       READ_ONCE(grant->target) &&
	       cmad_task_dumpable(task, mm);
}

/* A verdict on @pid that still holds, or NULL. Under RCU, and good under it. */
struct cmad_grant *cmad_verdict_peek(struct cmad_file *cf, u32 type,
				     struct pid *pid)
{
	struct task_struct *task;
	struct cmad_grant *grant;

	grant = verdict_find(rcu_dereference(cf->verdicts),
			     type == CMA_PEER_PUBLISHED, pid);
	if (!grant)
		return NULL;
	task = pid_task(pid, PIDTYPE_PID);
	return task && verdict_holds(grant, task) ? grant : NULL;
}

/* What is kept on @pid for current, with a reference, or NULL. */
static struct cmad_grant *verdict_get(struct cmad_file *cf, bool published,
				      struct pid *pid)
{
	struct cmad_grant *grant;

	rcu_read_lock();
	grant = verdict_find(rcu_dereference(cf->verdicts), published, pid);
	if (grant && !refcount_inc_not_zero(&grant->refs))
		grant = NULL;
	rcu_read_unlock();
	if (grant || !READ_ONCE(cf->nr_verdicts))
		return grant;

	mutex_lock(&cf->verdicts_lock);
	grant = verdict_find(verdicts_locked(cf), published, pid);
	if (grant)
		refcount_inc(&grant->refs);
	mutex_unlock(&cf->verdicts_lock);
	return grant;
}

static bool verdict_is_good(const struct cmad_grant *grant)
{
	struct task_struct *task;
	bool good;

	rcu_read_lock();
	task = pid_task(grant->pid, PIDTYPE_PID);
	good = task && verdict_holds(grant, task);
	rcu_read_unlock();
	return good;
}

/* Have the kernel judge what is kept: 0, -EAGAIN if the peer has another mm. */
static int verdict_renew(struct cmad_file *cf, struct cmad_grant *grant)
{
	const struct cred *target;
	unsigned long expires;
	int rc = cmad_access_rejudge(grant, &target, &expires);

	if (rc)
		return rc;
	mutex_lock(&cf->verdicts_lock);
	if (target) {
		/* Readers compare it, and no more, until a grace period later. */
		swap(grant->target, target);
		put_cred(target);
	}
	/* With a target that was judged before, and not the latest, it is void. */
	smp_store_release(&grant->expires, expires);
	mutex_unlock(&cf->verdicts_lock);
	return 0;
}

/*
 * What is kept on the caller's pid @nr, with a reference, if it was out of date,
 * and the kernel was asked again and said yes to this call; or NULL.
 */
struct cmad_grant *cmad_verdict_refresh(struct cmad_file *cf, u32 type, s32 nr)
{
	struct task_struct *task = NULL;
	struct cmad_grant *grant;
	struct pid *pid;

	rcu_read_lock();
	pid = find_vpid(nr);
	grant = pid ? verdict_find(rcu_dereference(cf->verdicts),
				   type == CMA_PEER_PUBLISHED, pid) : NULL;
	if (grant)
		task = pid_task(pid, PIDTYPE_PID);
	if (!task || verdict_holds(grant, task) ||
	    !refcount_inc_not_zero(&grant->refs))
		grant = NULL;
	rcu_read_unlock();

	if (grant && verdict_renew(cf, grant)) {
		cmad_grant_put(grant);
		grant = NULL;
	}
	return grant;
}

static void verdict_add(struct cmad_verdicts *verdicts, struct cmad_grant *grant)
{
	hlist_add_head_rcu(&grant->kept, verdict_chain(verdicts, grant->pid,
						       grant->caller));
}

/* A table with room for more in the place of the file's, if there is any. */
static void verdicts_grow(struct cmad_file *cf)
{
	struct cmad_verdicts *old = verdicts_locked(cf), *new;
	size_t bytes = TABLE_BYTES_MIN;
	struct cmad_grant *grant;
	struct hlist_node *next;
	u32 i;

	if (old)
		bytes = 2 * struct_size(old, chain, old->size);
	new = kvzalloc(bytes, CMAD_GFP_CACHE | __GFP_ACCOUNT);
	if (!new)
		return;
	new->size = (bytes - sizeof(*new)) / sizeof(*new->chain);
	for (i = 0; old && i < old->size; i++)
		hlist_for_each_entry_safe(grant, next, &old->chain[i], kept) {
			hlist_del_rcu(&grant->kept);
			verdict_add(new, grant);
		}
	rcu_assign_pointer(cf->verdicts, new);
	if (old)
		kvfree_rcu(old, rcu);
}

static void verdict_drop(struct cmad_file *cf, struct cmad_grant *grant)
{
	hlist_del_rcu(&grant->kept);
	WRITE_ONCE(cf->nr_verdicts, cf->nr_verdicts - 1);
	cmad_grant_put(grant);
}

/*
 * Room for @grant in its chain; one that speaks of the same goes, and where there
 * is no room for more, any. False if there is none.
 */
static bool verdict_make_room(struct cmad_file *cf,
			      const struct cmad_grant *grant)
{
	struct cmad_verdicts *verdicts = verdicts_locked(cf);
	struct cmad_grant *old = verdict_find(verdicts, grant->window,
					      grant->pid);
	struct hlist_head *chain;

	if (!old && (!verdicts || (cf->nr_verdicts >= verdicts->size &&
				   cf->nr_verdicts < VERDICTS_MAX)))
		verdicts_grow(cf);
	verdicts = verdicts_locked(cf);
	if (!verdicts)
		return false;
	chain = verdict_chain(verdicts, grant->pid, grant->caller);
	if (!old && (cf->nr_verdicts >= VERDICTS_MAX ||
		     cf->nr_verdicts / CHAIN_LONG >= verdicts->size)) {
		if (hlist_empty(chain))
			return false;
		old = hlist_entry(chain->first, struct cmad_grant, kept);
	}
	if (old)
		verdict_drop(cf, old);
	return true;
}

/* Keep a new @grant, whose caller is current, if that can be. */
static void verdict_keep(struct cmad_file *cf, struct cmad_grant *grant)
{
	if (cmad_grant_charge(grant, CMAD_CHARGE_VERDICT))
		return;
	mutex_lock(&cf->verdicts_lock);
	if (verdict_make_room(cf, grant)) {
		refcount_inc(&grant->refs);
		verdict_add(verdicts_locked(cf), grant);
		WRITE_ONCE(cf->nr_verdicts, cf->nr_verdicts + 1);
		if (cf->nr_verdicts == 1)
			queue_delayed_work(cmad_wq, &cf->sweep, SWEEP_PERIOD);
	}
	mutex_unlock(&cf->verdicts_lock);
}

static struct cmad_grant *verdict_judge(bool published, struct pid *pid,
					const struct cmad_grant *known,
					gfp_t gfp)
{
	return published ? cmad_access_published(pid, 0, gfp) :
			   cmad_access_judge(pid, known, gfp);
}

/*
 * Have the kernel judge a peer that @known, if it is there, does not speak of any
 * more. The system call needs no memory, so that this is to get on without any in
 * the caller's cgroup, too; what is charged to nobody is not kept.
 */
static struct cmad_grant *verdict_make(struct cmad_file *cf, bool published,
				       struct pid *pid,
				       const struct cmad_grant *known)
{
	struct cmad_grant *grant;

	grant = verdict_judge(published, pid, known,
			      CMAD_GFP_CACHE | __GFP_ACCOUNT);
	if (grant == ERR_PTR(-ENOMEM))
		return verdict_judge(published, pid, known, GFP_KERNEL);
	if (!IS_ERR(grant))
		verdict_keep(cf, grant);
	return grant;
}

/*
 * A grant of current for @pid with a reference: a verdict that still holds, or
 * what the kernel, or the published window, says now. With CMA_COPY_STRICT it
 * judges this very call.
 */
struct cmad_grant *cmad_verdict_grant(struct cmad_file *cf, u32 type,
				      struct pid *pid, u32 flags)
{
	bool published = type == CMA_PEER_PUBLISHED;
	struct cmad_grant *kept = verdict_get(cf, published, pid), *grant;
	int rc = -EAGAIN;

	if (kept) {
		if (!(flags & CMA_COPY_STRICT) && verdict_is_good(kept))
			return kept;
		rc = verdict_renew(cf, kept);
		if (!rc)
			return kept;
	}
	if (rc != -EAGAIN || flags & CMA_COPY_KNOWN)
		grant = ERR_PTR(rc);
	else
		grant = verdict_make(cf, published, pid, kept);
	if (kept)
		cmad_grant_put(kept);
	return grant;
}

static bool verdict_is_waste(const struct cmad_grant *grant)
{
	return cmad_space_is_dead(grant->space) || cmad_grant_ended(grant) ||
	       time_after(jiffies, READ_ONCE(grant->expires) + VERDICT_IDLE);
}

/* As long as there are verdicts; then the next one starts it again. */
static void verdicts_sweep(struct work_struct *work)
{
	struct cmad_file *cf = container_of(to_delayed_work(work),
					    struct cmad_file, sweep);
	struct cmad_verdicts *verdicts;
	struct cmad_grant *grant;
	struct hlist_node *next;
	u32 i;

	mutex_lock(&cf->verdicts_lock);
	verdicts = verdicts_locked(cf);
	for (i = min_t(u32, verdicts->size, SWEEP_CHAINS); i--; cf->swept++) {
		if (cf->swept >= verdicts->size)
			cf->swept = 0;
		hlist_for_each_entry_safe(grant, next,
					  &verdicts->chain[cf->swept], kept)
			if (verdict_is_waste(grant))
				verdict_drop(cf, grant);
	}
	if (cf->nr_verdicts)
		queue_delayed_work(cmad_wq, &cf->sweep, SWEEP_PERIOD);
	mutex_unlock(&cf->verdicts_lock);
}

void cmad_verdicts_init(struct cmad_file *cf)
{
	mutex_init(&cf->verdicts_lock);
	INIT_DEFERRABLE_WORK(&cf->sweep, verdicts_sweep);
}

/* The file's last reference is gone: nobody looks verdicts up any more. */
void cmad_verdicts_free(struct cmad_file *cf)
{
	struct cmad_verdicts *verdicts;
	struct cmad_grant *grant;
	struct hlist_node *next;
	u32 i;

	cancel_delayed_work_sync(&cf->sweep);
	verdicts = rcu_dereference_protected(cf->verdicts, true);
	for (i = 0; verdicts && i < verdicts->size; i++) {
		hlist_for_each_entry_safe(grant, next, &verdicts->chain[i],
					  kept)
			cmad_grant_put(grant);
		cond_resched();
	}
	kvfree(verdicts);
}
