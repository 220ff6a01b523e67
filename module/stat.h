/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module counts, by each CPU for itself, so that those who copy do not
 * meet in a cache line.
 */
#ifndef CMAD_STAT_H
#define CMAD_STAT_H

#include <linux/percpu.h>
#include <linux/types.h>

struct attribute_group;

/* What one CPU copied for an open file. */
struct cmad_moved {
	u64 copies;
	u64 bytes;
};

struct cmad_stat {
	u64 copies;
	u64 bytes;
	u64 faults;
	u64 denials;
	u64 fills;
	u64 collisions;
	u64 invalidations;
	u64 evictions;
	u64 vmaps;
	/* What there is now: a sum over all CPUs, of which each may be negative. */
	u64 files;
	u64 handles;
	u64 windows;
	u64 mappings;
	u64 spaces;
	u64 chunks;
};

DECLARE_PER_CPU(struct cmad_stat, cmad_stats);
extern const struct attribute_group *cmad_stat_groups[];

#define cmad_count(what, n) this_cpu_add(cmad_stats.what, n)

static inline void cmad_count_copy(struct cmad_moved __percpu *moved, u64 bytes)
{
	cmad_count(copies, 1);
	cmad_count(bytes, bytes);
	this_cpu_inc(moved->copies);
	this_cpu_add(moved->bytes, bytes);
}

#endif /* CMAD_STAT_H */
