/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A shrinker of objects in a list_lru, for each memory cgroup, by one call. It
 * came to be allocated by the kernel, and before that to have a name; so did
 * the functions of list_lru change, and whose lists are made when.
 */
#ifndef CMAD_COMPAT_SHRINKER_H
#define CMAD_COMPAT_SHRINKER_H

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/list_lru.h> /* which once wanted those before it */
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "probed.h"

typedef unsigned long cmad_shrink_fn(struct shrinker *shrinker,
				     struct shrink_control *sc);

#define CMAD_SHRINKER_FLAGS (SHRINKER_MEMCG_AWARE | SHRINKER_NUMA_AWARE)

#ifdef CMAD_HAVE_SHRINKER_ALLOC

static inline struct shrinker *cmad_shrinker_register(struct list_lru *lru,
						      cmad_shrink_fn *count,
						      cmad_shrink_fn *scan)
{
	struct shrinker *shrinker = shrinker_alloc(CMAD_SHRINKER_FLAGS, "cma");

	if (!shrinker)
		return NULL;
	if (list_lru_init_memcg(lru, shrinker)) {
		shrinker_free(shrinker);
		return NULL;
	}
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker_register(shrinker);
	return shrinker;
}

/* Waits for calls under way. */
static inline void cmad_shrinker_free(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

#else

static inline unsigned long cmad_shrink_nothing(struct shrinker *shrinker,
						struct shrink_control *sc)
{
	return 0;
}

/* The lists belong to the shrinker's number, which only registering gives. */
static inline struct shrinker *cmad_shrinker_register(struct list_lru *lru,
						      cmad_shrink_fn *count,
						      cmad_shrink_fn *scan)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
	int rc;

	if (!shrinker)
		return NULL;
	shrinker->count_objects = cmad_shrink_nothing;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker->flags = CMAD_SHRINKER_FLAGS;
#ifdef CMAD_HAVE_SHRINKER_NAME
	rc = register_shrinker(shrinker, "cma");
#else
	rc = register_shrinker(shrinker);
#endif
	if (rc) {
		kfree(shrinker);
		return NULL;
	}
	if (list_lru_init_memcg(lru, shrinker)) {
		unregister_shrinker(shrinker);
		kfree(shrinker);
		return NULL;
	}
	/* Who sees the function sees the lists, too. */
	synchronize_rcu();
	WRITE_ONCE(shrinker->count_objects, count);
	return shrinker;
}

/* Waits for calls under way. */
static inline void cmad_shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}

#endif

/* An object, all 0, which can be put into @lru. */
static inline void *cmad_lru_alloc(struct kmem_cache *cache,
				   struct list_lru *lru, gfp_t gfp)
{
#ifdef CMAD_HAVE_KMEM_CACHE_ALLOC_LRU
	return kmem_cache_alloc_lru(cache, lru, gfp | __GFP_ZERO);
#else
	return kmem_cache_zalloc(cache, gfp);
#endif
}

/* The list is that of the cgroup that the object is charged to. */
static inline void cmad_lru_add(struct list_lru *lru, struct list_head *item)
{
#ifdef CMAD_HAVE_LIST_LRU_OBJ
	list_lru_add_obj(lru, item);
#else
	list_lru_add(lru, item);
#endif
}

/* Nothing, if it is not there. */
static inline void cmad_lru_del(struct list_lru *lru, struct list_head *item)
{
#ifdef CMAD_HAVE_LIST_LRU_OBJ
	list_lru_del_obj(lru, item);
#else
	list_lru_del(lru, item);
#endif
}

/* The parameters of a list_lru_walk_cb, which once were told the lock. */
#ifdef CMAD_HAVE_LIST_LRU_WALK_LOCK
#define CMAD_LRU_WALK_ARGS(item, list, arg)			\
	struct list_head *(item), struct list_lru_one *(list),	\
	spinlock_t *lock, void *(arg)
#else
#define CMAD_LRU_WALK_ARGS(item, list, arg)			\
	struct list_head *(item), struct list_lru_one *(list), void *(arg)
#endif

#endif /* CMAD_COMPAT_SHRINKER_H */
