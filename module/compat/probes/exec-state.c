// SPDX-License-Identifier: GPL-2.0
/* Dumpability sits in a structure of the task's own instead of in the mm. */
#include <linux/sched.h>
#include <linux/sched/exec_state.h>

enum task_dumpable probe(struct task_struct *task);
enum task_dumpable probe(struct task_struct *task)
{
	return rcu_dereference(task->exec_state)->dumpable;
}
