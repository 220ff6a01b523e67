// SPDX-License-Identifier: GPL-2.0
/*
 * Counters since the module was loaded, and what there is of each kind now, one
 * file each in /sys/class/misc/cma/: kept per CPU, so that copies do not meet in
 * them.
 *
 * They are exact, so that who reads them before and after sees each request of
 * everybody else, with its size: root alone may.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "private.h"

DEFINE_PER_CPU(struct cmad_stat, cmad_stats);

static u64 stat_sum(size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const void *stats = per_cpu_ptr(&cmad_stats, cpu);

		sum += READ_ONCE(*(const u64 *)(stats + offset));
	}
	return sum;
}

#define CMAD_SHOW(_name, _sum)						\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *buf)	\
{									\
	return sysfs_emit(buf, "%llu\n", _sum);				\
}									\
static DEVICE_ATTR_ADMIN_RO(_name)

#define CMAD_STAT(_name)						\
	CMAD_SHOW(_name, stat_sum(offsetof(struct cmad_stat, _name)))
/* A thing may come on one CPU and go on another while they are summed up. */
#define CMAD_GAUGE(_name)						\
	CMAD_SHOW(_name, (u64)max_t(s64, 0, stat_sum(offsetof(struct cmad_stat, _name))))

CMAD_STAT(copies);	/* copies that reached the engine */
CMAD_STAT(bytes);	/* bytes they moved */
CMAD_STAT(faults);	/* of them, those that stopped at unusable memory */
CMAD_STAT(denials);	/* requests that the kernel's ptrace rules refused */
CMAD_STAT(fills);	/* translations entered into the cache */
CMAD_STAT(collisions);	/* attempts that a change of the memory undid */
CMAD_STAT(invalidations);	/* changes of an owner's memory that reached it */
CMAD_STAT(evictions);	/* chunks given up for want of room */
CMAD_STAT(vmaps);	/* chunks mapped into the kernel in one piece */

CMAD_GAUGE(files);	/* of /dev/cma that are open */
CMAD_GAUGE(handles);
CMAD_GAUGE(windows);
CMAD_GAUGE(mappings);	/* VMAs that show others' memory */
CMAD_GAUGE(spaces);	/* address spaces that something is kept of */
CMAD_GAUGE(chunks);	/* of the cache, those being freed included */

static struct attribute *cmad_stat_attrs[] = {
	&dev_attr_copies.attr,
	&dev_attr_bytes.attr,
	&dev_attr_faults.attr,
	&dev_attr_denials.attr,
	&dev_attr_fills.attr,
	&dev_attr_collisions.attr,
	&dev_attr_invalidations.attr,
	&dev_attr_evictions.attr,
	&dev_attr_vmaps.attr,
	&dev_attr_files.attr,
	&dev_attr_handles.attr,
	&dev_attr_windows.attr,
	&dev_attr_mappings.attr,
	&dev_attr_spaces.attr,
	&dev_attr_chunks.attr,
	NULL
};

static const struct attribute_group cmad_stat_group = {
	.attrs = cmad_stat_attrs,
};

const struct attribute_group *cmad_stat_groups[] = {
	&cmad_stat_group,
	NULL
};
