/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A mapper makes its mapping, unmaps a part of it or moves it, and then all of it,
 * while another of its threads touches it, while the owner changes its page, and
 * while something else is being invalidated in the mapper.
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

	change_page(0, true);
	change_page(0, true)
}

/* Reclaim in the mapper, of memory that a notifier of another one's watches. */
proctype other_invalidation()
{
	inv_start(1, true);
	inv_end(1)
}

proctype map_and_unmap()
{
	LOCALS;

	down_write(mm[1].lock);
	view_create(0);
	up_write(mm[1].lock);
	unmap(0, false);
	unmap(0, true)
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
		view[0].notifier.state = OUT; view[0].table = NO_TABLE;
		run change();
		run other_invalidation();
		run map_and_unmap();
		run touch_twice()
	}
}
