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
 * What asks is the open method of that file alone. All else that happens when a
 * file is opened (finding it, a struct file, what security modules say of files)
 * has no part in process_vm_readv()'s question, and costs four times as much.
 * So the file is found once for each grant, and its method is called whenever
 * there is something to ask; cmad_access_init() sees that it answers so.
 *
 * Invariants:
 *  - A yes is about one mm. The method tells which mm_struct was judged; while
 *    we hold a reference on ours, equal addresses mean the same address space.
 *    An execve() in between shows as a difference.
 *  - Called with no lock held: the method sleeps, and waits for the target's
 *    exec_update_lock.
 *  - What may be reused of an answer, and for how long, is verdict.c's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pid_namespace.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "grant.h"

unsigned int cmad_verdict_ms = 100;
module_param_named(verdict_ms, cmad_verdict_ms, uint, 0444);
MODULE_PARM_DESC(verdict_ms,
		 "Milliseconds for which a permission verdict may be reused (default 100, 0: never)");

/* Written by init only. */
static struct vfsmount *proc_mnt;	/* the private procfs */
static struct file *proc_root;		/* its root, open */
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
	struct mem_cgroup *old;
	struct cred *real;

	if (!cap_raised(cred->cap_effective, CAP_SYS_PTRACE))
		cap_lower(caps, CAP_SYS_PTRACE);

	if (uid_eq(cred->fsuid, cred->uid) && gid_eq(cred->fsgid, cred->gid) &&
	    !memcmp(&caps, &cred->cap_effective, sizeof(caps)))
		return NULL;

	/* For the judgement only; that alone must get nobody killed. */
	old = cmad_uncharged_begin();
	real = prepare_creds();
	cmad_uncharged_end(old);
	if (!real)
		return ERR_PTR(-ENOMEM);
	real->fsuid = real->uid;
	real->fsgid = real->gid;
	real->cap_effective = caps;
	return real;
}

/*
 * /proc/PID/mem on the private mount with a reference, or an ERR_PTR. What procfs
 * makes for that is charged as by @gfp: to nobody, where the question must not get
 * the caller killed whose cgroup is full. It is there once for each process, and
 * does not survive that without a handle.
 */
static struct dentry *mem_find(struct pid *pid, gfp_t gfp)
{
	struct mem_cgroup *old = NULL;
	struct dentry *mem;
	struct path path;
	char name[24];
	int rc;

	snprintf(name, sizeof(name), "%d/mem", pid_nr_ns(pid, &init_pid_ns));
	if (gfp != GFP_KERNEL_ACCOUNT)
		old = cmad_uncharged_begin();
	rc = vfs_path_lookup(proc_mnt->mnt_root, proc_mnt, name, 0, &path);
	if (gfp != GFP_KERNEL_ACCOUNT)
		cmad_uncharged_end(old);
	/* procfs says ENOENT, too, when it has no memory for an inode. */
	if (rc == -ENOENT && cmad_pid_in_use(pid))
		return ERR_PTR(-ENOMEM);
	if (rc)
		return ERR_PTR(rc == -ENOENT ? -ESRCH : rc);

	mem = dget(path.dentry);
	path_put(&path);
	/* Still in use, the number was the process's all along. */
	if (!cmad_pid_in_use(pid))
		rc = -ESRCH;
	else if (WARN_ON_ONCE(mem->d_sb != proc_mnt->mnt_sb ||
			      (mem_fops && d_inode(mem)->i_fop != mem_fops)))
		rc = -EPERM;
	if (!rc)
		return mem;
	dput(mem);
	return ERR_PTR(rc);
}

/*
 * 0: current may attach to @mm, which the process of @mem has. -EAGAIN: it has
 * another address space by now. @mm is kept by the caller, by whatever means.
 */
