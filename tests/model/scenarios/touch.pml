/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A mapper reads and writes, by one instruction, while its owner's page changes
 * twice at once: once for the better, once without being allowed to wait.
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

proctype fork_and_write()
{
	LOCALS;

	down_write(mm[0].lock);
	share_page(0);
	up_write(mm[0].lock);
}

proctype change(bool blockable)
{
	LOCALS;

	change_page(0, blockable)
}

/* One instruction: what faults begins anew. */
proctype read_and_write()
{
	LOCALS;

	touch_both(0, 0)
}

init {
	atomic {
		mm[0].page = 1; mm[0].writable = true; frames = 1;
		mm[0].seq = 2; mm[1].seq = 2;
		chunk[0].refs = 1; chunk[0].notifier.seq = 1; chunk[0].notifier.state = IN;
		view[0].mapped = true; view[0].notifier.seq = 1; view[0].notifier.state = IN;
		view[0].table = NO_TABLE;
		run fork_and_write();
		run change(true);
		run change(false);
		run read_and_write()
	}
}
