/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's files share.
 *
 * A request reads as a straight line: ioctl.c takes it in, vec.c imports its
 * segments, peer.c finds whom it names, access.c (or handle.c) gives a grant,
 * copy.c moves the bytes, by the translations of chunk.c where there are any.
 *
 * Lifetimes. An open file owns its windows, its handles and its cached
 * verdicts. The latter two are grants: they hold the peer's space, which holds
 * its mm_struct by mmgrab() and never by mm_users, so that nobody keeps a dead
 * process's memory; what the cache does not serve takes mm_users with
 * mmget_not_zero() for 2 MB at most and drops it with mmput(), with no lock
 * held. Grants are looked up under RCU and counted for the length of an
 * operation, or used under RCU alone (short.c).
 *
 * Lock order: the peer's mmap_lock > its rmap locks > its interval notifiers >
 * chunk lock (one), or the i_mmap lock of those who map it, which is only tried
 * there. The mapper's mmap_lock, under which the peer's is never taken > the
 * grant's tables > the space's faults > chunk lock > page table locks.
 * chunks_lock > spaces_lock.
 * All spinlocks are leaves otherwise: under them none of the first line is
 * taken, and nothing sleeps.
 */
#ifndef CMAD_PRIVATE_H
#define CMAD_PRIVATE_H

#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <uapi/cma.h>

#include "compat/compat.h"

#define CMAD_VERSION "0.1.0"
#define CMAD_MAX_IOV_MANY 65536
/* Page-aligned, as MAX_RW_COUNT is; no sum of lengths can overflow. */
#define CMAD_MAX_BYTES_LARGE ((u64)S64_MAX & PAGE_MASK)
/* Each may hold the mm_struct of a dead process, some 12 kB. */
#define CMAD_MAX_HANDLES 8192
/* Sets by peer and caller, so that 64 ranks a node fit with room to spare. */
#define CMAD_VERDICT_SET_BITS 6
#define CMAD_VERDICT_WAYS 4
#define CMAD_VERDICTS (CMAD_VERDICT_WAYS << CMAD_VERDICT_SET_BITS)
#define CMAD_FAST_IOV 8

#define CMAD_CHUNK_SHIFT 21
#define CMAD_CHUNK_SIZE BIT(CMAD_CHUNK_SHIFT)
#define CMAD_CHUNK_PAGES (CMAD_CHUNK_SIZE >> PAGE_SHIFT)
#define CMAD_TOUCH_BITS 4096	/* chunks, of 8 GB in a row */

/* The low bits of a chunk's entry; the others are a page's kernel address. */
#define CMAD_ENTRY_READ 1UL
#define CMAD_ENTRY_WRITE 2UL
#define CMAD_ENTRY_HELD 4UL	/* no rights, but a reference until hidden */
#define CMAD_ENTRY_STORED 8UL	/* no rights; was mapped for writing, maybe is */
#define CMAD_ENTRY_LEFT 16UL	/* the reference goes after this hiding */

/**
 * struct cmad_space - one address space
 * @refs: grants, and evictions under way; the last one queues @free
 * @mm: the address space, held by mmgrab()
 * @node: in the table of spaces; spaces_lock
 * @touched: chunks that were copied from by pinning, by the low bits of their
 *	index; a hint, not locked
 * @nr_touched: bits set there, about
 * @siblings: the space's chunks, the next victim first; chunks_lock
 * @nr_chunks: chunks at @siblings; chunks_lock
 * @mapping: the VMAs that map the space, by its page numbers
 * @faults: faults in those hold it for reading, the end of a window for
 *	writing, so that none of them goes on with it
 * @reap: destroys the chunks when the owner exits
 * @free: takes the space apart
 */
struct cmad_space {
	refcount_t refs;
	struct mm_struct *mm;
	struct hlist_node node;
	DECLARE_BITMAP(touched, CMAD_TOUCH_BITS);
	unsigned int nr_touched;
	struct list_head siblings;
	unsigned int nr_chunks;
	struct address_space mapping;
	struct rw_semaphore faults;
	struct work_struct reap;
	struct work_struct free;
};

/**
 * struct cmad_chunk - the translations of 2 MB of a space
 * @notifier: tells of changes of the owner's address space there
 * @lock: copies hold it for reading; changes of what refers to it, and making
 *	page table entries from @entries, for writing
 * @entries: for each page its kernel address and CMAD_ENTRY_*, or 0; @lock
 * @dead: being destroyed; @lock
 * @mapped: pages were mapped from @entries, and may be so still; @lock
 * @held: entries with a reference on their page; @lock. Who waits for the end of
 *	CMAD_ENTRY_HELD waits for this variable
 * @used: a copy used it since eviction last looked; a hint, not locked
 * @flat: many of the pages as one, or NULL; @lock
 * @carried: bytes copied by @entries since these lost any; readers add to it,
 *	too, since it only has to be about right
 * @flat_after: bytes to be carried before @flat is built; @lock
 * @changes: invalidations; @lock
 * @space: whose; valid until the chunk is off the lists
 * @index: its address >> CMAD_CHUNK_SHIFT
 * @refs: the table's, and one for each fill under way
 * @node: in the table of chunks; changed under chunks_lock, readers under RCU
 * @all: in the list of all chunks; chunks_lock
 * @sibling: in its space's list; chunks_lock
 * @evict: destroys it
 * @hide: takes it from those who map it, where the notifier could not
 * @rcu: frees it
 */
