// SPDX-License-Identifier: GPL-2.0
/* A shrinker is registered with a name. */
#include <linux/mm.h>
#include <linux/shrinker.h>

int probe(struct shrinker *shrinker);
int probe(struct shrinker *shrinker)
{
	return register_shrinker(shrinker, "cma");
}
