// SPDX-License-Identifier: GPL-2.0
/* A walk of a list_lru tells its callback the list's lock. */
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/list_lru.h>

enum lru_status probe(list_lru_walk_cb walk, struct list_head *item,
		      struct list_lru_one *list, spinlock_t *lock);
enum lru_status probe(list_lru_walk_cb walk, struct list_head *item,
		      struct list_lru_one *list, spinlock_t *lock)
{
	return walk(item, list, lock, NULL);
}