static int judge_mm(struct dentry *mem, const struct mm_struct *mm)
{
	struct inode *inode = d_inode(mem);
	struct file file = {
		.f_op = mem_fops,
		.f_inode = inode,
		.f_mode = FMODE_READ,
	};
	struct cred *real = real_creds();
	const struct cred *old;
	int rc;

	if (IS_ERR(real))
		return PTR_ERR(real);
	if (real)
		old = override_creds(real);
	rc = mem_fops->open(inode, &file);
	if (real) {
		revert_creds(old);
		put_cred(real);
	}
	/* process_vm_readv() answers in other terms. */
	if (rc)
		return rc == -EACCES ? -EPERM : rc;

	rc = file.private_data == mm ? 0 : -EAGAIN;
	mem_fops->release(inode, &file);
	return rc;
}

/*
 * Until when a verdict on @task, which has @mm, may be reused. Taken before the
 * judgement, as its credentials are: if they change meanwhile, the verdict does
 * not match, and is never used.
 */
static unsigned long verdict_expiry(struct task_struct *task,
				    struct mm_struct *mm)
{
	unsigned long now = jiffies;

	if (!cmad_task_dumpable(task, mm))
		return now;
	return now + msecs_to_jiffies(cmad_verdict_ms);
}

/* Fill in a new @grant for the process's present address space. */
static int judge_once(struct cmad_grant *grant, struct task_struct *task,
		      gfp_t gfp)
{
	struct mm_struct *mm = get_task_mm(task);
	int rc;

	if (!mm)
		return -ESRCH;

	grant->target = get_task_cred(task);
	grant->expires = verdict_expiry(task, mm);
	rc = judge_mm(grant->mem, mm);
	if (!rc) {
		grant->space = cmad_space_get(mm, gfp);
		rc = grant->space ? 0 : -ENOMEM;
	}
	if (rc)
		put_cred(grant->target);
	mmput(mm);
	return rc;
}

static int judge_task(struct cmad_grant *grant, struct task_struct *task,
		      gfp_t gfp)
{
	int rc;

	if (READ_ONCE(task->flags) & PF_KTHREAD)
		return -ESRCH;
	rc = judge_once(grant, task, gfp);
	if (rc == -EAGAIN)
		rc = judge_once(grant, task, gfp);
	return rc == -EAGAIN ? -ESRCH : rc;
}

static struct cmad_grant *grant_alloc(gfp_t gfp)
{
	struct cmad_grant *grant = kzalloc(sizeof(*grant), gfp);

	if (!grant)
		return NULL;
	refcount_set(&grant->refs, 1);
	mutex_init(&grant->tables);
	return grant;
}

/*
 * Ask the kernel. A new grant, or an ERR_PTR. @known is NULL, or an earlier
 * grant for the same pid. @gfp is what it is to be made with.
 */
struct cmad_grant *cmad_access_judge(struct pid *pid,
				     const struct cmad_grant *known, gfp_t gfp)
{
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);
	struct cmad_grant *grant;
	int rc;

	if (!task)
		return ERR_PTR(-ESRCH);
	grant = grant_alloc(gfp);
	if (!grant) {
		rc = -ENOMEM;
		goto put_task;
	}
	grant->mem = known ? dget(known->mem) : mem_find(pid, gfp);
	rc = PTR_ERR_OR_ZERO(grant->mem);
	if (rc)
		goto free_grant;
	rc = judge_task(grant, task, gfp);
	if (rc)
		goto put_mem;
	put_task_struct(task);

	grant->length = U64_MAX;
	grant->access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
	grant->pid = get_pid(pid);
	/* A plain store of 0 notes there that it is shared: all store the same. */
	grant->caller = data_race(get_current_cred());
	return grant;

put_mem:
	dput(grant->mem);
free_grant:
	kfree(grant);
	if (rc == -EPERM)
		cmad_count(denials, 1);
put_task:
	put_task_struct(task);
	return ERR_PTR(rc);
}

