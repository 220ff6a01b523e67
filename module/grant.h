/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may reach whose memory: grants, by the rules of ptrace or by a window.
 */
#ifndef CMAD_GRANT_H
#define CMAD_GRANT_H

#include <linux/cred.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/workqueue.h>

#include "private.h"
#include "space.h"
#include "user.h"

struct cmad_file;

/**
 * struct cmad_grant - the kernel's own yes to a caller for a peer
 * @refs: one while published, one for each operation under way
 * @space: the peer's, with a reference
 * @base: where remote address 0 is: a window's begin, else 0
 * @length: bytes from there on that can be reached
 * @access: CMA_ACCESS_*
 * @window: with a reference; NULL in a grant by the rules of ptrace
 * @pid: the peer, unless it was found by a window's name
 * @mem: by the rules of ptrace: the peer's mem in procfs, with a reference; see
 *	access.c
 * @caller: where there is @pid: who was judged; held, so that its address is not
 *	reused
 * @target: by the rules of ptrace: the peer's credentials, taken before the
 *	judgement; likewise
 * @expires: jiffies from which on the verdict may not be reused
 * @kept: in its file's verdicts; the file's lock
 * @user: who is charged for it, or NULL
 * @charge: as what
 * @file: what the mappings by it have for a file; set once, at the first one
 * @tables: who makes a page table, or a 2 MB entry in the place of one, in those
 * @free: frees it, a grace period after the last reference
 *
 * All but @refs, @file and @tables is immutable once it is published in a
 * file's handles. In a file's verdicts @target and @expires change, too, when the
 * kernel judges anew; see verdict.c.
 */
struct cmad_grant {
	refcount_t refs;
	struct cmad_space *space;
	u64 base;
	u64 length;
	u32 access;
	struct cmad_window *window;
	struct pid *pid;
	struct dentry *mem;
	const struct cred *caller;
	const struct cred *target;
	unsigned long expires;
	struct hlist_node kept;
	struct cmad_user *user;
	enum cmad_charge charge;
	struct file *file;
	struct mutex tables; /* fills of one PMD, against each other */
	struct rcu_work free;
};

/**
 * struct cmad_window - a part of its owner's memory that others can open
 * @refs: its file, and each grant
 * @name: what others know it by
 * @space: the owner's, with a reference
 * @base: of the range
 * @length: of the range, in bytes
 * @access: CMA_ACCESS_*
 * @mode: who can get it, as in a file's mode
 * @cred: the owner's credentials at creation
 * @user: who is charged for it, or NULL
 * @file: the open file it was created in; valid until @ended
 * @ended: withdrawn, under its file's windows_lock; a copy looks at it in each step
 * @node: in the table of windows until then; readers under RCU
 * @sibling: in its file's list; windows_lock there, readers under RCU
 * @rcu: frees it
 */
struct cmad_window {
	refcount_t refs;
	u64 name;
	struct cmad_space *space;
	u64 base;
	u64 length;
	u32 access;
	u32 mode;
	const struct cred *cred;
	struct cmad_user *user;
	struct cmad_file *file;
	bool ended;
	struct rhash_head node;
	struct list_head sibling;
	struct rcu_head rcu;
};

/* Whether peers of that type can be copied from; cma_ioc_copy.peer_type. */
static __always_inline bool cmad_peer_is_copied(u32 type)
{
	return (type >= CMA_PEER_PID && type <= CMA_PEER_HANDLE) ||
	       type == CMA_PEER_PUBLISHED;
}

/* Of those: whether it is a pid, as verdicts are kept by. */
static __always_inline bool cmad_peer_is_pid(u32 type)
{
	return type != CMA_PEER_PIDFD && type != CMA_PEER_HANDLE;
}

/* peer.c: a reference on the pid, or an ERR_PTR */
struct pid *cmad_peer_pid(u32 type, s32 id);

/* window.c */
int cmad_window_create(struct cmad_file *cf,
		       struct cma_ioc_window_create *args);
int cmad_window_destroy(struct cmad_file *cf, u64 name);
struct cmad_window *cmad_window_find(u64 name);
struct cmad_window *cmad_window_published(struct mm_struct *mm);
void cmad_window_put(struct cmad_window *window);
void cmad_windows_free(struct cmad_file *cf);
int cmad_window_init(void);
void cmad_window_exit(void);

/* unmap.c */
void cmad_unmap_window(const struct cmad_window *window);

/* access.c: grants come with a reference, or as an ERR_PTR */
extern unsigned int cmad_verdict_ms;
int cmad_access_init(void);
void cmad_access_exit(void);
struct file *cmad_access_procfs(void);
struct cmad_grant *cmad_access_judge(struct pid *pid,
				     const struct cmad_grant *known, gfp_t gfp);
int cmad_access_rejudge(const struct cmad_grant *grant,
			const struct cred **targetp, unsigned long *expires);
int cmad_access_of_window(const struct cmad_window *window, u32 access);
struct cmad_grant *cmad_access_window(struct cmad_window *window, u32 access,
				      gfp_t gfp);
struct cmad_grant *cmad_access_published(struct pid *pid, u32 access,
					 gfp_t gfp);
int cmad_grant_charge(struct cmad_grant *grant, enum cmad_charge charge);
void cmad_grant_put(struct cmad_grant *grant);

/* Whether the window that it is for, if any, was withdrawn. */
static __always_inline bool cmad_grant_ended(const struct cmad_grant *grant)
{
	return grant->window && READ_ONCE(grant->window->ended);
}

#endif /* CMAD_GRANT_H */