struct cmad_chunk {
	struct mmu_interval_notifier notifier;
	struct rw_semaphore lock; /* copies under way against changes */
	unsigned long *entries;
	bool dead;
	bool mapped;
	bool used;
	unsigned int held;
	struct cmad_flat *flat;
	unsigned long carried;
	unsigned long flat_after;
	unsigned long changes;
	struct cmad_space *space;
	unsigned long index;
	refcount_t refs;
	struct hlist_node node;
	struct list_head all;
	struct list_head sibling;
	struct work_struct evict;
	struct work_struct hide;
	struct rcu_head rcu;
};

/**
 * struct cmad_flat - scattered pages of a chunk, mapped one behind the other
 * @base: where in the kernel
 * @first: of the chunk's pages, the one that is there
 * @nr: pages
 * @write: whether all may be written to
 * @changes: the chunk's, when they were looked up
 * @free: unmaps them
 *
 * Immutable once it is the chunk's.
 */
struct cmad_flat {
	void *base;
	unsigned int first;
	unsigned int nr;
	bool write;
	unsigned long changes;
	struct work_struct free;
};

/**
 * struct cmad_grant - the kernel's own yes to a caller for a peer
 * @refs: one while published, one for each operation under way
 * @space: the peer's, with a reference
 * @base: where remote address 0 is: a window's begin, else 0
 * @length: bytes from there on that can be reached
 * @access: CMA_ACCESS_*
 * @window: with a reference; NULL in a grant by the rules of ptrace, and only
 *	that has the following
 * @pid: the peer
 * @caller: whom the kernel judged; held, so that its address is not reused
 * @target: the peer's credentials, taken before the judgement; likewise
 * @expires: jiffies after which a cached verdict is void
 * @cacheable: whether the verdict can be kept at all
 * @file: what the mappings by it have for a file; set once, at the first one
 * @tables: who makes a page table, or a 2 MB entry in the place of one, in those
 * @free: frees it, a grace period after the last reference
 *
 * All but @refs, @file and @tables is immutable once it is published in a
 * file's verdicts or handles.
 */
struct cmad_grant {
	refcount_t refs;
	struct cmad_space *space;
	u64 base;
	u64 length;
	u32 access;
	struct cmad_window *window;
	struct pid *pid;
	const struct cred *caller;
	const struct cred *target;
	unsigned long expires;
	bool cacheable;
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
 * @file: the open file it was created in; valid until @ended
 * @ended: withdrawn; a copy looks at it before each step
 * @node: in the table of windows; windows_lock
 * @sibling: in its file's list; windows_lock
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
	struct cmad_file *file;
	bool ended;
	struct hlist_node node;
	struct list_head sibling;
};

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
 * struct cmad_file - one open file of /dev/cma
 * @handles: grants by the number of their handle, or NULL before the first;
 *	readers under RCU
 * @handles_lock: see there
 * @windows: what was created here; windows_lock
 * @nr_windows: windows there; windows_lock
 * @lock: see there
 * @verdicts: recent judgements, in sets; readers under RCU
 * @next_way: of a full set, the slot that is overwritten next; @lock
 * @sweep: gives up verdicts that are of no use
 * @populate: who is in mmap() with MAP_POPULATE; compared, never followed
 */
