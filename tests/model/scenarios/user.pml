/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * Who is charged (user.c): three things of one user come and go, of which there
 * may be two, and the user is there while any is. A model of its own.
 *
 *  - a user is not used after it was freed [freed];
 *  - there are never more than its bound [many];
 *  - in the end nobody is left [kept].
 */
#include "../mutations.pml"

#define USERS 3			/* that may be made */

#define LIMIT 2

bool used_freed, kept, many;
byte there = USERS;		/* in the table: none */
byte count[USERS];
bool freed[USERS];
byte made;
byte things;			/* that are charged */

inline check_user(u)
{
	used_freed = freed[u];
	assert(!used_freed)
}

/*
 * user_charge(), under users_lock. u: who pays; USERS: nobody is there yet. ok: the
 * bound is not reached.
 */
inline user_charge(new)
{
	d_step {
		u = (there == USERS || MUTATION(TWO_OF_ONE_USER) && new != USERS -> new : there);
		ok = u != USERS && count[u] < LIMIT;
		if
		:: ok ->
			check_user(u);
			there = u;
			count[u]++;
			things++;
			many = things > LIMIT;
			assert(!many)
		:: else
		fi
	}
}

/* cmad_user_charge(), cmad_user_uncharge() */
proctype thing()
{
	byte u = USERS, new = USERS;
	bool ok;

	user_charge(USERS);
	if
	:: u == USERS ->
		d_step { new = made; made++ };
		user_charge(new);
		if
		:: u != new -> freed[new] = true
		:: else
		fi
	:: else
	fi;
	if
	:: ok
	:: else -> goto refused
	fi;
	d_step {
		check_user(u);
		things--;
		count[u]--;
		new = (count[u] -> USERS : u);
		if
		:: there == new && !MUTATION(UNLINKED_TOO_LATE) -> there = USERS
		:: else
		fi
	};
	if
	:: new != USERS ->
		if
		:: MUTATION(UNLINKED_TOO_LATE) -> there = USERS
		:: else
		fi;
		d_step { check_user(u); freed[u] = true }
	:: else
	fi;
refused:
	skip
}

init {
	byte i;

	atomic {
		run thing();
		run thing();
		run thing()
	};
	_nr_pr == 1;
	d_step {
		kept = there != USERS;
		do
		:: i < made -> kept = kept || !freed[i]; i++
		:: i == made -> break
		od;
		assert(!kept)
	}
}
