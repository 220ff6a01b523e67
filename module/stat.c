// SPDX-License-Identifier: GPL-2.0
/*
 * Counters since the module was loaded, one file each in
 * /sys/class/misc/cma/: kept per CPU, so that copies do not meet in them.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "private.h"

DEFINE_PER_CPU(struct cmad_stat, cmad_stats);

#define CMAD_STAT(_name)						\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *buf)	\
{									\
	u64 sum = 0;							\
	int cpu;							\
									\
	for_each_possible_cpu(cpu)					\
		sum += per_cpu(cmad_stats, cpu)._name;			\
	return sysfs_emit(buf, "%llu\n", sum);				\
}									\
static DEVICE_ATTR_RO(_name)

CMAD_STAT(copies);	/* copies that reached the engine */
CMAD_STAT(bytes);	/* bytes they moved */
CMAD_STAT(faults);	/* of them, those that stopped at unusable memory */
CMAD_STAT(denials);	/* requests that the kernel's ptrace rules refused */
CMAD_STAT(fills);	/* translations entered into the cache */
CMAD_STAT(collisions);	/* attempts that a change of the memory undid */
CMAD_STAT(invalidations);	/* changes of an owner's memory that reached it */
CMAD_STAT(evictions);	/* chunks given up for want of room */
CMAD_STAT(flattenings);	/* chunks mapped into the kernel in one piece */
CMAD_STAT(deferrals);	/* pages kept until they could be hidden */

static struct attribute *cmad_stat_attrs[] = {
	&dev_attr_copies.attr,
	&dev_attr_bytes.attr,
	&dev_attr_faults.attr,
	&dev_attr_denials.attr,
	&dev_attr_fills.attr,
	&dev_attr_collisions.attr,
	&dev_attr_invalidations.attr,
	&dev_attr_evictions.attr,
	&dev_attr_flattenings.attr,
	&dev_attr_deferrals.attr,
	NULL
};

static const struct attribute_group cmad_stat_group = {
	.attrs = cmad_stat_attrs,
};

const struct attribute_group *cmad_stat_groups[] = {
	&cmad_stat_group,
	NULL
};
