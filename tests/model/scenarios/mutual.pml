/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * Two processes map each other. Each touches the other one's page, unmaps what it
 * has of it, and changes its own; the notifier of each calls the other one's.
 */
#define PROCESSES 2
#define CHUNKS 2
#define VIEWS 2
#define OWNER(c) c
#define SHOWN(v) (1 - v)
#define MAPPER(v) v
#define no_view_of(o) (!view[1 - o].alive)
#define settle_notifiers(m) settle(chunk[m].notifier); settle(view[m].notifier)
#define make_chunk(o) skip
#define NESTED

#include "../mutations.pml"
#include "../kernel.pml"
#include "../protocol.pml"

proctype change(byte who)
{
	LOCALS;

	down_write(mm[who].lock);
	change_page(who, true);
	up_write(mm[who].lock)
}

proctype touch_other(byte who)
{
	LOCALS;

	touch(1 - who, who, false)
}

proctype unmap_other(byte who)
{
	LOCALS;

	unmap(who, true)
}

init {
	byte i;

	atomic {
		do
		:: i < 2 ->
			mm[i].page = 1; mm[i].writable = true; mm[i].seq = 2;
			cached[i] = i;
			chunk[i].refs = 1; chunk[i].notifier.seq = 1; chunk[i].notifier.state = IN;
			view[i].mapped = true; view[i].notifier.seq = 1; view[i].notifier.state = IN;
			view[i].table = NO_TABLE;
			i++
		:: else -> break
		od;
		frames = 1;
		run change(0);
		run change(1);
		run touch_other(0);
		run touch_other(1)
#ifdef UNMAP
		; run unmap_other(0)
#endif
	}
}
