// SPDX-License-Identifier: GPL-2.0
/* An object's allocation makes the list that it will be in. */
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/list_lru.h>
#include <linux/slab.h>

void *probe(struct kmem_cache *cache, struct list_lru *lru);
void *probe(struct kmem_cache *cache, struct list_lru *lru)
{
	return kmem_cache_alloc_lru(cache, lru, GFP_KERNEL);
}
