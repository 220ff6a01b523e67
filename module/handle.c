// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: grants that an open file keeps under a small number.
 *
 * A handle answers for one address space. It was judged when it was opened
 * and holds from then on, as a descriptor of /proc/PID/mem does, until that
 * address space is gone.
 */
#include <linux/err.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "file.h"

static struct cmad_handles *handles_locked(struct cmad_file *cf)
{
	return rcu_dereference_protected(cf->handles,
					 lockdep_is_held(&cf->handles_lock));
}

/* A table with room for more in place of @old, or an ERR_PTR. */
static struct cmad_handles *handles_grow(struct cmad_file *cf,
					 struct cmad_handles *old)
{
	u32 size = min(2 * old->size, CMAD_MAX_HANDLES + 1U);
	struct cmad_handles *new;

	if (old->size == size)
		return ERR_PTR(-ENOSPC);
	new = kvzalloc(struct_size(new, slot, size),
		       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!new)
		return ERR_PTR(-ENOMEM);
	new->size = size;
	memcpy(new->slot, old->slot, flex_array_size(old, slot, old->size));
	rcu_assign_pointer(cf->handles, new);
	if (old != &cf->few)
		kvfree_rcu(old, rcu);
	return new;
}

/* Takes the grant over. Returns the new handle's id, or an error. */
int cmad_handle_open(struct cmad_file *cf, struct cmad_grant *grant)
{
	struct cmad_handles *handles;
	int rc = cmad_grant_charge(grant, CMAD_CHARGE_HANDLE);
	u32 id;

	if (rc) {
		cmad_grant_put(grant);
		return rc;
	}

	mutex_lock(&cf->handles_lock);
	handles = handles_locked(cf);
	id = max(cf->next_handle, 1U);
	while (id < handles->size && rcu_access_pointer(handles->slot[id]))
		id++;
	if (id == handles->size)
		handles = handles_grow(cf, handles);
	if (!IS_ERR(handles)) {
		rcu_assign_pointer(handles->slot[id], grant);
		cf->next_handle = id + 1;
		cmad_count(handles, 1);
	}
	mutex_unlock(&cf->handles_lock);

	if (IS_ERR(handles)) {
		cmad_grant_put(grant);
		return PTR_ERR(handles);
	}
	return id;
}

int cmad_handle_close(struct cmad_file *cf, s32 id)
{
	struct cmad_grant *grant = NULL;
	struct cmad_handles *handles;

	mutex_lock(&cf->handles_lock);
	handles = handles_locked(cf);
	if ((u32)id < handles->size)
		grant = rcu_replace_pointer(handles->slot[id], NULL,
					    lockdep_is_held(&cf->handles_lock));
	if (grant)
		cf->next_handle = min_t(u32, cf->next_handle, id);
	mutex_unlock(&cf->handles_lock);
	if (!grant)
		return -ENOENT;

	cmad_count(handles, -1);
	cmad_grant_put(grant);
	return 0;
}

/* Whether current would get the same handle again: 0, or why not. */
static int handle_judge(const struct cmad_grant *grant)
{
	const struct cred *target;
	unsigned long expires;
	int rc;

	if (grant->window) {
		rc = cmad_access_of_window(grant->window, grant->access);
		return min(rc, 0);
	}
	rc = cmad_access_rejudge(grant, &target, &expires);
	put_cred(target);
	/* The process has another address space by now. */
	return rc == -EAGAIN ? -ESRCH : rc;
}

/* The handle's grant with a reference. A strict caller has this call judged. */
struct cmad_grant *cmad_handle_grant(struct cmad_file *cf, s32 id, bool strict)
{
	struct cmad_grant *grant;
	int rc;

	rcu_read_lock();
	grant = cmad_handle_peek(cf, id);
	if (grant && !refcount_inc_not_zero(&grant->refs))
		grant = NULL;
	rcu_read_unlock();
	if (!grant)
		return ERR_PTR(-ENOENT);
	rc = strict ? handle_judge(grant) : 0;
	if (!rc)
		return grant;
	cmad_grant_put(grant);
	return ERR_PTR(rc);
}

/* @cf is new. */
void cmad_handles_init(struct cmad_file *cf)
{
	mutex_init(&cf->handles_lock);
	cf->few.size = CMAD_FEW_HANDLES;
	RCU_INIT_POINTER(cf->handles, &cf->few);
}

/* The file's last reference is gone: nobody looks handles up any more. */
void cmad_handles_free(struct cmad_file *cf)
{
	struct cmad_handles *handles;
	u32 id;

	handles = rcu_dereference_protected(cf->handles, true);
	for (id = 1; id < handles->size; id++) {
		struct cmad_grant *grant;

		grant = rcu_dereference_protected(handles->slot[id], true);
		if (grant) {
			cmad_count(handles, -1);
			cmad_grant_put(grant);
		}
		cond_resched();
	}
	if (handles != &cf->few)
		kvfree(handles);
}
