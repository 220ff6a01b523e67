// SPDX-License-Identifier: GPL-2.0
/*
 * Whom a request names: a pid number or a pidfd becomes a struct pid. Nothing
 * is decided here; whoever is found is judged in access.c.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/seq_file.h>

#include "grant.h"

/* Room for "Pid:\t<number>\n"; whatever follows is cut off. */
#define FDINFO_SIZE 64

/*
 * The pid that a pidfd's fdinfo shows, in the initial pid namespace: above 0,
 * -ESRCH when the process is gone, -EBADF when the file is no pidfd.
 *
 * The kernel exports no way from a pidfd to its struct pid, and where the
 * file keeps it differs between kernels. Its fdinfo text does not: userspace
 * relies on it. A file of another kind that printed the same would gain its
 * owner nothing, since the number it names is judged like any other.
 */
static int pidfd_nr(struct file *file)
{
	char text[FDINFO_SIZE];
	struct seq_file seq = {
		.buf = text,
		.size = sizeof(text),
		.file = cmad_access_procfs(),
	};
	int nr;

	if (!file->f_op->show_fdinfo)
		return -EBADF;
	file->f_op->show_fdinfo(&seq, file);
	text[min(seq.count, sizeof(text) - 1)] = '\0';
	if (sscanf(text, "Pid:\t%d\n", &nr) != 1)
		return -EBADF;
	return nr > 0 ? nr : -ESRCH;
}

/*
 * A number may be reused as soon as its process is reaped. While the pidfd
 * still shows the number after the look-up, its process had it all along, so
 * it is the one that was found.
 */
static struct pid *pidfd_to_pid(int fd)
{
	struct file *file = fget(fd);
	struct pid *pid;
	int nr;

	if (!file)
		return ERR_PTR(-EBADF);

	nr = pidfd_nr(file);
	if (nr < 0) {
		pid = ERR_PTR(nr);
		goto out;
	}

	rcu_read_lock();
	pid = get_pid(find_pid_ns(nr, &init_pid_ns));
	rcu_read_unlock();
	if (!pid || pidfd_nr(file) != nr) {
		put_pid(pid);
		pid = ERR_PTR(-ESRCH);
	}
out:
	fput(file);
	return pid;
}

struct pid *cmad_peer_pid(u32 type, s32 id)
{
	if (type == CMA_PEER_PIDFD)
		return pidfd_to_pid(id);

	return find_get_pid(id) ?: ERR_PTR(-ESRCH);
}
