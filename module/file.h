/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An open file of /dev/cma, with what it keeps: handles, verdicts, windows.
 */
#ifndef CMAD_FILE_H
#define CMAD_FILE_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "grant.h"
#include "stat.h"

#define CMAD_MAX_HANDLES 16384
#define CMAD_FEW_HANDLES 16 /* slots that an open file comes with */

/**
 * struct cmad_handles - a table of handles, as large as they need it
 * @rcu: frees it, when a larger one took its place
 * @size: entries at @slot
 * @slot: a handle's grant, or NULL; there is no handle 0
 */
struct cmad_handles {
	struct rcu_head rcu;
	u32 size;
	struct cmad_grant __rcu *slot[];
};

/**
 * struct cmad_verdicts - a table of verdicts, as large as they need it
 * @rcu: frees it, when a larger one took its place
 * @size: chains at @chain
 * @chain: verdicts, by peer and caller
 */
struct cmad_verdicts {
	struct rcu_head rcu;
	u32 size;
	struct hlist_head chain[];
};

/**
 * struct cmad_file - one open file of /dev/cma
 * @access: CMA_ACCESS_* to others' memory, as the file was opened
 * @handles: grants by the number of their handle: @few, or a larger table in its
 *	place; readers under RCU
 * @handles_lock: see there
 * @next_handle: below it no number is free; @handles_lock
 * @windows_lock: see there
 * @windows: what was created here; @windows_lock, readers under RCU
 * @nr_windows: windows there; @windows_lock, readers without
 * @verdicts: what the kernel said of peers by pid, or NULL before the first;
 *	readers under RCU
 * @verdicts_lock: see there
 * @nr_verdicts: grants there; @verdicts_lock, readers without
 * @swept: chains that @sweep has been through; @verdicts_lock
 * @sweep: gives up verdicts that are of no use
 * @moved: by each CPU, so that threads that copy do not meet in it
 * @few: room for the first handles
 */
struct cmad_file {
	u32 access;
	struct cmad_handles __rcu *handles;
	struct mutex handles_lock; /* writers of @handles */
	u32 next_handle;
	spinlock_t windows_lock; /* what the file knows of its windows */
	struct list_head windows;
	unsigned int nr_windows;
	struct cmad_verdicts __rcu *verdicts;
	struct mutex verdicts_lock; /* writers of @verdicts and what is there */
	u32 nr_verdicts;
	u32 swept;
	struct delayed_work sweep;
	struct cmad_moved __percpu *moved;
	struct cmad_handles few;
};

/* handle.c: grants as in access.c */
void cmad_handles_init(struct cmad_file *cf);
int cmad_handle_open(struct cmad_file *cf, struct cmad_grant *grant);
int cmad_handle_close(struct cmad_file *cf, s32 id);
struct cmad_grant *cmad_handle_grant(struct cmad_file *cf, s32 id, bool strict);
void cmad_handles_free(struct cmad_file *cf);

/* The handle's grant, or NULL. Under RCU, and good under it. */
static inline struct cmad_grant *cmad_handle_peek(struct cmad_file *cf, s32 id)
{
	const struct cmad_handles *handles =
		rcu_dereference_check(cf->handles, rcu_read_lock_sched_held());

	if ((u32)id >= handles->size)
		return NULL;
	id = array_index_nospec(id, handles->size);
	return rcu_dereference_check(handles->slot[id],
				     rcu_read_lock_sched_held());
}

/* verdict.c: likewise */
struct cmad_grant *cmad_verdict_peek(struct cmad_file *cf, u32 type,
				     struct pid *pid);
struct cmad_grant *cmad_verdict_refresh(struct cmad_file *cf, u32 type, s32 nr);
struct cmad_grant *cmad_verdict_grant(struct cmad_file *cf, u32 type,
				      struct pid *pid, u32 flags);
void cmad_verdicts_init(struct cmad_file *cf);
void cmad_verdicts_free(struct cmad_file *cf);

/* ioctl.c */
long cmad_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* fdinfo.c */
void cmad_show_fdinfo(struct seq_file *m, struct file *file);

#endif /* CMAD_FILE_H */
