/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A chunk is evicted by two at once, and made anew by a copy that wants it, while
 * the owner changes its page.
 */
#define PROCESSES 2
#define CHUNKS 2
#define VIEWS 1
#define OWNER(c) 0
#define SHOWN(v) 0
#define MAPPER(v) 1
#define no_view_of(o) (!view[0].alive)
#define settle_notifiers(m) \
	if \
	:: m == 0 -> settle(chunk[0].notifier); settle(chunk[1].notifier) \
	:: else -> settle(view[0].notifier) \
	fi
/* The second chunk, once. Without one there is nothing to be done but to pin. */
#define make_chunk(o) \
	atomic { \
		if \
		:: !made -> made = true; chunk_create(0, 1); chunk[1].refs--; cached[0] = 1 \
		:: else -> killed = true \
		fi \
	}
#define FILL_TRIES 1

#include "../mutations.pml"
#include "../kernel.pml"

bool made;

#include "../protocol.pml"

proctype change()
{
	LOCALS;

	change_page(0, true)
}

proctype copy_it()
{
	LOCALS;

	copy(0, false)
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

init {
	atomic {
		mm[0].page = 1; mm[0].writable = true; frames = 1;
		mm[0].seq = 2; mm[1].seq = 2;
		chunk[0].refs = 1; chunk[0].notifier.seq = 1; chunk[0].notifier.state = IN;
		chunk[0].frame = 1; chunk[0].read = true;
		chunk[1].notifier.state = OUT;
		view[0].mapped = true; view[0].notifier.seq = 1; view[0].notifier.state = IN;
		view[0].table = NO_TABLE;
		run change();
		run copy_it();
		run evict();
		run evict()
	}
}
