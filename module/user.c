// SPDX-License-Identifier: GPL-2.0
/*
 * What each user may make the kernel hold by this module.
 *
 * Who creates a handle or a window, or has a verdict kept, is charged for it, by
 * real uid as the initial user namespace knows it, and from creation until its
 * memory is given back, so that nobody gets ahead of work items and grace periods
 * by closing and opening. Who makes the first of them of a space is charged for
 * the space, too, as long as that holds an mm_struct, which may be a dead
 * process's.
 *
 * Who was given many uids must not have as many bounds: what is done in a user
 * namespace is charged to the one who made it. What root made does not count in
 * that: the uids there are those of users that root let in.
 *
 * A user is in the table as long as anything is charged to it. users_lock guards
 * the table and all counts; who uncharges the last takes the user out, under it,
 * so that nobody finds one that is going. Callbacks of RCU uncharge.
 *
 * Where a parameter is not given, a bound is what 1024 processes on a node need
 * that all have a handle of each other by pid, and a window for each other, and
 * a handle of that: 2 * 1024 * 1024 handles and 1024 * 1024 windows. Each kind
 * may take no more than 1/32 of the machine's memory, though, also if each holds
 * the space of another process that has died.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "user.h"

#define HASH_BITS_USERS 12	/* one who was given subordinate uids can be 65536 users */
#define MEMORY_SHARE 32
#define LIMIT_MIN 256U
/* About, each with what it may be the last to hold: a space, and a peer's procfs. */
#define COST_HANDLE (256 + 1024 + 2048)
#define COST_WINDOW (256 + 1024)
#define COST_VERDICT (256 + 2048)
#define COST_SPACE (16 << 10)	/* of an mm_struct and what it has, about */

struct cmad_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int count[CMAD_CHARGES];
};

static DEFINE_SPINLOCK(users_lock);
static struct hlist_head users[1 << HASH_BITS_USERS];

static unsigned int limits[CMAD_CHARGES];
module_param_named(max_user_handles, limits[CMAD_CHARGE_HANDLE], uint, 0644);
MODULE_PARM_DESC(max_user_handles,
		 "Handles of one user (default 2097152, or less by the machine's memory)");
module_param_named(max_user_verdicts, limits[CMAD_CHARGE_VERDICT], uint, 0644);
MODULE_PARM_DESC(max_user_verdicts,
		 "Peers by pid that one user's open files keep (default 2097152, or less by the machine's memory)");
module_param_named(max_user_windows, limits[CMAD_CHARGE_WINDOW], uint, 0644);
MODULE_PARM_DESC(max_user_windows,
		 "Windows of one user (default 1048576, or less by the machine's memory)");
module_param_named(max_user_spaces, limits[CMAD_CHARGE_SPACE], uint, 0644);
MODULE_PARM_DESC(max_user_spaces,
		 "Processes that one user's handles, verdicts and windows hold on to (default 65536, or less by the machine's memory)");

static struct hlist_head *user_bucket(kuid_t uid)
{
	return &users[hash_32(__kuid_val(uid), HASH_BITS_USERS)];
}

static struct cmad_user *user_find(kuid_t uid)
{
	struct cmad_user *user;

	lockdep_assert_held(&users_lock);
	hlist_for_each_entry(user, user_bucket(uid), node)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* Who is charged for what current does. */
static kuid_t payer(void)
{
	const struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_uid();

	for (; ns != &init_user_ns; ns = ns->parent)
		if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
			uid = ns->owner;
	return uid;
}

/* Charge @uid, who is @new if nothing is charged to it yet; NULL without one. */
static struct cmad_user *user_charge(kuid_t uid, enum cmad_charge what,
				     struct cmad_user *new)
{
	struct cmad_user *user;

	spin_lock_bh(&users_lock);
	user = user_find(uid) ?: new;
	if (user && user->count[what] >= READ_ONCE(limits[what])) {
		user = ERR_PTR(-ENOSPC);
	} else if (user) {
		if (user == new)
			hlist_add_head(&user->node, user_bucket(uid));
		user->count[what]++;
	}
	spin_unlock_bh(&users_lock);
	return user;
}

/* Charge current for one more. The user who pays, or an ERR_PTR. */
struct cmad_user *cmad_user_charge(enum cmad_charge what)
{
	kuid_t uid = payer();
	struct cmad_user *user = user_charge(uid, what, NULL);
	struct cmad_user *new;

	if (user)
		return user;
	/* One for each user, and also for a copy that nobody is to die of. */
	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return ERR_PTR(-ENOMEM);
	new->uid = uid;
	user = user_charge(uid, what, new);
	if (user != new)
		kfree(new);
	return user;
}

/* What was charged is gone; nothing was, if @user is NULL. */
void cmad_user_uncharge(struct cmad_user *user, enum cmad_charge what)
{
	unsigned int i, left = 0;

	if (!user)
		return;
	spin_lock_bh(&users_lock);
	user->count[what]--;
	for (i = 0; i < CMAD_CHARGES; i++)
		left |= user->count[i];
	if (!left)
		hlist_del(&user->node);
	spin_unlock_bh(&users_lock);
	if (!left)
		kfree(user);
}

static void __init set_default(enum cmad_charge what, unsigned int most,
			       unsigned long cost)
{
	u64 bytes = (u64)totalram_pages() << PAGE_SHIFT;

	if (!limits[what])
		limits[what] = clamp_t(u64, bytes / MEMORY_SHARE / cost,
				       LIMIT_MIN, most);
}

void __init cmad_user_init(void)
{
	set_default(CMAD_CHARGE_HANDLE, 2 << 20, COST_HANDLE);
	set_default(CMAD_CHARGE_VERDICT, 2 << 20, COST_VERDICT);
	set_default(CMAD_CHARGE_WINDOW, 1 << 20, COST_WINDOW);
	set_default(CMAD_CHARGE_SPACE, 1 << 16, COST_SPACE);
}
