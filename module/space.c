// SPDX-License-Identifier: GPL-2.0
/*
 * Spaces: what the module knows of a peer's address space.
 *
 * A space is shared by all grants for one mm_struct, and owns the chunks that
 * are cached of it. It lives while it has references (grants, and evictions
 * under way) and is taken apart from a work item, because removing a notifier
 * sleeps.
 */
#include <linux/hash.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "private.h"

#define HASH_BITS_SPACES 8

static DEFINE_SPINLOCK(spaces_lock);	/* spaces, and finding one there */
static struct hlist_head spaces[1 << HASH_BITS_SPACES];
static atomic_t nr_spaces = ATOMIC_INIT(0);	/* not freed yet */

static void space_reap(struct work_struct *work)
{
	cmad_chunks_drop(container_of(work, struct cmad_space, reap));
}

static void space_free(struct work_struct *work)
{
	struct cmad_space *space = container_of(work, struct cmad_space, free);

	cmad_chunks_drop(space);
	/* No notifier is left to queue it. */
	cancel_work_sync(&space->reap);
	mmdrop(space->mm);
	kfree(space);
	if (atomic_dec_and_test(&nr_spaces))
		wake_up_var(&nr_spaces);
}

static struct cmad_space *space_find(struct mm_struct *mm)
{
	struct cmad_space *space;

	lockdep_assert_held(&spaces_lock);
	hlist_for_each_entry(space, &spaces[hash_ptr(mm, HASH_BITS_SPACES)],
			     node)
		if (space->mm == mm && refcount_inc_not_zero(&space->refs))
			return space;
	return NULL;
}

/* The space of @mm with a reference; the caller holds @mm. NULL: no memory. */
struct cmad_space *cmad_space_get(struct mm_struct *mm)
{
	struct cmad_space *space, *new;

	spin_lock(&spaces_lock);
	space = space_find(mm);
	spin_unlock(&spaces_lock);
	if (space)
		return space;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	refcount_set(&new->refs, 1);
	INIT_LIST_HEAD(&new->siblings);
	INIT_WORK(&new->reap, space_reap);
	INIT_WORK(&new->free, space_free);
	cmad_hide_init(new);
	new->mm = mm;

	spin_lock(&spaces_lock);
	space = space_find(mm);
	if (!space) {
		mmgrab(mm);
		atomic_inc(&nr_spaces);
		hlist_add_head(&new->node,
			       &spaces[hash_ptr(mm, HASH_BITS_SPACES)]);
	}
	spin_unlock(&spaces_lock);

	if (space)
		kfree(new);
	return space ?: new;
}

void cmad_space_put(struct cmad_space *space)
{
	if (!refcount_dec_and_test(&space->refs))
		return;
	spin_lock(&spaces_lock);
	hlist_del(&space->node);
	spin_unlock(&spaces_lock);
	queue_work(cmad_wq, &space->free);
}

/* The module ends: nobody gets a space any more. Wait until all are gone. */
void cmad_space_exit(void)
{
	wait_var_event(&nr_spaces, !atomic_read(&nr_spaces));
}
