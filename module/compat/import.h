/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In which order the kernel checks lists of segments, which callers can tell
 * where more than one thing is wrong.
 */
#ifndef CMAD_COMPAT_IMPORT_H
#define CMAD_COMPAT_IMPORT_H

#include <linux/types.h>

/**
 * struct cmad_import - what import_iovec() does
 * @as_read: checks each length as it reads it, so that EINVAL comes before the
 *	EFAULT of a later segment that cannot be read
 * @trims: cuts a single segment to MAX_RW_COUNT before it asks access_ok()
 * @in_turn: asks access_ok() for each segment before it looks at the length of
 *	the next one
 */
struct cmad_import {
	bool as_read;
	bool trims;
	bool in_turn;
};

extern struct cmad_import cmad_import;

int cmad_import_init(void);

#endif /* CMAD_COMPAT_IMPORT_H */
