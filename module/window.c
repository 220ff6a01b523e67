// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: parts of their owner's memory that others open by name.
 *
 * A window belongs to the open file that it was created in, and to the address
 * space of its creator, whose memory it does not keep. It is in its file's list
 * before it is in the table, and longer. It ends by leaving the list, which one
 * caller does and takes over the file's reference with it; grants for it may
 * outlive that, and find @ended.
 *
 * A window that is published is its space's @published from its creation to its
 * end, whoever else wants to be that meanwhile: cmpxchg() decides. No lock protects
 * it: who finds it there does so under RCU, and takes a reference, if there are any
 * left, as who finds it by its name.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "file.h"
#include "step.h"

/*
 * By name; looked up under RCU. It grows with the windows there are, so that
 * those of one user are not in the way of another's.
 */
static struct rhashtable windows;

/*
 * Names are random, but who makes windows in plenty may keep those that suit him:
 * which share a chain is not to be seen in them.
 */
static u32 name_hash(const void *name, u32 len, u32 seed)
{
	return (*(const u64 *)name * (seed | 1)) >> 32;
}

static int name_differs(struct rhashtable_compare_arg *arg, const void *window)
{
	return ((const struct cmad_window *)window)->name !=
	       *(const u64 *)arg->key;
}

static const struct rhashtable_params windows_params = {
	.key_len = sizeof_field(struct cmad_window, name),
	.key_offset = offsetof(struct cmad_window, name),
	.head_offset = offsetof(struct cmad_window, node),
	.hashfn = name_hash,
	.obj_cmpfn = name_differs,
	.automatic_shrinking = true,
};

/* The window with a reference, or NULL. */
struct cmad_window *cmad_window_find(u64 name)
{
	struct cmad_window *window;

	rcu_read_lock();
	window = rhashtable_lookup(&windows, &name, windows_params);
	if (window && !refcount_inc_not_zero(&window->refs))
		window = NULL;
	rcu_read_unlock();
	return window;
}

/*
 * The window that the address space publishes, with a reference, or NULL. The
 * caller has a reference on mm_users.
 */
struct cmad_window *cmad_window_published(struct mm_struct *mm)
{
	struct cmad_space *space = cmad_space_find(mm);
	struct cmad_window *window;

	if (!space)
		return NULL;
	rcu_read_lock();
	window = READ_ONCE(space->published);
	if (window && !refcount_inc_not_zero(&window->refs))
		window = NULL;
	rcu_read_unlock();
	cmad_space_put(space);
	return window;
}

static void window_free(struct rcu_head *rcu)
{
	struct cmad_window *window = container_of(rcu, struct cmad_window, rcu);
	struct cmad_user *user = window->user;

	kfree(window);
	cmad_user_uncharge(user, CMAD_CHARGE_WINDOW);
}

void cmad_window_put(struct cmad_window *window)
{
	if (!refcount_dec_and_test(&window->refs))
		return;
	cmad_space_put(window->space);
	put_cred(window->cred);
	call_rcu(&window->rcu, window_free);
}

/* Make it the file's; false if that may hold no more. */
static bool window_enlist(struct cmad_file *cf, struct cmad_window *window)
{
	bool room;

	spin_lock(&cf->windows_lock);
	room = cf->nr_windows < CMAD_MAX_HANDLES;
	if (room) {
		list_add_tail_rcu(&window->sibling, &cf->windows);
		WRITE_ONCE(cf->nr_windows, cf->nr_windows + 1);
		cmad_count(windows, 1);
	}
	spin_unlock(&cf->windows_lock);
	return room;
}

/* The window ends; false if it has ended already. */
static bool window_delist(struct cmad_file *cf, struct cmad_window *window)
{
	bool first;

	spin_lock(&cf->windows_lock);
	first = !window->ended;
	if (first) {
		list_del_rcu(&window->sibling);
		WRITE_ONCE(cf->nr_windows, cf->nr_windows - 1);
		cmad_count(windows, -1);
		WRITE_ONCE(window->ended, true);
	}
	spin_unlock(&cf->windows_lock);
	return first;
}

