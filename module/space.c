// SPDX-License-Identifier: GPL-2.0
/*
 * Spaces: what the module knows of a peer's address space.
 *
 * A space is shared by all grants for one mm_struct, and owns the chunks that
 * are cached of it. It lives while it has references (grants, and evictions
 * under way) and is taken apart from a work item, because removing a notifier
 * sleeps.
 *
 * It is in the table from its making until its last reference is gone, or until
 * it is found dead: no mm_users. What is dead stays dead, so that a mm_struct need
 * not be kept to know it; it is given back a grace period after @mm became NULL,
 * since it is looked at under RCU. All that is left then is the space itself, as
 * long as there are grants. Nobody tells of a death where there are no notifiers,
 * and those are too dear for a first contact; so each space is looked at once in
 * a while. The address of a mm_struct is used again, but not before its space
 * has left the table.
 */
#include <linux/err.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "space.h"

#define SWEEP_PERIOD HZ
#define SWEEP_BATCH 64U
#define ATTACH_PATIENCE (HZ / 10)	/* before a copy does without */

/* Whether an address space has had its first notifier. */
enum { ATTACHED_NOT, ATTACHED_SOON, ATTACHED };

static const struct cmad_space_ops *ops;

/* Memory pressure evicts through it. */
struct workqueue_struct *cmad_wq;
/* Its work may wait as long as an owner likes: no other work shares the queue. */
static struct workqueue_struct *attach_wq;

static DEFINE_SPINLOCK(spaces_lock);
static struct rhashtable spaces;	/* by mm_struct; spaces_lock */
static LIST_HEAD(living);	/* those there; spaces_lock */
static unsigned int nr_living;	/* spaces there; spaces_lock */
static atomic_t nr_spaces = ATOMIC_INIT(0);	/* not freed yet */

static const struct rhashtable_params spaces_params = {
	.key_len = sizeof_field(struct cmad_space, held),
	.key_offset = offsetof(struct cmad_space, held),
	.head_offset = offsetof(struct cmad_space, node),
	.automatic_shrinking = true,
};

static void spaces_sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(sweep, spaces_sweep);

static void space_reap(struct work_struct *work)
{
	ops->dead(container_of(work, struct cmad_space, reap));
}

/* Drop one of its holds; nothing refers to it after the last one. */
void cmad_space_drop(struct cmad_space *space)
{
	if (!refcount_dec_and_test(&space->holds))
		return;
	/* Who was charged for it while it was being given back. */
	cmad_user_uncharge(space->user, CMAD_CHARGE_SPACE);
	kfree(space);
	cmad_count(spaces, -1);
	if (atomic_dec_and_test(&nr_spaces))
		wake_up_var(&nr_spaces);
}

/* Nobody finds it in the table any more. */
static void space_unlink(struct cmad_space *space)
{
	lockdep_assert_held(&spaces_lock);
	rhashtable_remove_fast(&spaces, &space->node, spaces_params);
	list_del(&space->all);
	WRITE_ONCE(nr_living, nr_living - 1);
	RCU_INIT_POINTER(space->mm, NULL);
}

/* The space was unlinked, nobody sees @mm there any more, and no chunk is left. */
static void space_give_back(struct cmad_space *space)
{
	ops->give_back(space);
	mmdrop(space->held);
	space->held = NULL;
	cmad_user_uncharge(xchg(&space->user, NULL), CMAD_CHARGE_SPACE);
}

/* It has no references, so that nobody is looking at it but notifiers. */
static void space_end(struct work_struct *work)
{
	struct cmad_space *space = container_of(work, struct cmad_space, free);

	ops->dead(space);
	/* No notifier is left to queue it, nor does the sweep know it. */
	cancel_work_sync(&space->reap);
	if (space->held)
		space_give_back(space);
	cmad_space_drop(space);
}

