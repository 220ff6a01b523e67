// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting for steps (step.h), and the locks that copiers and mappers take for
 * writing.
 *
 * Neither ever queues for a chunk's lock, nor is preempted while it has it:
 * whoever does not run, by its priority or its quota, holds nobody up there.
 * Readers only try the lock; those who change what a chunk knows try it for a
 * while, in which readers stay away.
 */
#include <linux/ktime.h>
#include <linux/processor.h>

#include "chunk.h"
#include "step.h"

#define CHANGE_PATIENCE_NS 500000 /* many steps of readers under way */

DEFINE_PER_CPU(unsigned int, cmad_steps);

/*
 * Wait for the steps that are under way: what the caller did before is seen by
 * all that begin from now on. No more than a step's time for each CPU.
 */
void cmad_steps_wait(void)
{
	int cpu;

	smp_mb(); /* pairs with the one of a step before it looks */
	for_each_possible_cpu(cpu) {
		unsigned int *steps = per_cpu_ptr(&cmad_steps, cpu);
		/* Pairs with cmad_step_end(). */
		unsigned int seen = smp_load_acquire(steps);

		if (seen & 1)
			smp_cond_load_acquire(steps, VAL != seen);
	}
}

/*
 * Lock a chunk for a change by a copier or mapper; false if that did not come
 * about. On PREEMPT_RT, where the change takes locks that sleep, a writer lends
 * its priority to the one who has the lock.
 */
bool cmad_chunk_change_begin(struct cmad_chunk *chunk)
{
	bool locked;
	u64 end;

	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		down_write(&chunk->lock);
		return true;
	}
	preempt_disable();
	locked = down_write_trylock(&chunk->lock);
	if (locked)
		return true;

	WRITE_ONCE(chunk->wanted, true);
	end = ktime_get_mono_fast_ns() + CHANGE_PATIENCE_NS;
	while (!locked && ktime_get_mono_fast_ns() < end) {
		cpu_relax();
		locked = down_write_trylock(&chunk->lock);
	}
	WRITE_ONCE(chunk->wanted, false);
	if (!locked)
		preempt_enable();
	return locked;
}

void cmad_chunk_change_end(struct cmad_chunk *chunk)
{
	up_write(&chunk->lock);
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
}
