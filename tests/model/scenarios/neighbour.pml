/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A mapper reads twice while its owner's page changes, and another one of the same
 * chunk, which is known and mapped, too.
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

#include "../mutations.pml"
#include "../kernel.pml"
#include "../protocol.pml"

proctype change()
{
	LOCALS;

	change_page(0, true)
}

/* As change(), of a page that is none of the model's. */
proctype change_neighbour()
{
	inv_start(0, true);
	down_write(chunk[0].lock);
	d_step { chunk[0].notifier.seq = mm[0].seq; up_write(chunk[0].lock) };
	down_read(views_lock[0]);
	up_read(views_lock[0]);
	down_write(chunk[0].lock);
	d_step {
		if
		:: no_view_of(0) || MUTATION(UNMAPPED_TOO_EARLY) -> chunk[0].mapped = false
		:: else
		fi;
		up_write(chunk[0].lock)
	};
	inv_end(0)
}

proctype touch_twice()
{
	LOCALS;

	touch(0, 0, false);
	touch(0, 0, false)
}

init {
	atomic {
		mm[0].page = 1; mm[0].writable = true; frames = 1;
		mm[0].seq = 2; mm[1].seq = 2;
		chunk[0].refs = 1; chunk[0].notifier.seq = 1; chunk[0].notifier.state = IN;
		view[0].mapped = true; view[0].notifier.seq = 1; view[0].notifier.state = IN;
		view[0].table = NO_TABLE;
		run change();
		run change_neighbour();
		run touch_twice()
	}
}