static void space_attach(struct work_struct *work)
{
	struct cmad_space *space = container_of(work, struct cmad_space,
						attach);
	/* A plain notifier alone would leave the first of a chunk to take all
	 * locks once more.
	 */
	struct mm_struct *mm = cmad_space_mm(space);
	int rc = mmu_notifier_register(NULL, mm);

	if (!rc && !space->watched)
		ops->attached(space);
	mmput(mm);
	WRITE_ONCE(space->attached, rc ? ATTACHED_NOT : ATTACHED);
	smp_mb(); /* as wake_up_var() wants it */
	wake_up_var(&space->attached);
	cmad_space_put(space);
}

static bool attach_is_over(const struct cmad_space *space)
{
	return READ_ONCE(space->attached) != ATTACHED_SOON;
}

/* What is in the table has references. */
static struct cmad_space *space_find(struct mm_struct *mm)
{
	struct cmad_space *space;

	lockdep_assert_held(&spaces_lock);
	space = rhashtable_lookup_fast(&spaces, &mm, spaces_params);
	if (space)
		refcount_inc(&space->refs);
	return space;
}

/* Make it known; false without memory. */
static bool space_link(struct cmad_space *space)
{
	lockdep_assert_held(&spaces_lock);
	if (rhashtable_insert_fast(&spaces, &space->node, spaces_params))
		return false;
	mmgrab(space->held);
	atomic_inc(&nr_spaces);
	cmad_count(spaces, 1);
	list_add_tail(&space->all, &living);
	WRITE_ONCE(nr_living, nr_living + 1);
	return true;
}

/* The space of @mm with a reference, or NULL; the caller has one on mm_users. */
struct cmad_space *cmad_space_find(struct mm_struct *mm)
{
	struct cmad_space *space;

	spin_lock(&spaces_lock);
	space = space_find(mm);
	spin_unlock(&spaces_lock);
	return space;
}

/* The same, made if there is none. NULL: no memory. */
struct cmad_space *cmad_space_get(struct mm_struct *mm, gfp_t gfp)
{
	struct cmad_space *space = cmad_space_find(mm), *new;
	bool linked = false;

	if (space)
		return space;

	new = kzalloc(sizeof(*new), gfp);
	if (!new)
		return NULL;
	refcount_set(&new->refs, 1);
	refcount_set(&new->holds, 1);
	INIT_LIST_HEAD(&new->siblings);
	INIT_WORK(&new->reap, space_reap);
	INIT_WORK(&new->free, space_end);
	INIT_WORK(&new->attach, space_attach);
	address_space_init_once(&new->mapping);
	init_rwsem(&new->views_lock);
	new->views = RB_ROOT_CACHED;
	new->held = mm;
	RCU_INIT_POINTER(new->mm, mm);

	spin_lock(&spaces_lock);
	space = space_find(mm);
	if (!space)
		linked = space_link(new);
	spin_unlock(&spaces_lock);

	if (!linked) {
		kfree(new);
		return space;
	}
	queue_delayed_work(cmad_wq, &sweep, SWEEP_PERIOD);
	return new;
}

/*
 * Somebody is to hold the space for as long as they like: charge them for it,
 * unless it is charged already. 0, or an error.
 */
int cmad_space_charge(struct cmad_space *space)
{
	struct cmad_user *user;

	if (READ_ONCE(space->user))
		return 0;
	user = cmad_user_charge(CMAD_CHARGE_SPACE);
	if (IS_ERR(user))
		return PTR_ERR(user);
	if (cmpxchg(&space->user, NULL, user))
		cmad_user_uncharge(user, CMAD_CHARGE_SPACE);
	return 0;
}

void cmad_space_put(struct cmad_space *space)
{
	bool last;

	if (refcount_dec_not_one(&space->refs))
		return;
	spin_lock(&spaces_lock);
	last = refcount_dec_and_test(&space->refs);
	if (last && rcu_access_pointer(space->mm))
		space_unlink(space);
	spin_unlock(&spaces_lock);
	if (last)
		queue_work(cmad_wq, &space->free);
}

/*
 * Whether it is dead, and none of its chunks is left, which a work item destroys:
 * that may have to wait, and has to be tried again if somebody has a chunk still.
 */
