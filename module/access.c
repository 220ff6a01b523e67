// SPDX-License-Identifier: GPL-2.0
/*
 * Every permission decision.
 *
 * The question is always the one of process_vm_readv(): may this caller
 * attach to that process by ptrace, with its real credentials? The kernel
 * exports no function that answers it, but procfs asks it whenever a
 * /proc/PID/mem is opened: mm_access() with PTRACE_MODE_ATTACH, judging
 * current. So the module opens that file, on a mount of its own that no user
 * can cover with another, and gets the kernel's answer: credentials,
 * capabilities, dumpability, user namespaces, Yama and every other security
 * module included.
 *
 * Invariants:
 *  - A yes is about one mm. The file that was opened shows which mm_struct
 *    was judged; while we hold a reference on ours, equal addresses mean the
 *    same address space. An execve() in between shows as a difference.
 *  - Called with no lock held: the open sleeps, and waits for the target's
 *    exec_update_lock.
 *  - A verdict is kept only for the very same caller credentials (a new
 *    pointer after every fork, exec and change), target credentials, pid and
 *    mm, only while the target is dumpable, and not for longer than
 *    cmad_verdict_ms. What it cannot see in that time: a withdrawn
 *    PR_SET_PTRACER, and changed policy of Yama or another security module.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pid_namespace.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "private.h"

unsigned int cmad_verdict_ms = 100;
module_param_named(verdict_ms, cmad_verdict_ms, uint, 0444);
MODULE_PARM_DESC(verdict_ms,
		 "Milliseconds for which a permission verdict may be reused (default 100, 0: never)");

/*
 * A verdict that expired is kept for a while: it holds what is cached of its
 * peer until the next judgement. What a dead peer leaves is not worth that.
 */
#define VERDICT_IDLE (10 * HZ)
#define SWEEP_PERIOD HZ

/* Written by init only. */
static struct vfsmount *proc_mnt;	/* the private procfs */
static struct file *proc_root;		/* its root, open */
static const struct cred *opener_cred;	/* opens files; never judged */
static const struct file_operations *mem_fops;	/* of /proc/PID/mem */

/*
 * The credentials under which procfs gives process_vm_readv()'s answer, or
 * NULL if the caller's own do. procfs judges by filesystem uid, gid and
 * effective capabilities, process_vm_readv() by real uid, gid and permitted
 * ones; but both ask whether CAP_SYS_PTRACE is effective, so that one must not
 * be lent. One difference remains, on the safe side: a caller that is
 * permitted CAP_SYS_PTRACE without having it effective is refused a target
 * that is permitted it too, which process_vm_readv() would allow.
 */
static struct cred *real_creds(void)
{
	const struct cred *cred = current_cred();
	kernel_cap_t caps = cred->cap_permitted;
	struct cred *real;

	if (!cap_raised(cred->cap_effective, CAP_SYS_PTRACE))
		cap_lower(caps, CAP_SYS_PTRACE);

	if (uid_eq(cred->fsuid, cred->uid) && gid_eq(cred->fsgid, cred->gid) &&
	    !memcmp(&caps, &cred->cap_effective, sizeof(caps)))
		return NULL;

	real = prepare_creds();
	if (!real)
		return ERR_PTR(-ENOMEM);
	real->fsuid = real->uid;
	real->fsgid = real->gid;
	real->cap_effective = caps;
	return real;
}

/* Open /proc/NR/mem of the private mount as the kernel, judged as current. */
static struct file *open_mem(pid_t nr)
{
	const struct cred *old;
	struct path path;
	struct file *file;
	struct cred *real;
	char name[24];
	int rc;

	real = real_creds();
	if (IS_ERR(real))
		return ERR_CAST(real);

	snprintf(name, sizeof(name), "%d/mem", nr);
	if (real)
		old = override_creds(real);
	rc = vfs_path_lookup(proc_mnt->mnt_root, proc_mnt, name, 0, &path);
	if (rc) {
		file = ERR_PTR(rc);
	} else {
		/* The opener's cred becomes f_cred, which AppArmor and
		 * Landlock judge a file's open by; it is not what mm_access()
		 * looks at.
		 */
		file = dentry_open(&path, O_RDONLY, opener_cred);
		path_put(&path);
	}
	if (real) {
		revert_creds(old);
		put_cred(real);
	}
	return file;
}

/*
 * 0: current may attach to @mm, which belongs to @pid. -EAGAIN: the process
 * has another address space by now.
 */