/* The same of a grant by a window that was found by its process's pid. */
static int rejudge_published(const struct cmad_grant *grant,
			     unsigned long *expires)
{
	const struct task_struct *task;
	const struct mm_struct *mm;
	bool same;
	int rc;

	rcu_read_lock();
	task = pid_task(grant->pid, PIDTYPE_PID);
	mm = rcu_dereference(grant->space->mm);
	same = task && mm && READ_ONCE(task->mm) == mm;
	rcu_read_unlock();

	if (!same)
		return task ? -EAGAIN : -ESRCH;
	*expires = jiffies + msecs_to_jiffies(cmad_verdict_ms);
	rc = cmad_access_of_window(grant->window, grant->access);
	/* The process may publish another one by now. */
	return rc == -EIDRM ? -EAGAIN : min(rc, 0);
}

/*
 * Ask the kernel again about @grant, whose caller is current: 0, -EAGAIN if the
 * process has another address space by now, or another error. With a yes come
 * the target's credentials, with a reference, or NULL if they are the grant's;
 * and until when it may be reused.
 */
int cmad_access_rejudge(const struct cmad_grant *grant,
			const struct cred **targetp, unsigned long *expires)
{
	const struct cred *target = NULL;
	struct task_struct *task;
	struct mm_struct *mm;
	int rc;

	*targetp = NULL;
	if (grant->window)
		return rejudge_published(grant, expires);
	rcu_read_lock();
	task = pid_task(grant->pid, PIDTYPE_PID);
	mm = rcu_dereference(grant->space->mm);
	if (task && mm) {
		/* Or its address might be another one's when that is judged. */
		mmgrab(mm);
		if (rcu_access_pointer(task->real_cred) !=
		    READ_ONCE(grant->target))
			target = get_task_cred(task);
		*expires = verdict_expiry(task, mm);
	}
	rcu_read_unlock();

	if (!task || !mm)
		return task ? -EAGAIN : -ESRCH;
	rc = judge_mm(grant->mem, mm);
	mmdrop(mm);
	if (rc) {
		put_cred(target);
		target = NULL;
	}
	if (rc == -EPERM)
		cmad_count(denials, 1);
	*targetp = target;
	return rc;
}

/* CMA_ACCESS_* that the window's mode allows current, as a file's would. */
static u32 window_allows(const struct cmad_window *window)
{
	const struct cred *owner = window->cred;
	u32 mode = window->mode;
	u32 access = 0;

	if (uid_eq(current_fsuid(), owner->fsuid))
		mode >>= 6;
	else if (in_group_p(owner->fsgid))
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
 * Consent: the owner made the window, and its mode decides. What current may have
 * of it: @access, or all there is if that is 0; or an error.
 */
int cmad_access_of_window(const struct cmad_window *window, u32 access)
{
	u32 allowed = window_allows(window);

	if (READ_ONCE(window->ended))
		return -EIDRM;
	/* Somebody else may hold the window's file open still. */
	if (cmad_space_is_dead(window->space))
		return -ESRCH;
	if (!allowed || access & ~allowed) {
		cmad_count(denials, 1);
		return -EACCES;
	}
	return access ?: allowed;
}

/*
 * A new grant of @access, or of all there is, or an ERR_PTR. Takes over the
 * reference on @window.
 */
struct cmad_grant *cmad_access_window(struct cmad_window *window, u32 access,
				      gfp_t gfp)
{
	int allowed = cmad_access_of_window(window, access);
	struct cmad_grant *grant = NULL;

	if (allowed >= 0)
		grant = grant_alloc(gfp);
	if (!grant) {
		cmad_window_put(window);
		return ERR_PTR(min(allowed, 0) ?: -ENOMEM);
	}
	refcount_inc(&window->space->refs);
	grant->space = window->space;
	grant->window = window;
	grant->base = window->base;
	grant->length = window->length;
	grant->access = allowed;
	return grant;
}

/* The window that the process of @pid publishes, with a reference, or an ERR_PTR. */
static struct cmad_window *published_window(struct pid *pid)
{
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);
	struct cmad_window *window;
	struct mm_struct *mm;

	if (!task)
		return ERR_PTR(-ESRCH);
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm)
		return ERR_PTR(-ESRCH);
	window = cmad_window_published(mm);
	mmput(mm);
	return window ?: ERR_PTR(-ENOENT);
}

