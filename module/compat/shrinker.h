/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A shrinker by one call: it came to be allocated by the kernel, and before
 * that to have a name.
 */
#ifndef CMAD_COMPAT_SHRINKER_H
#define CMAD_COMPAT_SHRINKER_H

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "probed.h"

typedef unsigned long cmad_shrink_fn(struct shrinker *shrinker,
				     struct shrink_control *sc);

#ifdef CMAD_HAVE_SHRINKER_ALLOC

static inline struct shrinker *cmad_shrinker_register(cmad_shrink_fn *count,
						      cmad_shrink_fn *scan)
{
	struct shrinker *shrinker = shrinker_alloc(0, "cma");

	if (shrinker) {
		shrinker->count_objects = count;
		shrinker->scan_objects = scan;
		shrinker_register(shrinker);
	}
	return shrinker;
}

static inline void cmad_shrinker_free(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}

#else

static inline struct shrinker *cmad_shrinker_register(cmad_shrink_fn *count,
						      cmad_shrink_fn *scan)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
	int rc;

	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
#ifdef CMAD_HAVE_SHRINKER_NAME
	rc = register_shrinker(shrinker, "cma");
#else
	rc = register_shrinker(shrinker);
#endif
	if (rc) {
		kfree(shrinker);
		return NULL;
	}
	return shrinker;
}

static inline void cmad_shrinker_free(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}

#endif

#endif /* CMAD_COMPAT_SHRINKER_H */
