// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc/PID/fdinfo tells of an open file: what moved through it, whom its
 * handles are for, and its windows.
 *
 * Who may look, procfs decides, by user id or PTRACE_MODE_READ: that is more than
 * may use the memory, and the process need not be who put there what is in its
 * file. So neither anybody's address is told, nor the name of a window, by which
 * it is opened; and the counters tell what /proc/PID/io tells to the same.
 *
 * All is read under RCU, and of each kind only so many lines, since that cannot be
 * preempted everywhere.
 */
#include <linux/pid_namespace.h>
#include <linux/seq_file.h>

#include "file.h"

#define LINES_MAX 1024

static const char *access_name(u32 access)
{
	static const char * const names[] = { "none", "r", "w", "rw" };

	return names[access & (CMA_ACCESS_READ | CMA_ACCESS_WRITE)];
}

static void show_moved(struct seq_file *m, const struct cmad_file *cf)
{
	u64 copies = 0, bytes = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct cmad_moved *moved = per_cpu_ptr(cf->moved, cpu);

		copies += READ_ONCE(moved->copies);
		bytes += READ_ONCE(moved->bytes);
	}
	seq_printf(m, "cma-copies:\t%llu\ncma-bytes:\t%llu\n", copies, bytes);
}

/* As a pidfd's fdinfo has it: 0 if the reader's /proc does not know it. */
static int grant_pid(const struct seq_file *m, const struct cmad_grant *grant)
{
	struct pid_namespace *ns = cmad_proc_pid_ns(file_inode(m->file));

	if (!pid_task(grant->pid, PIDTYPE_PID))
		return -1;
	return pid_nr_ns(grant->pid, ns);
}

static void show_handle(struct seq_file *m, u32 id,
			const struct cmad_grant *grant)
{
	seq_printf(m, "cma-handle:\t%u ", id);
	if (grant->window)
		seq_puts(m, "window");
	else
		seq_printf(m, "pid %d", grant_pid(m, grant));
	seq_printf(m, " %s\n", access_name(grant->access));
}

static void show_handles(struct seq_file *m, struct cmad_file *cf)
{
	const struct cmad_handles *handles;
	struct cmad_grant *grant;
	u32 id, nr = 0;

	rcu_read_lock();
	handles = rcu_dereference(cf->handles);
	for (id = 1; id < handles->size; id++) {
		grant = rcu_dereference(handles->slot[id]);
		if (grant && nr++ < LINES_MAX)
			show_handle(m, id, grant);
	}
	rcu_read_unlock();
	seq_printf(m, "cma-handles:\t%u\n", nr);
}

static void show_windows(struct seq_file *m, struct cmad_file *cf)
{
	const struct cmad_window *window;
	u32 nr = 0;

	seq_printf(m, "cma-windows:\t%u\n", READ_ONCE(cf->nr_windows));
	rcu_read_lock();
	list_for_each_entry_rcu(window, &cf->windows, sibling) {
		if (nr++ == LINES_MAX)
			break;
		seq_printf(m, "cma-window:\t%llu bytes %s %04o\n",
			   window->length, access_name(window->access),
			   window->mode);
	}
	rcu_read_unlock();
}

void cmad_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct cmad_file *cf = file->private_data;

	seq_printf(m, "cma-access:\t%s\n", access_name(cf->access));
	show_moved(m, cf);
	seq_printf(m, "cma-verdicts:\t%u\n", READ_ONCE(cf->nr_verdicts));
	show_handles(m, cf);
	show_windows(m, cf);
}