/* Give it a name, and make it known under that: from then on it can be ended. */
static int window_name(struct cmad_file *cf, struct cmad_window *window,
		       u64 *name)
{
	int rc;

	if (!window_enlist(cf, window))
		return -ENOSPC;
	do {
		do {
			*name = get_random_u64() & S64_MAX;
		} while (!*name);
		window->name = *name;
		rc = rhashtable_lookup_insert_fast(&windows, &window->node,
						   windows_params);
	} while (rc == -EEXIST);
	if (!rc)
		return 0;
	window_delist(cf, window);
	return -ENOMEM;
}

/*
 * It was delisted: take it out of the table and from those who map it, wait for
 * those who copy through it, and drop the file's reference. Who copies has a
 * grant, which keeps its reference until all steps that know of it are over.
 */
static void window_end(struct cmad_window *window)
{
	rhashtable_remove_fast(&windows, &window->node, windows_params);
	/* Its space publishes it, or another one, or none. */
	cmpxchg(&window->space->published, window, NULL);
	cmad_unmap_window(window);
	if (refcount_read(&window->refs) > 1)
		cmad_steps_wait();
	cmad_window_put(window);
}

/* A window of no name yet, charged to current, or an ERR_PTR. */
static struct cmad_window *window_alloc(void)
{
	struct cmad_window *window;
	struct cmad_user *user;

	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (!window)
		return ERR_PTR(-ENOMEM);
	user = cmad_user_charge(CMAD_CHARGE_WINDOW);
	if (IS_ERR(user)) {
		kfree(window);
		return ERR_CAST(user);
	}
	window->user = user;
	refcount_set(&window->refs, 1);
	return window;
}

static bool window_is_valid(const struct cma_ioc_window_create *args)
{
	u64 end;

	if (args->flags & ~CMA_WINDOW_PUBLISH || !args->length ||
	    !args->access ||
	    args->access & ~(CMA_ACCESS_READ | CMA_ACCESS_WRITE) ||
	    args->mode & ~0666 ||
	    check_add_overflow(args->base, args->length, &end))
		return false;
	/* Who finds it by a pid knows the peer's addresses, and no others. */
	return !(args->flags & CMA_WINDOW_PUBLISH) ||
	       (!args->base && args->length == S64_MAX);
}

/*
 * It has its name, which nobody was told yet: that it may have ended meanwhile is
 * not to be thought of.
 */
static int window_publish(struct cmad_file *cf, struct cmad_window *window)
{
	if (!cmpxchg(&window->space->published, NULL, window))
		return 0;
	cmad_window_destroy(cf, window->name);
	return -EEXIST;
}

int cmad_window_create(struct cmad_file *cf, struct cma_ioc_window_create *args)
{
	struct cmad_window *window;
	int rc;

	if (!window_is_valid(args))
		return -EINVAL;

	window = window_alloc();
	if (IS_ERR(window))
		return PTR_ERR(window);
	window->file = cf;
	window->base = args->base;
	window->length = args->length;
	window->access = args->access;
	window->mode = args->mode;
	window->space = cmad_space_get(current->mm, GFP_KERNEL_ACCOUNT);
	if (!window->space) {
		window_free(&window->rcu);
		return -ENOMEM;
	}
	window->cred = data_race(get_current_cred()); /* see access.c */

	rc = cmad_space_charge(window->space);
	if (!rc)
		rc = window_name(cf, window, &args->window);
	if (rc) {
		cmad_window_put(window);
		return rc;
	}
	return args->flags & CMA_WINDOW_PUBLISH ? window_publish(cf, window) :
						  0;
}

int cmad_window_destroy(struct cmad_file *cf, u64 name)
{
	struct cmad_window *window;

	rcu_read_lock();
	window = rhashtable_lookup(&windows, &name, windows_params);
	if (window && (window->file != cf || !window_delist(cf, window)))
		window = NULL;
	rcu_read_unlock();
	if (!window)
		return -ENOENT;

	window_end(window);
	return 0;
}

/* The file's last reference is gone. */
void cmad_windows_free(struct cmad_file *cf)
{
	struct cmad_window *window;

	while (!list_empty(&cf->windows)) {
		window = list_first_entry(&cf->windows, struct cmad_window,
					  sibling);
		window_delist(cf, window);
		window_end(window);
		cond_resched();
	}
}

int __init cmad_window_init(void)
{
	return rhashtable_init(&windows, &windows_params);
}

void cmad_window_exit(void)
{
	rhashtable_destroy(&windows);
}