static int judge_mm(struct pid *pid, struct mm_struct *mm)
{
	struct file *file = open_mem(pid_nr_ns(pid, &init_pid_ns));
	int rc;

	if (IS_ERR(file)) {
		rc = PTR_ERR(file);
		/* process_vm_readv() answers in other terms. procfs also says
		 * ENOENT when it has no memory for an inode.
		 */
		if (rc == -EACCES)
			return -EPERM;
		if (rc == -ENOENT)
			return pid_has_task(pid, PIDTYPE_PID) ? -ENOMEM :
								-ESRCH;
		return rc;
	}

	if (WARN_ON_ONCE(file_inode(file)->i_sb != proc_mnt->mnt_sb ||
			 file->f_op != mem_fops))
		rc = -EPERM;
	else
		rc = file->private_data == mm ? 0 : -EAGAIN;
	fput(file);
	return rc;
}

/* Fill in a new @grant for the process's present address space. */
static int judge_once(struct cmad_grant *grant, struct pid *pid,
		      struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	int rc;

	if (!mm)
		return -ESRCH;

	/* Taken before the judgement: if they change meanwhile, the cached
	 * verdict does not match and is never used.
	 */
	grant->target = get_task_cred(task);
	grant->cacheable = cmad_task_dumpable(task, mm);
	grant->expires = jiffies + msecs_to_jiffies(cmad_verdict_ms);

	rc = judge_mm(pid, mm);
	if (!rc) {
		grant->space = cmad_space_get(mm);
		rc = grant->space ? 0 : -ENOMEM;
	}
	if (rc)
		put_cred(grant->target);
	mmput(mm);
	return rc;
}

static struct cmad_grant *grant_alloc(void)
{
	struct cmad_grant *grant = kzalloc(sizeof(*grant), GFP_KERNEL_ACCOUNT);

	if (!grant)
		return NULL;
	refcount_set(&grant->refs, 1);
	mutex_init(&grant->tables);
	return grant;
}

/* Ask the kernel. A new grant, or an ERR_PTR. */
struct cmad_grant *cmad_access_judge(struct pid *pid)
{
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);
	struct cmad_grant *grant;
	int rc = -ESRCH;

	if (!task)
		return ERR_PTR(-ESRCH);
	grant = grant_alloc();
	if (!grant) {
		rc = -ENOMEM;
	} else if (!(task->flags & PF_KTHREAD)) {
		rc = judge_once(grant, pid, task);
		if (rc == -EAGAIN)
			rc = judge_once(grant, pid, task);
	}
	put_task_struct(task);

	if (rc) {
		kfree(grant);
		if (rc == -EPERM)
			cmad_count(denials, 1);
		return ERR_PTR(rc == -EAGAIN ? -ESRCH : rc);
	}
	grant->length = U64_MAX;
	grant->access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
	grant->pid = get_pid(pid);
	grant->caller = get_current_cred();
	return grant;
}

/* CMA_ACCESS_* that the window's mode allows current, as a file's would. */
static u32 window_allows(const struct cmad_window *window)
{
	const struct cred *owner = window->cred;
	u32 mode = window->mode;
	u32 access = 0;

	if (uid_eq(current_euid(), owner->euid))
		mode >>= 6;
	else if (in_egroup_p(owner->egid))
		mode >>= 3;
	if (mode & 04)
		access |= CMA_ACCESS_READ;
	if (mode & 02)
		access |= CMA_ACCESS_WRITE;
	access &= window->access;
	if (access != window->access &&
	    ns_capable(owner->user_ns, CAP_DAC_OVERRIDE))
		access = window->access;
	return access;
}

/*
 * Consent: the owner made the window, and its mode decides. @access is what
 * the caller wants, or 0 for all there is. A new grant, or an ERR_PTR.
 */
struct cmad_grant *cmad_access_window(struct cmad_window *window, u32 access)
{
	u32 allowed = window_allows(window);
	struct cmad_grant *grant;

	if (READ_ONCE(window->ended))
		return ERR_PTR(-EIDRM);
	/* Somebody else may hold the window's file open still. */
	if (!atomic_read(&window->space->mm->mm_users))
		return ERR_PTR(-ESRCH);
	if (!allowed || access & ~allowed) {
		cmad_count(denials, 1);
		return ERR_PTR(-EACCES);
	}

	grant = grant_alloc();
	if (!grant)
		return ERR_PTR(-ENOMEM);
	refcount_inc(&window->space->refs);
	refcount_inc(&window->refs);
	grant->space = window->space;
	grant->window = window;
	grant->base = window->base;
	grant->length = window->length;
	grant->access = access ?: allowed;
	return grant;
}

