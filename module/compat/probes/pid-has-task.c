// SPDX-License-Identifier: GPL-2.0
/* Whether a pid is in use is asked by a function. */
#include <linux/pid.h>

bool probe(struct pid *pid);
bool probe(struct pid *pid)
{
	return pid_has_task(pid, PIDTYPE_PID);
}
