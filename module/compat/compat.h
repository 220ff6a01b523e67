/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernels differ. probed.h is made at build time by
 * compiling the files of probes/ against the kernel at hand, because version
 * numbers lie where distributions backport. One shim for each difference,
 * under a name that says what it does.
 */
#ifndef CMAD_COMPAT_H
#define CMAD_COMPAT_H

#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/namei.h>
#include <linux/pid.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/sched/coredump.h>
#include <linux/sched/task.h>
#include <asm/barrier.h>

#include "probed.h"

#ifdef CMAD_HAVE_EXEC_STATE
#include <linux/sched/exec_state.h>
#endif

/*
 * For a local array that is written before it is read: spares the zeroing of
 * CONFIG_INIT_STACK_ALL_ZERO, which would cost more than a short copy.
 */
#if __has_attribute(uninitialized)
#define CMAD_UNINITIALIZED __attribute__((uninitialized))
#else
#define CMAD_UNINITIALIZED
#endif

/* Exported by every kernel, but not declared for modules by the older ones. */
int vfs_path_lookup(struct dentry *dentry, struct vfsmount *mnt,
		    const char *name, unsigned int flags, struct path *path);

/*
 * Whether ptrace looks at nothing but credentials for @task (dumpable is 1).
 * @mm is its address space, kept by the caller. Must be called with either a
 * reference on @task or under rcu_read_lock().
 */
static inline bool cmad_task_dumpable(struct task_struct *task,
				      struct mm_struct *mm)
{
#ifdef CMAD_HAVE_EXEC_STATE
	struct task_exec_state *state;
	bool dumpable;

	rcu_read_lock();
	state = rcu_dereference(task->exec_state);
	dumpable = state && READ_ONCE(state->dumpable) == TASK_DUMPABLE_OWNER;
	rcu_read_unlock();
	return dumpable;
#else
	/* No lock guards it, and ptrace reads it so, too. */
	return data_race(get_dumpable(mm)) == SUID_DUMP_USER;
#endif
}

/*
 * From here on what current allocates is charged to no memory cgroup but the
 * root. What comes back ends that. As set_active_memcg(), which asks for a
 * symbol that older kernels do not export, and in task context only.
 */
static inline struct mem_cgroup *cmad_uncharged_begin(void)
{
#ifdef CONFIG_MEMCG
	struct mem_cgroup *old = current->active_memcg;

	rcu_read_lock();
	current->active_memcg = mem_cgroup_from_task(&init_task);
	rcu_read_unlock();
	return old;
#else
	return NULL;
#endif
}

static inline void cmad_uncharged_end(struct mem_cgroup *old)
{
#ifdef CONFIG_MEMCG
	current->active_memcg = old;
#endif
}

/* Else a page under a NUMA hint is taken as it is, and stays under it. */
#ifdef CMAD_HAVE_HONOR_NUMA_FAULT
#define CMAD_FOLL_NUMA FOLL_HONOR_NUMA_FAULT
#else
#define CMAD_FOLL_NUMA 0 /* always so */
#endif

/*
 * get_user_pages_remote(), which once had an argument for the VMAs, and before
 * that another one for the task whose faults are counted; the rest is the same.
 */
static inline long cmad_get_remote(struct mm_struct *mm, unsigned long start,
				   unsigned long nr, unsigned int flags,
				   struct page **pages, int *locked)
{
#if defined(CMAD_HAVE_REMOTE_WITH_TASK)
	return get_user_pages_remote(NULL, mm, start, nr, flags, pages, NULL,
				     locked);
#elif defined(CMAD_HAVE_PIN_REMOTE_WITHOUT_VMAS)
	return get_user_pages_remote(mm, start, nr, flags, pages, locked);
#else
	return get_user_pages_remote(mm, start, nr, flags, pages, NULL, locked);
#endif
}

static inline long cmad_pin_remote(struct mm_struct *mm, unsigned long start,
				   unsigned long nr, unsigned int flags,
				   struct page **pages, int *locked)
{
#if defined(CMAD_HAVE_REMOTE_WITH_TASK)
	return pin_user_pages_remote(NULL, mm, start, nr, flags, pages, NULL,
				     locked);
#elif defined(CMAD_HAVE_PIN_REMOTE_WITHOUT_VMAS)
	return pin_user_pages_remote(mm, start, nr, flags, pages, locked);
#else
	return pin_user_pages_remote(mm, start, nr, flags, pages, NULL, locked);
#endif
}

/* fixup_user_fault(), whose faults were once counted for a task. */
static inline int cmad_fixup_fault(struct mm_struct *mm, unsigned long addr,
				   unsigned int flags, bool *unlocked)
{
#ifdef CMAD_HAVE_FIXUP_WITH_TASK
	return fixup_user_fault(NULL, mm, addr, flags, unlocked);
#else
	return fixup_user_fault(mm, addr, flags, unlocked);
#endif
}

/* Whether @pid is a process's still. */
static inline bool cmad_pid_in_use(struct pid *pid)
{
#ifdef CMAD_HAVE_PID_HAS_TASK
	return pid_has_task(pid, PIDTYPE_PID);
#else
	return !hlist_empty(&pid->tasks[PIDTYPE_PID]);
#endif
}

/* The pid namespace of the procfs mount that @inode is of. */
static inline struct pid_namespace *cmad_proc_pid_ns(struct inode *inode)
{
#ifdef CMAD_HAVE_PROC_PID_NS
	return proc_pid_ns(inode->i_sb);
#else
	return proc_pid_ns(inode);
#endif
}

/* What a notifier answers whether a page is young by. */
#ifdef CMAD_HAVE_YOUNG_BOOL
#define CMAD_YOUNG bool
#else
#define CMAD_YOUNG int
#endif

/* User shadow stacks, which only the CPU may write. */
#ifdef VM_SHADOW_STACK
#define CMAD_VM_SHADOW_STACK VM_SHADOW_STACK
#else
#define CMAD_VM_SHADOW_STACK 0
#endif

/* Between access_ok() and what it allows; not every architecture has need of it. */
#ifndef barrier_nospec
#define barrier_nospec() do { } while (0)
#endif

/* The VMA that @addr lies in, or NULL. The mmap_lock is held. */
static inline struct vm_area_struct *cmad_vma_at(struct mm_struct *mm,
						 unsigned long addr)
{
#ifdef CMAD_HAVE_VMA_LOOKUP
	return vma_lookup(mm, addr);
#else
	struct vm_area_struct *vma = find_vma(mm, addr);

	return vma && vma->vm_start <= addr ? vma : NULL;
#endif
}

/* memfd_secret() memory, which the kernel itself has no mapping of. */
static inline bool cmad_is_secretmem(struct file *file)
{
#ifdef SECRETMEM_MAGIC
	return file_inode(file)->i_sb->s_magic == SECRETMEM_MAGIC;
#else
	return false;
#endif
}

#endif /* CMAD_COMPAT_H */
