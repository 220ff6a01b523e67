/* SPDX-License-Identifier: GPL-2.0 */
/* Who pays: see user.c. */
#ifndef CMAD_USER_H
#define CMAD_USER_H

#include <linux/types.h>

/* What a user is charged for */
enum cmad_charge {
	CMAD_CHARGE_HANDLE,
	CMAD_CHARGE_VERDICT,
	CMAD_CHARGE_WINDOW,
	CMAD_CHARGE_SPACE,
	CMAD_CHARGES
};

struct cmad_user;

struct cmad_user *cmad_user_charge(enum cmad_charge what);
void cmad_user_uncharge(struct cmad_user *user, enum cmad_charge what);
void cmad_user_init(void);

#endif /* CMAD_USER_H */
