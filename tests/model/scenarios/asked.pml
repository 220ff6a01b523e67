/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * Two processes map each other, and of each it is asked what was used, while it
 * unmaps what it has of the other one.
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

#include "../mutations.pml"
#include "../kernel.pml"
#include "../protocol.pml"

proctype ask_about(byte who)
{
	LOCALS;

	ask(who)
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
			chunk[i].frame = 1; chunk[i].read = true; chunk[i].mapped = true;
			view[i].mapped = true; view[i].alive = true; view[i].table = TABLE; view[i].pte = 1;
			view[i].notifier.seq = 1; view[i].notifier.state = IN;
			run ask_about(i);
			run unmap_other(i);
			i++
		:: else -> break
		od
	}
}
