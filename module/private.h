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
 * process's memory, and gives up even that soon after its death (space.h). To
 * look at its page tables, or to pin pages, takes mm_users, which are dropped,
 * with no lock held, before a byte moves. Grants are looked up under RCU and
 * counted for the length of an operation, or used under RCU alone (short.c).
 *
 * Lock order: the peer's mmap_lock > its rmap locks > its interval notifiers >
 * the space's views_lock > chunk lock (one) > page table locks. The mapper's
 * mmap_lock, under which the peer's is never taken > the grant's tables > the
 * space's views_lock. A lock of cmad_chunk_lru > cmad_chunks_lock > spaces_lock.
 * All spinlocks are leaves otherwise: under them none of the first line is
 * taken (a chunk lock may be tried), and nothing sleeps.
 *
 * Allocations. The cache is made from what can be had without hurting anybody
 * (CMAD_GFP_CACHE), since a copy goes without it, too; so is what a copy by pid
 * keeps. Neither calls the OOM killer where process_vm_readv() would not. All else
 * (handles, windows, open files, mappings) is GFP_KERNEL, as with any other call
 * that makes something, and charged to the caller if it outlives the call.
 */
#ifndef CMAD_PRIVATE_H
#define CMAD_PRIVATE_H

#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/interval_tree.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <uapi/cma.h>

#include "compat/compat.h"
#include "stat.h"

#define CMAD_VERSION "0.1.0"
#define CMAD_MAX_IOV_MANY 65536
/* Page-aligned, as MAX_RW_COUNT is; no sum of lengths can overflow. */
#define CMAD_MAX_BYTES_LARGE ((u64)S64_MAX & PAGE_MASK)
/*
 * Reclaim is tried but once, and neither the OOM killer nor the reserves: the
 * page allocator and memory cgroups alike fail early by __GFP_NORETRY.
 */
#define CMAD_GFP_CACHE (GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)
#define CMAD_MAX_HANDLES 16384
#define CMAD_FEW_HANDLES 16 /* slots that an open file comes with */
#define CMAD_FAST_IOV 8

#define CMAD_CHUNK_SHIFT 21
#define CMAD_CHUNK_SIZE BIT(CMAD_CHUNK_SHIFT)
#define CMAD_CHUNK_PAGES (CMAD_CHUNK_SIZE >> PAGE_SHIFT)
#define CMAD_TOUCH_BITS 4096	/* chunks, of 8 GB in a row */

/*
 * The low bits of a chunk's entry; the others are a page's kernel address. With
 * neither, the entry is revoked: the page may be mapped still, and must be
 * unmapped before it changes.
 */
#define CMAD_ENTRY_READ 1UL
#define CMAD_ENTRY_WRITE 2UL

/* What a user is charged for; see user.c */
enum cmad_charge {
	CMAD_CHARGE_HANDLE,
	CMAD_CHARGE_VERDICT,
	CMAD_CHARGE_WINDOW,
	CMAD_CHARGE_SPACE,
	CMAD_CHARGES
};

struct cmad_user;

/**
 * struct cmad_space - one address space
 * @refs: grants, and evictions under way; the last one queues @free
 * @holds: one for all of @refs, one for @young while the kernel knows it
 * @mm: the address space, or NULL once it was found dead; RCU
 * @held: the same, held by mmgrab() until it is given back
 * @user: who is charged for that, or NULL as long as nobody keeps it
 * @node: in the table of spaces while @mm is set; spaces_lock
 * @all: in the list of those there; spaces_lock
 * @touched: chunks that were copied from by pinning, by the low bits of their
 *	index; a hint, not locked
 * @nr_touched: bits set there, about
 * @siblings: the space's chunks, the next victim first; cmad_chunks_lock
 * @nr_chunks: chunks at @siblings; cmad_chunks_lock
 * @attached: whether the address space can have notifiers; see space.c
 * @mapping: where the kernel files the VMAs that map the space, away from those
 *	of others
 * @views_lock: see unmap.c
 * @views: the views that are alive, by the space's page numbers; @views_lock
 * @attach: makes the first notifier
 * @young: answers whether pages were used
 * @watched: @young is registered; written by @attach
 * @reap: destroys the chunks when the owner exits
 * @free: takes the space apart
 */
