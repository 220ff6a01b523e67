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

#include <linux/rcupdate.h>
#include <linux/sched/mm.h>

#include "private.h"

struct cmad_space *cmad_space_get(struct mm_struct *mm, gfp_t gfp);
void cmad_space_put(struct cmad_space *space);
void cmad_space_drop(struct cmad_space *space);
int cmad_space_charge(struct cmad_space *space);
int cmad_space_attach(struct cmad_space *space, bool must);
int cmad_space_init(void);
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
