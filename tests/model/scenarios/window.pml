/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A window ends while one maps it, another one copies through it, and its chunk is
 * evicted. With CHANGED, while one maps it and the owner changes its page.
 */
#define PROCESSES 2
#define CHUNKS 1
#define VIEWS 1
#define OWNER(c) 0
#define SHOWN(v) 0
#define MAPPER(v) 1
#define no_view_of(o) (!view[0].alive)
#define settle_notifiers(m) if :: m == 0 -> settle(chunk[0].notifier) :: else -> settle(view[0].notifier) fi
#define make_chunk(o) break
#define WINDOW
#define FILL_TRIES 1

#include "../mutations.pml"
#include "../kernel.pml"
#include "../protocol.pml"

proctype change()
{
	LOCALS;

	change_page(0, true)
}

proctype touch_it(bool twice)
{
	LOCALS;

	touch(0, 0, true);
	if
	:: twice -> touch(0, 0, true)
	:: else
	fi
}

proctype copy_it()
{
	LOCALS;

	copy(0, true)
}

proctype evict()
{
	LOCALS;

	chunk_take(0);
	if
	:: c != NONE -> chunk_destroy(0, c)
	:: else
	fi
}

proctype end()
{
	LOCALS;

	window_end(0)
}

init {
	atomic {
		mm[0].page = 1; mm[0].writable = true; frames = 1;
		mm[0].seq = 2; mm[1].seq = 2;
		chunk[0].refs = 1; chunk[0].notifier.seq = 1; chunk[0].notifier.state = IN;
		view[0].mapped = true; view[0].notifier.seq = 1; view[0].notifier.state = IN;
		view[0].table = NO_TABLE;
#ifdef CHANGED
		run touch_it(true);
		run change();
#else
		run touch_it(false);
		run copy_it();
		run evict();
#endif
		run end()
	}
}
