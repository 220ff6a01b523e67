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

/* Takes the grant over. Returns the new handle's id, or an error. */
int cmad_handle_open(struct cmad_file *cf, struct cmad_grant *grant)
{
	u32 id;
	int rc;

	rc = xa_alloc(&cf->handles, &id, grant,
		      XA_LIMIT(1, CMAD_MAX_HANDLES), GFP_KERNEL_ACCOUNT);
	if (rc) {
		cmad_grant_put(grant);
		return rc == -EBUSY ? -ENOSPC : rc;
	}
	return id;
}

int cmad_handle_close(struct cmad_file *cf, s32 id)
{
	struct cmad_grant *grant = id > 0 ? xa_erase(&cf->handles, id) : NULL;

	if (!grant)
		return -ENOENT;

	cmad_grant_put(grant);
	return 0;
}

/* The handle's grant, or NULL. Under RCU, and good under it. */
struct cmad_grant *cmad_handle_peek(struct cmad_file *cf, s32 id)
{
	XA_STATE(xas, &cf->handles, id);
	struct cmad_grant *grant;

	if (id <= 0)
		return NULL;
	do {
		grant = xas_load(&xas);
	} while (xas_retry(&xas, grant));
	return grant;
}

/*
 * The handle's grant with a reference. A strict caller wants the kernel to
 * judge again; the answer must then be about the same address space.
 */
struct cmad_grant *cmad_handle_grant(struct cmad_file *cf, s32 id, bool strict)
{
	struct cmad_grant *grant, *now;

	rcu_read_lock();
	grant = cmad_handle_peek(cf, id);
	if (grant && !refcount_inc_not_zero(&grant->refs))
		grant = NULL;
	rcu_read_unlock();
	if (!grant)
		return ERR_PTR(-ENOENT);
	if (!strict)
		return grant;

	if (grant->window)
		now = cmad_access_window(grant->window, grant->access);
	else
		now = cmad_access_judge(grant->pid);
	if (!IS_ERR(now) && now->space != grant->space) {
		cmad_grant_put(now);
		now = ERR_PTR(-ESRCH);
	}
	cmad_grant_put(grant);
	return now;
}

/* The file's last reference is gone: nobody looks handles up any more. */
void cmad_handles_free(struct cmad_file *cf)
{
	struct cmad_grant *grant;
	unsigned long id;

	xa_for_each(&cf->handles, id, grant) {
		cmad_grant_put(grant);
		cond_resched();
	}
	xa_destroy(&cf->handles);
}
