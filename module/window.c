// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: parts of their owner's memory that others open by name.
 *
 * A window belongs to the open file that it was created in, and to the address
 * space of its creator, whose memory it does not keep. It is in the table of
 * windows until it ends; grants for it may outlive that, and find @ended.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "private.h"

#define HASH_BITS_WINDOWS 10

/* Guards the table, and the windows and nr_windows of every file. */
static DEFINE_SPINLOCK(windows_lock);
static struct hlist_head windows[1 << HASH_BITS_WINDOWS];

static struct hlist_head *window_bucket(u64 name)
{
	return &windows[hash_64(name, HASH_BITS_WINDOWS)];
}

static struct cmad_window *window_lookup(u64 name)
{
	struct cmad_window *window;

	lockdep_assert_held(&windows_lock);
	hlist_for_each_entry(window, window_bucket(name), node)
		if (window->name == name)
			return window;
	return NULL;
}

/* The window with a reference, or NULL. */
struct cmad_window *cmad_window_find(u64 name)
{
	struct cmad_window *window;

	spin_lock(&windows_lock);
	window = window_lookup(name);
	if (window)
		refcount_inc(&window->refs);
	spin_unlock(&windows_lock);
	return window;
}

void cmad_window_put(struct cmad_window *window)
{
	if (!refcount_dec_and_test(&window->refs))
		return;
	cmad_space_put(window->space);
	put_cred(window->cred);
	kfree(window);
}

/* Give it a name and make it known under it; the file may hold no more. */
static int window_publish(struct cmad_file *cf, struct cmad_window *window)
{
	int rc = -ENOSPC;

	spin_lock(&windows_lock);
	if (cf->nr_windows < CMAD_MAX_HANDLES) {
		do {
			get_random_bytes(&window->name, sizeof(window->name));
			window->name &= S64_MAX;
		} while (!window->name || window_lookup(window->name));
		hlist_add_head(&window->node, window_bucket(window->name));
		list_add(&window->sibling, &cf->windows);
		cf->nr_windows++;
		rc = 0;
	}
	spin_unlock(&windows_lock);
	return rc;
}

static void window_withdraw(struct cmad_window *window)
{
	lockdep_assert_held(&windows_lock);
	hlist_del(&window->node);
	list_del(&window->sibling);
	window->file->nr_windows--;
	WRITE_ONCE(window->ended, true);
}

/* It was withdrawn: take it from those who map it, and the file's reference. */
static void window_end(struct cmad_window *window)
{
	cmad_hide_window(window);
	cmad_window_put(window);
}

int cmad_window_create(struct cmad_file *cf, struct cma_ioc_window_create *args)
{
	struct cmad_window *window;
	u64 end;
	int rc;

	if (args->flags || !args->length || !args->access ||
	    args->access & ~(CMA_ACCESS_READ | CMA_ACCESS_WRITE) ||
	    args->mode & ~0666 ||
	    check_add_overflow(args->base, args->length, &end))
		return -EINVAL;

	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (!window)
		return -ENOMEM;
	refcount_set(&window->refs, 1);
	window->file = cf;
	window->base = args->base;
	window->length = args->length;
	window->access = args->access;
	window->mode = args->mode;
	window->space = cmad_space_get(current->mm);
	if (!window->space) {
		kfree(window);
		return -ENOMEM;
	}
	window->cred = get_current_cred();

	rc = window_publish(cf, window);
	args->window = window->name;
	if (rc)
		cmad_window_put(window);
	return rc;
}

int cmad_window_destroy(struct cmad_file *cf, u64 name)
{
	struct cmad_window *window;

	spin_lock(&windows_lock);
	window = window_lookup(name);
	if (window && window->file != cf)
		window = NULL;
	if (window)
		window_withdraw(window);
	spin_unlock(&windows_lock);
	if (!window)
		return -ENOENT;

	window_end(window);
	return 0;
}

/* The file's last reference is gone. */
void cmad_windows_free(struct cmad_file *cf)
{
	struct cmad_window *window;

	do {
		spin_lock(&windows_lock);
		window = list_first_entry_or_null(&cf->windows,
						  struct cmad_window, sibling);
		if (window)
			window_withdraw(window);
		spin_unlock(&windows_lock);
		if (window)
			window_end(window);
	} while (window);
}
