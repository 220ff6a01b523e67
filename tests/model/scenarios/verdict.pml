/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * What an open file keeps (verdict.c): two verdicts in one chain, which are looked
 * up under RCU and under the file's lock while the table grows, and one of them is
 * given up. A model of its own, of references and of one chain in each table.
 *
 *  - neither a verdict nor a table is used after it was freed [freed];
 *  - what is kept all the time is found [missed].
 */
#include "../mutations.pml"

#define TABLES 2
#define NOBODY 2

bool used_freed, missed;

typedef verdict {
	byte refs;		/* the table's, and of each who uses it */
	byte next;		/* in its chain, or NOBODY */
	bool freed
}

verdict kept[2];
byte chain[TABLES];		/* the first one in it, or NOBODY */
bool table_freed[TABLES];
byte table;			/* cf->verdicts */
bool locked;			/* cf->verdicts_lock */
byte readers;			/* of RCU */

inline check(is_freed)
{
	used_freed = is_freed;
	assert(!used_freed)
}

/* A grace period, and those who began in it. */
proctype free_grant(byte g)
{
	MUTATION(GRANT_FREED_WITHOUT_RCU) || !readers;
	kept[g].freed = true
}

proctype free_table(byte t)
{
	MUTATION(TABLE_FREED_WITHOUT_RCU) || !readers;
	table_freed[t] = true
}

/* access.c: cmad_grant_put() */
inline grant_put(g)
{
	atomic {
		check(kept[g].freed);
		kept[g].refs--;
		if
		:: !kept[g].refs -> run free_grant(g)
		:: else
		fi
	}
}

/* verdict_find(): step by step, as others may change the chain. */
inline verdict_find(who)
{
	t = table;
	atomic { check(table_freed[t]); at = chain[t] };
	do
	:: at == NOBODY || at == who -> break
	:: else -> atomic { check(kept[at].freed); at = kept[at].next }
	od;
	skip
}

inline lock()
{
	atomic { !locked -> locked = true }
}

/* verdict_get(), of the one that stays; cmad_verdict_grant(), and the use of it */
proctype copy_long()
{
	byte t, at;

	readers++;
	verdict_find(0);
	if
	:: at == 0 -> d_step { check(kept[0].freed); kept[0].refs++ }
	:: else
	fi;
	readers--;
	if
	:: at == NOBODY && !MUTATION(LOOKS_WITHOUT_LOCK) ->
		lock();
		verdict_find(0);
		if
		:: at == 0 -> d_step { check(kept[0].freed); kept[0].refs++ }
		:: else
		fi;
		locked = false
	:: else
	fi;
	missed = at == NOBODY;
	assert(!missed);
	d_step { check(kept[0].freed) };
	grant_put(0)
}

/* The same of the one that is given up: it may be gone, and it may be going. */
proctype copy_going()
{
	byte t, at;

	readers++;
	verdict_find(1);
	d_step {
		if
		:: at == 1 && (kept[1].refs || MUTATION(TAKES_WHAT_GOES)) ->
			check(kept[1].freed);
			kept[1].refs++
		:: at == 1 && !kept[1].refs && !MUTATION(TAKES_WHAT_GOES) -> at = NOBODY
		:: else
		fi
	};
	readers--;
	if
	:: at == 1 ->
		d_step { check(kept[1].freed) };
		grant_put(1)
	:: else
	fi
}

/* cmad_verdict_peek(), short.c: nothing but RCU */
proctype copy_short()
{
	byte t, at;

	readers++;
	verdict_find(1);
	if
	:: at == 1 -> d_step { check(kept[1].freed) }
	:: else
	fi;
	readers--
}

/* verdicts_grow(): each goes to the front of its new chain. */
proctype grow()
{
	byte old, next, at;

	lock();
	old = table;
	at = chain[old];
	do
	:: at == NOBODY -> break
	:: else ->
		next = kept[at].next;
		chain[old] = next;		/* hlist_del_rcu() */
		kept[at].next = chain[1 - old];	/* hlist_add_head_rcu() */
		chain[1 - old] = at;
		at = next
	od;
	table = 1 - old;
	run free_table(old);
	locked = false
}

/* verdicts_sweep(), verdict_drop() */
proctype sweep()
{
	lock();
	if
	:: chain[table] == 1 -> chain[table] = kept[1].next
	:: else -> kept[0].next = kept[1].next
	fi;
	grant_put(1);
	locked = false
}

init {
	atomic {
		kept[0].refs = 1; kept[0].next = 1;
		kept[1].refs = 1; kept[1].next = NOBODY;
		chain[1] = NOBODY;
		run copy_long();
		run copy_going();
		run copy_short();
		run grow();
		run sweep()
	}
}
