/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Steps: bytes move in steps, and only there.
 *
 * In a step its task is not preempted, and the caller's memory is touched with
 * page faults disabled. So a step ends in the time that it takes to copy
 * CMAD_STEP_BYTES, whatever the copier's priority or quota is, and whatever
 * its memory. That is how long anybody waits for a copier: a notifier for the
 * lock of a chunk, and the end of a window for the last byte that moves
 * through it.
 *
 * A step begins by marking its CPU, and only then looks at whether its window
 * has ended. The end of a window is told first, and then waits for the steps of
 * all CPUs that are marked: each step has either seen it, or is waited for.
 *
 * A step is a read side of RCU, too, since it is not preempted.
 */
#ifndef CMAD_STEP_H
#define CMAD_STEP_H

#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

/* Some tens of microseconds; on PREEMPT_RT, others wait for the CPU, too. */
#define CMAD_STEP_BYTES (IS_ENABLED(CONFIG_PREEMPT_RT) ? SZ_16K : SZ_256K)
/* What a shorter segment counts for in that; it takes its time, too. */
#define CMAD_STEP_SEGMENT 1024UL

/* Odd while a step is under way on the CPU. */
DECLARE_PER_CPU(unsigned int, cmad_steps);

static __always_inline void cmad_step_begin(void)
{
	rcu_read_lock_sched();
	pagefault_disable();
	__this_cpu_inc(cmad_steps);
}

static __always_inline void cmad_step_end(void)
{
	/* What was copied is there for whoever sees the step's end. */
	smp_store_release(this_cpu_ptr(&cmad_steps),
			  __this_cpu_read(cmad_steps) + 1);
	pagefault_enable();
	rcu_read_unlock_sched();
}

/*
 * Within a step: move @n bytes between the kernel's memory and the caller's, and
 * tell how many of them were not moved. Folios may be crossed, which hardened
 * usercopy would take amiss; access_ok() was asked at import.
 */
static __always_inline unsigned long
cmad_step_move(void *kaddr, void __user *user, unsigned long n, bool write)
{
	return write ? raw_copy_from_user(kaddr, user, n) :
		       raw_copy_to_user(user, kaddr, n);
}

void cmad_steps_wait(void);

#endif /* CMAD_STEP_H */
