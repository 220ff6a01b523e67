/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading another process's page tables, which a kernel can be built without.
 * Copies then go through pinned pages alone, and there are no mappings.
 */
#ifndef CMAD_COMPAT_READING_H
#define CMAD_COMPAT_READING_H

#include <linux/errno.h>
#include <linux/hmm.h>

#include "probed.h"

#ifdef CMAD_HAVE_HMM
#define CMAD_READS_TABLES true

static inline int cmad_range_fault(struct hmm_range *range)
{
	return hmm_range_fault(range);
}
#else
#define CMAD_READS_TABLES false

static inline int cmad_range_fault(struct hmm_range *range)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* CMAD_COMPAT_READING_H */
