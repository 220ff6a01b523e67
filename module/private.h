/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's files share.
 *
 * A request reads as a straight line: ioctl.c takes it in, vec.c imports its
 * segments, peer.c finds whom it names, access.c (or handle.c) turns that
 * into an mm, copy.c moves the bytes.
 *
 * Lifetimes. An open file owns its handles and cached verdicts. Both are
 * grants: they hold the peer's mm_struct by mmgrab() and never by mm_users,
 * so that nobody keeps a dead process's memory; an operation takes mm_users
 * with mmget_not_zero() for its own length and drops it with mmput(), with no
 * lock held. Grants are found under RCU and freed from a work item after a
 * grace period, because mmdrop() must not run in softirq context.
 *
 * Lock order: cmad_file.lock and the xarray's own lock are leaves, never
 * nested in each other. mmap_lock of the peer is taken with nothing held.
 */
#ifndef CMAD_PRIVATE_H
#define CMAD_PRIVATE_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <uapi/cma.h>

#include "compat/compat.h"

#define CMAD_VERSION "0.1.0"
#define CMAD_MAX_IOV_MANY 65536
/* Page-aligned, as MAX_RW_COUNT is; no sum of lengths can overflow. */
#define CMAD_MAX_BYTES_LARGE ((u64)S64_MAX & PAGE_MASK)
#define CMAD_MAX_HANDLES 65536
#define CMAD_MAX_VERDICTS 16
#define CMAD_FAST_IOV 8

/**
 * struct cmad_grant - the kernel's own yes to a caller for a peer
 * @mm: the peer's address space, held by mmgrab()
 * @pid: the peer
 * @caller: whom the kernel judged; held, so that its address is not reused
 * @target: the peer's credentials, taken before the judgement; likewise
 * @expires: jiffies after which a cached verdict is void
 * @cacheable: whether the verdict can be kept at all
 * @free: frees the grant a grace period after it was unpublished
 *
 * Immutable from the moment it is published in a file's verdicts or handles.
 */
struct cmad_grant {
	struct mm_struct *mm;
	struct pid *pid;
	const struct cred *caller;
	const struct cred *target;
	unsigned long expires;
	bool cacheable;
	struct rcu_work free;
};

/**
 * struct cmad_file - one open file of /dev/cma
 * @handles: id to &struct cmad_grant; readers under RCU, writers under xa_lock
 * @lock: see there
 * @verdicts: recent judgements; readers under RCU
 * @next_verdict: the slot that is overwritten next
 */
struct cmad_file {
	struct xarray handles;
	spinlock_t lock; /* writers of @verdicts and @next_verdict */
	struct cmad_grant __rcu *verdicts[CMAD_MAX_VERDICTS];
	unsigned int next_verdict;
};

/**
 * struct cmad_vec - one side's segments, and the point reached in them
 * @iov: @fast, or kvmalloc()ed
 * @nr: segments at @iov
 * @seg: the segment that the next byte belongs to
 * @off: bytes of that segment already moved
 * @fast: room for the usual few segments
 */
struct cmad_vec {
	struct cma_iovec *iov;
	unsigned long nr;
	unsigned long seg;
	u64 off;
	struct cma_iovec fast[CMAD_FAST_IOV];
};

/**
 * struct cmad_copy - a copy that is being done
 * @local: the caller's segments; checked by access_ok()
 * @remote: the peer's segments; any addresses
 * @left: bytes still to be moved: what the shorter side holds
 * @copied: bytes moved
 * @write: local to remote
 * @fault_side: CMA_FAULT_*
 * @fault_addr: where the copy stopped, if @fault_side is set
 */
struct cmad_copy {
	struct cmad_vec local;
	struct cmad_vec remote;
	u64 left;
	u64 copied;
	bool write;
	u32 fault_side;
	u64 fault_addr;
};

/* main.c */
extern struct workqueue_struct *cmad_wq;

/* ioctl.c */
long cmad_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* vec.c */
int cmad_copy_import(struct cmad_copy *copy, const struct cma_ioc_copy *args);
void cmad_copy_free(struct cmad_copy *copy);

/* peer.c: both return a reference on the pid, or an ERR_PTR */
struct pid *cmad_peer_pid(u32 type, s32 id);

/* access.c */
extern unsigned int cmad_verdict_ms;
int cmad_access_init(void);
void cmad_access_exit(void);
struct file *cmad_access_procfs(void);
struct cmad_grant *cmad_access_judge(struct pid *pid);
struct mm_struct *cmad_access_mm(struct cmad_file *cf, struct pid *pid,
				 bool strict);
void cmad_grant_free(struct cmad_grant *grant);
void cmad_grant_free_rcu(struct cmad_grant *grant);
void cmad_verdicts_free(struct cmad_file *cf);

/* handle.c */
int cmad_handle_open(struct cmad_file *cf, struct pid *pid);
int cmad_handle_close(struct cmad_file *cf, s32 id);
struct mm_struct *cmad_handle_mm(struct cmad_file *cf, s32 id, bool strict);
void cmad_handles_free(struct cmad_file *cf);

/* copy.c */
int cmad_copy_run(struct cmad_copy *copy, struct mm_struct *mm);

/* stat.c */
struct cmad_stat {
	u64 copies;
	u64 bytes;
	u64 faults;
	u64 denials;
};

DECLARE_PER_CPU(struct cmad_stat, cmad_stats);
extern const struct attribute_group *cmad_stat_groups[];

#define cmad_count(what, n) this_cpu_add(cmad_stats.what, n)

#endif /* CMAD_PRIVATE_H */