/*
 * The same for the window that the process of @pid publishes: whoever it is, the
 * window's mode decides, as if current knew its name.
 */
struct cmad_grant *cmad_access_published(struct pid *pid, u32 access, gfp_t gfp)
{
	struct cmad_window *window = published_window(pid);
	struct cmad_grant *grant;

	if (IS_ERR(window))
		return ERR_CAST(window);
	grant = cmad_access_window(window, access, gfp);
	if (IS_ERR(grant))
		return grant == ERR_PTR(-EIDRM) ? ERR_PTR(-ENOENT) : grant;
	grant->expires = jiffies + msecs_to_jiffies(cmad_verdict_ms);
	grant->pid = get_pid(pid);
	grant->caller = data_race(get_current_cred()); /* as above */
	return grant;
}

/*
 * Charge current for a grant that nobody else knows yet, and for its space: 0, or
 * an error. Its end uncharges.
 */
int cmad_grant_charge(struct cmad_grant *grant, enum cmad_charge charge)
{
	struct cmad_user *user = cmad_user_charge(charge);

	if (IS_ERR(user))
		return PTR_ERR(user);
	grant->user = user;
	grant->charge = charge;
	return cmad_space_charge(grant->space);
}

static void grant_free(struct work_struct *work)
{
	struct cmad_grant *grant = container_of(to_rcu_work(work),
						struct cmad_grant, free);
	enum cmad_charge charge = grant->charge;
	struct cmad_user *user = grant->user;

	cmad_space_put(grant->space);
	if (grant->window)
		cmad_window_put(grant->window);
	put_pid(grant->pid);
	put_cred(grant->caller);
	put_cred(grant->target);
	dput(grant->mem);
	kfree(grant);
	cmad_user_uncharge(user, charge);
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

/* An open file of the private procfs, which shows pids as the kernel does. */
struct file *cmad_access_procfs(void)
{
	return proc_root;
}

static int mount_procfs(const struct cred *opener)
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
	proc_root = dentry_open(&root, O_RDONLY | O_DIRECTORY, opener);
	if (IS_ERR(proc_root)) {
		kern_unmount(proc_mnt);
		return PTR_ERR(proc_root);
	}
	return 0;
}

/*
 * Learn what opens a mem, and that it tells whose memory that is: on a kernel
 * where it does not, the module has no way to decide and must not load.
 */
static int learn_mem_file(void)
{
	struct dentry *mem = mem_find(task_tgid(current), GFP_KERNEL);
	int rc = -EOPNOTSUPP;

	if (IS_ERR(mem)) {
		pr_err("cannot find /proc/self/mem on a private procfs (%ld)\n",
		       PTR_ERR(mem));
		return PTR_ERR(mem);
	}

	mem_fops = d_inode(mem)->i_fop;
	if (current->mm && mem_fops->open && mem_fops->release)
		rc = judge_mm(mem, current->mm);
	dput(mem);
	if (rc)
		pr_err("this kernel's /proc/PID/mem does not tell whose memory it is (%d); access could not be decided\n",
		       rc);
	return rc;
}

int __init cmad_access_init(void)
{
	const struct cred *opener;
	int rc;

	if (task_active_pid_ns(current) != &init_pid_ns) {
		pr_err("load the module from the initial pid namespace, not from inside a container\n");
		return -EPERM;
	}

	opener = prepare_kernel_cred(&init_task);
	if (!opener)
		return -ENOMEM;
	rc = mount_procfs(opener);
	put_cred(opener);
	if (rc)
		return rc;
	rc = learn_mem_file();
	if (rc)
		cmad_access_exit();
	return rc;
}

void cmad_access_exit(void)
{
	fput(proc_root);
	kern_unmount(proc_mnt);
}