struct cmad_space {
	refcount_t refs;
	refcount_t holds;
	struct mm_struct __rcu *mm;
	struct mm_struct *held;
	struct cmad_user *user;
	struct rhash_head node;
	struct list_head all;
	DECLARE_BITMAP(touched, CMAD_TOUCH_BITS);
	unsigned int nr_touched;
	struct list_head siblings;
	unsigned int nr_chunks;
	unsigned int attached;
	struct address_space mapping;
	struct rw_semaphore views_lock;
	struct rb_root_cached views;
	struct work_struct attach;
	struct mmu_notifier young;
	bool watched;
	struct work_struct reap;
	struct work_struct free;
};

/**
 * struct cmad_chunk - the translations of 2 MB of a space
 * @notifier: tells of changes of the owner's address space there
 * @lock: copies hold it for reading; changes of what refers to it, and making
 *	page table entries from @entries, for writing
 * @entries: for each page its kernel address and CMAD_ENTRY_*, or 0; @lock. NULL
 *	once it is @dead and shows nothing
 * @dead: being destroyed; @lock
 * @wanted: a copier tries to change it, and readers stay away; a hint, not locked
 * @mapped: pages were mapped from @entries, and may be so still; @lock
 * @used: a copy used it since eviction last looked; a hint, not locked
 * @asked: somebody asked about @young, which copies therefore keep; set once
 * @young: pages that were used since they were last asked about; atomic
 * @flat: many of the pages as one, or NULL; @lock
 * @carried: bytes copied by @entries since these lost any; readers add to it,
 *	too, since it only has to be about right
 * @flat_after: bytes to be carried before @flat is built of all pages; @lock
 * @flat_pages: pages that it was to be built of when that was looked at last; @lock
 * @flat_look: bytes to be carried before it is looked whether they are enough for
 *	those that are there; as @carried
 * @changes: invalidations; @lock
 * @space: whose; valid until the chunk is off the lists
 * @index: its address >> CMAD_CHUNK_SHIFT
 * @refs: the table's, and one for each fill under way
 * @node: in the table of chunks; changed under cmad_chunks_lock, readers under RCU
 * @all: in the list of all chunks; cmad_chunks_lock
 * @sibling: in its space's list; cmad_chunks_lock
 * @lru: in cmad_chunk_lru; the lock of a list there
 * @evict: destroys it
 * @rcu: frees it
 */
struct cmad_chunk {
	struct mmu_interval_notifier notifier;
	struct rw_semaphore lock; /* steps under way against changes */
	unsigned long *entries;
	bool dead;
	bool wanted;
	bool mapped;
	bool used;
	bool asked;
	struct cmad_flat *flat;
	unsigned long carried;
	unsigned long flat_after;
	unsigned int flat_pages;
	unsigned long flat_look;
	unsigned long changes;
	struct cmad_space *space;
	unsigned long index;
	refcount_t refs;
	struct hlist_node node;
	struct list_head all;
	struct list_head sibling;
	struct list_head lru;
	DECLARE_BITMAP(young, CMAD_CHUNK_PAGES);
	struct work_struct evict;
	struct rcu_head rcu;
};

/**
 * struct cmad_flat - scattered pages of a chunk, mapped one behind the other
 * @base: where in the kernel
 * @first: of the chunk's pages, the one that is there
 * @nr: pages
 * @write_first: of the chunk's pages, the first of those that may be written to;
 *	the chunk's lock
 * @write_end: behind the last of them; likewise
 * @changes: the chunk's, when they were looked up
 * @free: unmaps them
 *
 * All but what may be written to is immutable once it is the chunk's.
 */