static void grant_free(struct work_struct *work)
{
	struct cmad_grant *grant = container_of(to_rcu_work(work),
						struct cmad_grant, free);

	cmad_space_put(grant->space);
	if (grant->window) {
		cmad_window_put(grant->window);
	} else {
		put_pid(grant->pid);
		put_cred(grant->caller);
		put_cred(grant->target);
	}
	kfree(grant);
}

/*
 * What a grant holds outlives it by a grace period; see short.c. Not its file,
 * which holds the module: that can be unloaded as soon as its last user is gone.
 */
void cmad_grant_put(struct cmad_grant *grant)
{
	if (!refcount_dec_and_test(&grant->refs))
		return;
	if (grant->file)
		fput(grant->file);
	INIT_RCU_WORK(&grant->free, grant_free);
	queue_rcu_work(cmad_wq, &grant->free);
}

/* Whether a verdict still speaks of @task as it is now. */
static bool verdict_holds(const struct cmad_grant *grant,
			  struct task_struct *task)
{
	struct mm_struct *mm = grant->space->mm;

	return time_before(jiffies, grant->expires) &&
	       READ_ONCE(task->mm) == mm &&
	       rcu_access_pointer(task->real_cred) == grant->target &&
	       cmad_task_dumpable(task, mm);
}

/* Where verdicts on @pid for @caller are kept. */
static struct cmad_grant __rcu **verdict_set(struct cmad_file *cf,
					     const struct pid *pid,
					     const struct cred *caller)
{
	unsigned long key = (unsigned long)pid + (unsigned long)caller;

	return cf->verdicts[hash_long(key, CMAD_VERDICT_SET_BITS)];
}

/* A verdict on @pid that still holds, or NULL. Under RCU, and good under it. */
struct cmad_grant *cmad_verdict_peek(struct cmad_file *cf, struct pid *pid)
{
	struct cmad_grant __rcu **set = verdict_set(cf, pid, current_cred());
	struct task_struct *task = pid_task(pid, PIDTYPE_PID);
	unsigned int i;

	for (i = 0; task && i < CMAD_VERDICT_WAYS; i++) {
		struct cmad_grant *grant = rcu_dereference(set[i]);

		if (grant && grant->pid == pid &&
		    grant->caller == current_cred())
			return verdict_holds(grant, task) ? grant : NULL;
	}
	return NULL;
}

static struct cmad_grant *verdict_find(struct cmad_file *cf, struct pid *pid)
{
	struct cmad_grant *grant;

	rcu_read_lock();
	grant = cmad_verdict_peek(cf, pid);
	if (grant && !refcount_inc_not_zero(&grant->refs))
		grant = NULL;
	rcu_read_unlock();
	return grant;
}

/* Takes a reference over. Verdicts on the same pid and caller are replaced. */
static void verdict_keep(struct cmad_file *cf, struct cmad_grant *grant)
{
	struct cmad_grant __rcu **set = verdict_set(cf, grant->pid,
						    grant->caller);
	struct cmad_grant *old;
	unsigned int i;

	spin_lock(&cf->lock);
	for (i = 0; i < CMAD_VERDICT_WAYS; i++) {
		old = rcu_dereference_protected(set[i],
						lockdep_is_held(&cf->lock));
		if (!old || (old->pid == grant->pid &&
			     old->caller == grant->caller))
			break;
	}
	if (i == CMAD_VERDICT_WAYS)
		i = cf->next_way++ % CMAD_VERDICT_WAYS;
	old = rcu_replace_pointer(set[i], grant, lockdep_is_held(&cf->lock));
	spin_unlock(&cf->lock);

	if (old)
		cmad_grant_put(old);
	queue_delayed_work(cmad_wq, &cf->sweep, SWEEP_PERIOD);
}

static bool verdict_is_waste(const struct cmad_grant *grant)
{
	return !atomic_read(&grant->space->mm->mm_users) ||
	       time_after(jiffies, grant->expires + VERDICT_IDLE);
}