struct cmad_file {
	struct cmad_handles __rcu *handles;
	struct mutex handles_lock; /* writers of @handles */
	struct list_head windows;
	unsigned int nr_windows;
	spinlock_t lock; /* writers of @verdicts and @next_way */
	struct cmad_grant __rcu *verdicts[1 << CMAD_VERDICT_SET_BITS]
					 [CMAD_VERDICT_WAYS];
	unsigned int next_way;
	struct delayed_work sweep;
	struct task_struct *populate;
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
 * @lone: look at one remote segment at a time: not all of them are there
 * @fault_side: CMA_FAULT_*
 * @fault_addr: where the copy stopped, if @fault_side is set
 */
struct cmad_copy {
	struct cmad_vec local;
	struct cmad_vec remote;
	u64 left;
	u64 copied;
	bool write;
	bool lone;
	u32 fault_side;
	u64 fault_addr;
};

/* main.c */
extern struct workqueue_struct *cmad_wq;
extern struct workqueue_struct *cmad_hide_wq;

/* ioctl.c */
long cmad_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* vec.c */
int cmad_copy_import(struct cmad_copy *copy, const struct cma_ioc_copy *args);
void cmad_copy_free(struct cmad_copy *copy);

/* peer.c: a reference on the pid, or an ERR_PTR */
struct pid *cmad_peer_pid(u32 type, s32 id);

/* access.c: grants come with a reference, or as an ERR_PTR */
extern unsigned int cmad_verdict_ms;
int cmad_access_init(void);
void cmad_access_exit(void);
struct file *cmad_access_procfs(void);
struct cmad_grant *cmad_access_judge(struct pid *pid);
struct cmad_grant *cmad_access_window(struct cmad_window *window, u32 access);
struct cmad_grant *cmad_access_grant(struct cmad_file *cf, struct pid *pid,
				     bool strict);
struct cmad_grant *cmad_verdict_peek(struct cmad_file *cf, struct pid *pid);
void cmad_grant_put(struct cmad_grant *grant);
void cmad_verdicts_init(struct cmad_file *cf);
void cmad_verdicts_free(struct cmad_file *cf);

/* handle.c */
int cmad_handle_open(struct cmad_file *cf, struct cmad_grant *grant);
int cmad_handle_close(struct cmad_file *cf, s32 id);
struct cmad_grant *cmad_handle_grant(struct cmad_file *cf, s32 id, bool strict);
void cmad_handles_free(struct cmad_file *cf);

/* The handle's grant, or NULL. Under RCU, and good under it. */
static inline struct cmad_grant *cmad_handle_peek(struct cmad_file *cf, s32 id)
{
	const struct cmad_handles *handles = rcu_dereference(cf->handles);

	if (!handles || (u32)id >= handles->size)
		return NULL;
	id = array_index_nospec(id, handles->size);
	return rcu_dereference(handles->slot[id]);
}

/* window.c */
int cmad_window_create(struct cmad_file *cf,
		       struct cma_ioc_window_create *args);
int cmad_window_destroy(struct cmad_file *cf, u64 name);
struct cmad_window *cmad_window_find(u64 name);
void cmad_window_put(struct cmad_window *window);
void cmad_windows_free(struct cmad_file *cf);

/* space.c */
struct cmad_space *cmad_space_get(struct mm_struct *mm);
void cmad_space_put(struct cmad_space *space);
void cmad_space_exit(void);

/* chunk.c */
extern unsigned int cmad_max_chunks;
struct cmad_chunk *cmad_chunk_trylock(struct cmad_space *space,
				      unsigned long addr);
struct cmad_chunk *cmad_chunk_get(struct cmad_space *space,
				  unsigned long index);
struct cmad_chunk *cmad_chunk_create(struct cmad_space *space,
				     unsigned long index, bool must);
void cmad_chunk_put(struct cmad_chunk *chunk);
void cmad_chunks_drop(struct cmad_space *space);
int cmad_chunk_init(void);
void cmad_chunk_stop(void);
void cmad_chunk_exit(void);

/* flat.c */
void cmad_flat_init(struct cmad_chunk *chunk);
void cmad_flat_drop(struct cmad_chunk *chunk);
void cmad_flat_build(struct cmad_space *space, unsigned long addr);

/* fill.c */
bool cmad_space_fill(struct cmad_copy *copy, const struct cmad_grant *grant,
		     u64 addr, u64 len);
void cmad_space_touch(struct cmad_space *space, unsigned long addr);
bool cmad_vma_is_fit(const struct vm_area_struct *vma);
int cmad_chunk_enter(struct cmad_chunk *chunk, const struct hmm_range *range,
		     bool write);

/* map.c */
int cmad_mmap(struct file *file, struct vm_area_struct *vma);
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
unsigned long cmad_map_area(struct file *file, unsigned long addr,
			    unsigned long len, unsigned long pgoff,
			    unsigned long flags);
#else
#define cmad_map_area NULL /* any address will do */
#endif

/* fault.c */
extern const struct vm_operations_struct cmad_map_ops;

/* hide.c */
void cmad_hide_init(struct cmad_space *space);
void cmad_hide(struct cmad_chunk *chunk, unsigned long first, unsigned long nr,
	       const struct mmu_notifier_range *range);
void cmad_hide_chunk(struct cmad_chunk *chunk);
void cmad_hide_later(struct cmad_chunk *chunk, unsigned long first,
		     unsigned long nr);
void cmad_hide_work(struct work_struct *work);
void cmad_hide_end(struct cmad_chunk *chunk);
void cmad_hide_window(const struct cmad_window *window);

/* copy.c */
int cmad_copy_run(struct cmad_copy *copy, const struct cmad_grant *grant);

/* short.c */
bool cmad_copy_short(struct cmad_file *cf, const struct cma_ioc_copy *args,
		     struct cmad_grant **grantp);

/* stat.c */
struct cmad_stat {
	u64 copies;
	u64 bytes;
	u64 faults;
	u64 denials;
	u64 fills;
	u64 collisions;
	u64 invalidations;
	u64 evictions;
	u64 flattenings;
	u64 deferrals;
};

DECLARE_PER_CPU(struct cmad_stat, cmad_stats);
extern const struct attribute_group *cmad_stat_groups[];

#define cmad_count(what, n) this_cpu_add(cmad_stats.what, n)

#endif /* CMAD_PRIVATE_H */
