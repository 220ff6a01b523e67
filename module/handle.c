// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: grants that an open file keeps under a small number.
 *
 * A handle answers for one address space. It was judged when it was opened
 * and holds from then on, as a descriptor of /proc/PID/mem does, until that
 * address space is gone.
 */
#include <linux/err.h>
#include <linux/xarray.h>

#include "private.h"

/* Returns the new handle's id, or an error. */
int cmad_handle_open(struct cmad_file *cf, struct pid *pid)
{
	struct cmad_grant *grant;
	u32 id;
	int rc;

	grant = cmad_access_judge(pid);
	if (IS_ERR(grant))
		return PTR_ERR(grant);

	rc = xa_alloc(&cf->handles, &id, grant,
		      XA_LIMIT(1, CMAD_MAX_HANDLES), GFP_KERNEL_ACCOUNT);
	if (rc) {
		cmad_grant_free(grant);
		return rc == -EBUSY ? -ENOSPC : rc;
	}
	return id;
}

int cmad_handle_close(struct cmad_file *cf, s32 id)
{
	struct cmad_grant *grant = id > 0 ? xa_erase(&cf->handles, id) : NULL;

	if (!grant)
		return -ENOENT;

	cmad_grant_free_rcu(grant);
	return 0;
}

/*
 * The handle's address space, for one operation: mmput() it afterwards. A
 * strict caller wants the kernel to judge again; the answer must then be
 * about the same address space.
 */
struct mm_struct *cmad_handle_mm(struct cmad_file *cf, s32 id, bool strict)
{
	struct mm_struct *mm = ERR_PTR(-ENOENT);
	struct cmad_grant *grant;
	struct pid *pid = NULL;

	rcu_read_lock();
	grant = id > 0 ? xa_load(&cf->handles, id) : NULL;
	if (grant) {
		mm = grant->mm;
		if (!mmget_not_zero(mm))
			mm = ERR_PTR(-ESRCH);
		else if (strict)
			pid = get_pid(grant->pid);
	}
	rcu_read_unlock();

	if (pid) {
		struct mm_struct *now = cmad_access_mm(cf, pid, true);

		put_pid(pid);
		mmput(mm);
		if (!IS_ERR(now) && now != mm) {
			mmput(now);
			now = ERR_PTR(-ESRCH);
		}
		mm = now;
	}
	return mm;
}

/* The file's last reference is gone: nobody looks handles up any more. */
void cmad_handles_free(struct cmad_file *cf)
{
	struct cmad_grant *grant;
	unsigned long id;

	xa_for_each(&cf->handles, id, grant)
		cmad_grant_free(grant);
	xa_destroy(&cf->handles);
}
