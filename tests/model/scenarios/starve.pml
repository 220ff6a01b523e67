/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * An owner changes the very page without end, and a copy of it comes to its end all
 * the same. With ELSEWHERE it changes other memory, and a fault gets the page.
 */
#define PROCESSES 2
#define CHUNKS 1
#define VIEWS 1
#define OWNER(c) 0
#define SHOWN(v) 0
#define MAPPER(v) 1
#define no_view_of(o) (!view[0].alive)
#define settle_notifiers(m) if :: m == 0 -> settle(chunk[0].notifier) :: else -> settle(view[0].notifier) fi
#define make_chunk(o) skip
#define FILL_TRIES 3
/* It would never return: some rounds later nobody is left who saw it. */
#define next_seq(s) ((s + 1) % 32)

#include "../mutations.pml"
#include "../kernel.pml"
#include "../protocol.pml"

bool finished;

/* Whoever waits gets his turn before the next change. */
proctype change_for_ever()
{
	LOCALS;

	do
	:: !sleeper && !chunk[0].lock.waiting && !views_lock[0].waiting ->
#ifdef ELSEWHERE
		if
		:: MUTATION(ONE_NOTIFIER) -> invalidate(0, true)
		:: else -> inv_start(0, false)
		fi;
#else
		invalidate(0, true);
#endif
		inv_end(0)
	od
}

proctype use_it()
{
	LOCALS;

#ifdef ELSEWHERE
	touch(0, 0, false);
#else
	copy(0, false);
#endif
	finished = true
}

init {
	atomic {
		mm[0].page = 1; mm[0].writable = true; frames = 1;
		mm[0].seq = 2; mm[1].seq = 2;
		chunk[0].refs = 1; chunk[0].notifier.seq = 1; chunk[0].notifier.state = IN;
		view[0].mapped = true; view[0].notifier.seq = 1; view[0].notifier.state = IN;
		view[0].table = NO_TABLE;
		run change_for_ever();
		run use_it()
	}
}

ltl ends { <> finished }