static bool space_is_over(struct cmad_space *space)
{
	/* Who made a chunk, or the first notifier, did it before its mmput(). */
	if (atomic_read_acquire(&space->held->mm_users))
		return false;
	if (!READ_ONCE(space->nr_chunks))
		return true;
	queue_work(cmad_wq, &space->reap);
	return false;
}

/*
 * Look at the next @nr spaces, which go to the end of the line; those that are over
 * go to @over instead, with a reference. Nobody waits for the lock for longer.
 */
static void sweep_some(unsigned int nr, struct list_head *over)
{
	struct cmad_space *space;

	spin_lock(&spaces_lock);
	for (; nr && nr_living; nr--) {
		space = list_first_entry(&living, struct cmad_space, all);
		list_move_tail(&space->all, &living);
		if (space_is_over(space)) {
			refcount_inc(&space->refs);
			space_unlink(space);
			list_add(&space->all, over);
		}
	}
	spin_unlock(&spaces_lock);
	cond_resched();
}

/* As long as there are spaces; then the next one starts it again. */
static void spaces_sweep(struct work_struct *work)
{
	unsigned int left = READ_ONCE(nr_living);
	struct cmad_space *space, *next;
	LIST_HEAD(over);

	for (; left > SWEEP_BATCH; left -= SWEEP_BATCH)
		sweep_some(SWEEP_BATCH, &over);
	sweep_some(left, &over);

	if (!list_empty(&over))
		synchronize_rcu();
	list_for_each_entry_safe(space, next, &over, all) {
		space_give_back(space);
		cmad_space_put(space);
		cond_resched();
	}
	if (READ_ONCE(nr_living))
		queue_delayed_work(cmad_wq, &sweep, SWEEP_PERIOD);
}

/*
 * Have the address space ready for notifiers: 0, or -ENOMEM if that did not come
 * about, or not soon and there is no @must. The caller has a reference on
 * mm_users, and holds no lock.
 *
 * The first notifier takes the mmap_lock for writing, and all other locks of the
 * address space, and gives up at any signal. So a work item makes it, which has
 * no signals and always runs: the owner waits for no copier there who is stopped
 * or starved. The lock may be somebody's for long; a copy can do without.
 */
int cmad_space_attach(struct cmad_space *space, bool must)
{
	unsigned int old = READ_ONCE(space->attached);

	if (old == ATTACHED_NOT)
		old = cmpxchg(&space->attached, ATTACHED_NOT, ATTACHED_SOON);
	if (old == ATTACHED_NOT) {
		refcount_inc(&space->refs);
		mmget(cmad_space_mm(space));
		queue_work(attach_wq, &space->attach);
	}
	if (must) {
		if (wait_var_event_killable(&space->attached,
					    attach_is_over(space)))
			return -EINTR;
	} else if (old == ATTACHED_NOT) {
		wait_var_event_timeout(&space->attached, attach_is_over(space),
				       ATTACH_PATIENCE);
	}
	return READ_ONCE(space->attached) == ATTACHED ? 0 : -ENOMEM;
}

int __init cmad_space_init(const struct cmad_space_ops *space_ops)
{
	int rc = rhashtable_init(&spaces, &spaces_params);

	if (rc)
		return rc;
	ops = space_ops;
	cmad_wq = alloc_workqueue("cma", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	attach_wq = alloc_workqueue("cma_attach", WQ_UNBOUND, 0);
	if (cmad_wq && attach_wq)
		return 0;
	if (attach_wq)
		destroy_workqueue(attach_wq);
	if (cmad_wq)
		destroy_workqueue(cmad_wq);
	rhashtable_destroy(&spaces);
	return -ENOMEM;
}

/*
 * The module ends: nobody gets a space any more. Wait until all are gone. (The
 * last grants go after a grace period, and spaces with them; until then their
 * owners' changes still queue work.)
 */
void cmad_space_exit(void)
{
	wait_var_event(&nr_spaces, !atomic_read(&nr_spaces));
	/* The last notifier's free_notifier() may not have returned yet. */
	mmu_notifier_synchronize();
	cancel_delayed_work_sync(&sweep);
	destroy_workqueue(attach_wq);
	destroy_workqueue(cmad_wq);
	rhashtable_destroy(&spaces);
}