/* As long as there are verdicts; then the next one starts it again. */
static void verdicts_sweep(struct work_struct *work)
{
	struct cmad_file *cf = container_of(to_delayed_work(work),
					    struct cmad_file, sweep);
	struct cmad_grant __rcu **slot = &cf->verdicts[0][0];
	struct cmad_grant __rcu **end = slot + CMAD_VERDICTS;
	bool more = false;

	spin_lock(&cf->lock);
	for (; slot < end; slot++) {
		struct cmad_grant *grant;

		grant = rcu_dereference_protected(*slot,
						  lockdep_is_held(&cf->lock));
		if (grant && verdict_is_waste(grant)) {
			RCU_INIT_POINTER(*slot, NULL);
			cmad_grant_put(grant);
		} else if (grant) {
			more = true;
		}
	}
	spin_unlock(&cf->lock);
	if (more)
		queue_delayed_work(cmad_wq, &cf->sweep, SWEEP_PERIOD);
}

/*
 * A grant of current for @pid: a verdict that still holds, or a new one. A
 * strict caller wants the kernel to judge this very call.
 */
struct cmad_grant *cmad_access_grant(struct cmad_file *cf, struct pid *pid,
				     bool strict)
{
	struct cmad_grant *grant;

	if (!strict) {
		grant = verdict_find(cf, pid);
		if (grant)
			return grant;
	}

	grant = cmad_access_judge(pid);
	if (!IS_ERR(grant) && grant->cacheable && !strict && cmad_verdict_ms) {
		refcount_inc(&grant->refs);
		verdict_keep(cf, grant);
	}
	return grant;
}

void cmad_verdicts_init(struct cmad_file *cf)
{
	spin_lock_init(&cf->lock);
	INIT_DEFERRABLE_WORK(&cf->sweep, verdicts_sweep);
}

/* The file's last reference is gone: nobody looks verdicts up any more. */
void cmad_verdicts_free(struct cmad_file *cf)
{
	struct cmad_grant __rcu **slot = &cf->verdicts[0][0];
	struct cmad_grant __rcu **end = slot + CMAD_VERDICTS;

	cancel_delayed_work_sync(&cf->sweep);
	for (; slot < end; slot++) {
		struct cmad_grant *grant;

		grant = rcu_dereference_protected(*slot, true);
		if (grant)
			cmad_grant_put(grant);
	}
}

/* An open file of the private procfs, which shows pids as the kernel does. */
struct file *cmad_access_procfs(void)
{
	return proc_root;
}

static int mount_procfs(void)
{
	struct file_system_type *type = get_fs_type("proc");
	struct path root;

	if (!type) {
		pr_err("this kernel has no procfs, which the module asks for permission\n");
		return -ENODEV;
	}
	proc_mnt = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(proc_mnt)) {
		pr_err("cannot mount a private procfs (%ld)\n",
		       PTR_ERR(proc_mnt));
		return PTR_ERR(proc_mnt);
	}

	root.mnt = proc_mnt;
	root.dentry = proc_mnt->mnt_root;
	proc_root = dentry_open(&root, O_RDONLY | O_DIRECTORY, opener_cred);
	if (IS_ERR(proc_root)) {
		kern_unmount(proc_mnt);
		return PTR_ERR(proc_root);
	}
	return 0;
}

/*
 * Learn what an open of our own mem looks like, and that it names the mm: on
 * a kernel where it does not, the module has no way to decide and must not
 * load.
 */
static int learn_mem_file(void)
{
	struct file *file = open_mem(task_tgid_nr(current));
	int rc = 0;

	if (IS_ERR(file)) {
		pr_err("cannot open /proc/self/mem on a private procfs (%ld)\n",
		       PTR_ERR(file));
		return PTR_ERR(file);
	}

	if (!current->mm || file->private_data != current->mm) {
		pr_err("this kernel's /proc/PID/mem does not tell whose memory it is; access could not be decided\n");
		rc = -EOPNOTSUPP;
	}
	mem_fops = file->f_op;
	fput(file);
	return rc;
}

int __init cmad_access_init(void)
{
	int rc;

	if (task_active_pid_ns(current) != &init_pid_ns) {
		pr_err("load the module from the initial pid namespace, not from inside a container\n");
		return -EPERM;
	}

	opener_cred = prepare_kernel_cred(&init_task);
	if (!opener_cred)
		return -ENOMEM;

	rc = mount_procfs();
	if (rc)
		goto put_kernel_cred;
	rc = learn_mem_file();
	if (rc)
		goto unmount;
	return 0;

unmount:
	fput(proc_root);
	kern_unmount(proc_mnt);
put_kernel_cred:
	put_cred(opener_cred);
	return rc;
}

void cmad_access_exit(void)
{
	fput(proc_root);
	kern_unmount(proc_mnt);
	put_cred(opener_cred);
}