struct cmad_flat {
	void *base;
	unsigned int first;
	unsigned int nr;
	unsigned int write_first;
	unsigned int write_end;
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
 * @mem: the peer's mem in procfs, with a reference; see access.c
 * @caller: whom the kernel judged; held, so that its address is not reused
 * @target: the peer's credentials, taken before the judgement; likewise
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
 * @interruptible: any signal ends it, which process_vm_readv() does not know
 * @lone: look at one remote segment at a time: not all of them are there
 * @poor: there was no memory for the cache: to look for some takes its time, too
 * @fault_side: CMA_FAULT_*
 * @fault_addr: where the copy stopped, if @fault_side is set
 */
struct cmad_copy {
	struct cmad_vec local;
	struct cmad_vec remote;
	u64 left;
	u64 copied;
	bool write;
	bool interruptible;
	bool lone;
	bool poor;
	u32 fault_side;
	u64 fault_addr;
};

/* main.c */
extern struct workqueue_struct *cmad_wq;

/* ioctl.c */
long cmad_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* vec.c */
int cmad_copy_import(struct cmad_copy *copy, const struct cma_ioc_copy *args);
void cmad_copy_skip(struct cmad_copy *copy, u64 done);
void cmad_copy_free(struct cmad_copy *copy);

/* peer.c: a reference on the pid, or an ERR_PTR */
struct pid *cmad_peer_pid(u32 type, s32 id);

/* access.c: grants come with a reference, or as an ERR_PTR */
int cmad_access_init(void);
void cmad_access_exit(void);
struct file *cmad_access_procfs(void);
struct cmad_grant *cmad_access_judge(struct pid *pid,
				     const struct cmad_grant *known, gfp_t gfp);
int cmad_access_rejudge(const struct cmad_grant *grant,
			const struct cred **targetp, unsigned long *expires);
int cmad_access_of_window(const struct cmad_window *window, u32 access);
struct cmad_grant *cmad_access_window(struct cmad_window *window, u32 access);
int cmad_grant_charge(struct cmad_grant *grant, enum cmad_charge charge);
void cmad_grant_put(struct cmad_grant *grant);

/* verdict.c: as access.c */
extern unsigned int cmad_verdict_ms;
struct cmad_grant *cmad_verdict_peek(struct cmad_file *cf, struct pid *pid);
struct cmad_grant *cmad_verdict_refresh(struct cmad_file *cf, s32 nr);
struct cmad_grant *cmad_verdict_grant(struct cmad_file *cf, struct pid *pid,
				      u32 flags);
void cmad_verdicts_init(struct cmad_file *cf);
void cmad_verdicts_free(struct cmad_file *cf);

/* Whether the window that it is for, if any, was withdrawn. */
static __always_inline bool cmad_grant_ended(const struct cmad_grant *grant)
{
	return grant->window && READ_ONCE(grant->window->ended);
}

/* handle.c */
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

/* window.c */
int cmad_window_create(struct cmad_file *cf,
		       struct cma_ioc_window_create *args);
int cmad_window_destroy(struct cmad_file *cf, u64 name);
struct cmad_window *cmad_window_find(u64 name);
void cmad_window_put(struct cmad_window *window);
void cmad_windows_free(struct cmad_file *cf);
int cmad_window_init(void);
void cmad_window_exit(void);

/* user.c */
struct cmad_user *cmad_user_charge(enum cmad_charge what);
void cmad_user_uncharge(struct cmad_user *user, enum cmad_charge what);
void cmad_user_init(void);

/* chunk.c */
extern spinlock_t cmad_chunks_lock;
struct cmad_chunk *cmad_chunk_trylock(struct cmad_space *space,
				      unsigned long addr);
struct cmad_chunk *cmad_chunk_get(struct cmad_space *space,
				  unsigned long index);
struct cmad_chunk *cmad_chunk_peek(struct cmad_space *space,
				   unsigned long index);
struct cmad_chunk *cmad_chunk_create(struct cmad_space *space,
				     unsigned long index, bool must);
void cmad_chunk_put(struct cmad_chunk *chunk);
bool cmad_chunk_take(struct cmad_chunk *chunk);
void cmad_chunk_strip(struct cmad_chunk *chunk);
void cmad_chunk_destroy(struct cmad_chunk *chunk);
void cmad_chunks_drop(struct cmad_space *space);
int cmad_chunk_init(void);
void cmad_chunk_exit(void);

/* evict.c */
extern unsigned int cmad_max_chunks;
extern struct list_lru cmad_chunk_lru; /* compat/shrinker.h */
void cmad_evict_init_chunk(struct cmad_chunk *chunk);
void cmad_evict_add(struct cmad_chunk *chunk);
void cmad_evict_del(struct cmad_chunk *chunk);
bool cmad_evict_is_full(const struct cmad_space *space);
bool cmad_evict_admits(unsigned long pages, bool there);
void cmad_evict_drawn(void);
bool cmad_evict_make_room(struct cmad_space *space, bool must);
void cmad_evict_count(void);
void cmad_evict_uncount(void);
void cmad_evict_set_defaults(void);
int cmad_evict_init(void);
void cmad_evict_stop(void);
void cmad_evict_exit(void);

/* young.c */
void cmad_young_init_chunk(struct cmad_chunk *chunk);
void cmad_young_mark(struct cmad_chunk *chunk, unsigned long offset,
		     unsigned long len);
void cmad_young_hand_over(struct cmad_chunk *chunk);
void cmad_young_begin(struct cmad_space *space);
void cmad_young_end(struct cmad_space *space);

/* flat.c */
void cmad_flat_init(struct cmad_chunk *chunk);
void cmad_flat_drop(struct cmad_chunk *chunk);
void cmad_flat_widen(struct cmad_chunk *chunk, unsigned int index);
void cmad_flat_build(struct cmad_space *space, unsigned long addr);

/* fill.c */
bool cmad_space_fill(struct cmad_copy *copy, const struct cmad_grant *grant,
		     u64 addr, u64 len);
bool cmad_space_fill_pays(struct cmad_space *space, unsigned long addr);
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

/* populate.c */
int cmad_populate(const struct cma_ioc_populate *args);

/* show.c */
int cmad_show(const struct cma_ioc_show *args);

/* fault.c */
extern const struct vm_operations_struct cmad_map_ops;

/* unmap.c */
bool cmad_unmap_pages(struct cmad_chunk *chunk, unsigned long first,
		      unsigned long nr, bool may_wait);
void cmad_unmap_chunk(struct cmad_chunk *chunk);
void cmad_unmap_window(const struct cmad_window *window);

/* step.c */
bool cmad_chunk_change_begin(struct cmad_chunk *chunk);
void cmad_chunk_change_end(struct cmad_chunk *chunk);

/* pages.c */
long cmad_pages_get(struct mm_struct *mm, unsigned long addr, unsigned long nr,
		    bool write, struct page **pages);
void cmad_pages_put(struct page **pages, long nr, bool write);

/* copy.c */
unsigned long cmad_copy_translated(struct cmad_chunk *chunk,
				   unsigned long offset, void __user *user,
				   unsigned long len, bool write);
int cmad_copy_run(struct cmad_file *cf, struct cmad_copy *copy,
		  const struct cmad_grant *grant);

/* The CMA_ACCESS_* that the copy needs. */
static inline u32 cmad_copy_access(const struct cma_ioc_copy *args)
{
	return args->flags & CMA_COPY_WRITE ? CMA_ACCESS_WRITE :
					      CMA_ACCESS_READ;
}

/* short.c */
bool cmad_copy_short(struct cmad_file *cf, struct cma_ioc_copy *args,
		     struct cmad_grant **grantp);

/* fdinfo.c */
void cmad_show_fdinfo(struct seq_file *m, struct file *file);

#endif /* CMAD_PRIVATE_H */
