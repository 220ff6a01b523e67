/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a space to its address space, which ends before the space does: the
 * mm_struct is given back some time after the process has died. It is there as
 * long as somebody has a reference on mm_users; to come by one, and to look at
 * no more than whether it is there, takes RCU. Of its read sides that by disabled
 * preemption costs least; nothing in it lasts.
 */
#ifndef CMAD_SPACE_H
#define CMAD_SPACE_H

#include <linux/fs.h>
#include <linux/mmu_notifier.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "private.h"
#include "user.h"

#define CMAD_TOUCH_BITS 4096	/* chunks, of 8 GB in a row */

struct cmad_window;

/**
 * struct cmad_space - one address space
 * @refs: grants, and evictions under way; the last one queues @free
 * @holds: one for all of @refs, one for @young while the kernel knows it
 * @mm: the address space, or NULL once it was found dead; RCU
 * @held: the same, held by mmgrab() until it is given back
 * @user: who is charged for that, or NULL as long as nobody keeps it
 * @node: in the table of spaces while @mm is set; spaces_lock
 * @all: in the list of those there; spaces_lock
 * @touched: chunks that were copied from by pinning, by the low bits of their
 *	index; a hint, not locked
 * @nr_touched: bits set there, about
 * @siblings: the space's chunks, the next victim first; cmad_chunks_lock
 * @nr_chunks: chunks at @siblings; cmad_chunks_lock
 * @published: the window by which others find it, or NULL; window.c's, which
 *	clears it before that window's file lets go of it; readers under RCU
 * @attached: whether the address space can have notifiers; see space.c
 * @mapping: where the kernel files the VMAs that map the space, away from those
 *	of others
 * @views_lock: see unmap.c
 * @views: the views that are alive, by the space's page numbers; @views_lock
 * @attach: makes the first notifier
 * @young: answers whether pages were used
 * @watched: @young is registered; written by @attach
 * @reap: destroys the chunks when the owner exits
 * @free: takes the space apart
 */
struct cmad_space {
	refcount_t refs;
	refcount_t holds;
	struct mm_struct __rcu *mm;
	struct mm_struct *held;
	struct cmad_user *user;
	struct rhash_head node;
	struct list_head all;
	DECLARE_BITMAP(touched, CMAD_TOUCH_BITS);
	unsigned int nr_touched;
	struct list_head siblings;
	unsigned int nr_chunks;
	struct cmad_window *published;
	unsigned int attached;
	struct address_space mapping;
	struct rw_semaphore views_lock;
	struct rb_root_cached views;
	struct work_struct attach;
	struct mmu_notifier young;
	bool watched;
	struct work_struct reap;
	struct work_struct free;
};

/**
 * struct cmad_space_ops - what is done about a space by those who know more of it
 * @attached: it is about to have its first notifier
 * @dead: its owner exits, or nobody refers to it: destroy what chunks can be
 * @give_back: its mm_struct is given back; no chunk is left
 *
 * From work items, which may sleep.
 */
struct cmad_space_ops {
	void (*attached)(struct cmad_space *space);
	void (*dead)(struct cmad_space *space);
	void (*give_back)(struct cmad_space *space);
};

extern struct workqueue_struct *cmad_wq;

struct cmad_space *cmad_space_find(struct mm_struct *mm);
struct cmad_space *cmad_space_get(struct mm_struct *mm, gfp_t gfp);
void cmad_space_put(struct cmad_space *space);
void cmad_space_drop(struct cmad_space *space);
int cmad_space_charge(struct cmad_space *space);
int cmad_space_attach(struct cmad_space *space, bool must);
int cmad_space_init(const struct cmad_space_ops *space_ops);
void cmad_space_exit(void);

/* The address space with a reference on mm_users, or NULL if it is dead. */
static inline struct mm_struct *cmad_space_mmget(const struct cmad_space *space)
{
	struct mm_struct *mm;

	rcu_read_lock_sched();
	mm = rcu_dereference_sched(space->mm);
	if (mm && !mmget_not_zero(mm))
		mm = NULL;
	rcu_read_unlock_sched();
	return mm;
}

/* The address space; the caller has a reference on mm_users. */
static inline struct mm_struct *cmad_space_mm(const struct cmad_space *space)
{
	return rcu_dereference_protected(space->mm, true);
}

/* Whether it is dead, which it then stays. */
static inline bool cmad_space_is_dead(const struct cmad_space *space)
{
	struct mm_struct *mm;
	bool dead;

	rcu_read_lock_sched();
	mm = rcu_dereference_sched(space->mm);
	dead = !mm || !atomic_read(&mm->mm_users);
	rcu_read_unlock_sched();
	return dead;
}

#endif /* CMAD_SPACE_H */
