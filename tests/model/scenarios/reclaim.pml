/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A chunk is evicted by the bounds, and by the shrinker, which is called by one who
 * changes the owner's page, in the midst of that. A fault makes it anew. With COPIED
 * a copy does, and somebody asks what was used.
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
#define SHRINKER
/* The second chunk, once. Without one there is nothing to be done but to pin. */
#define make_chunk(o) \
	if \
	:: !made -> \
		made = true; \
		chunk_create(0, 1); \
		if \
		:: MUTATION(LISTED_WITHOUT_REFERENCE) -> chunk[1].refs-- \
		:: else \
		fi; \
		lru_add(1); \
		if \
		:: MUTATION(LISTED_WITHOUT_REFERENCE) \
		:: else -> chunk[1].refs-- \
		fi \
	:: else -> killed = true \
	fi
#define FILL_TRIES 1

#include "../mutations.pml"
#include "../kernel.pml"

bool made;

#include "../protocol.pml"

proctype change_and_reclaim()
{
	LOCALS;

	invalidate(0, true);
	shrink(0);
	d_step { frames++; mm[0].page = frames; c = NONE };
	inv_end(0)
}

proctype use_it()
{
	LOCALS;

#ifdef COPIED
	copy(0, false)
#else
	touch(0, 0, false)
#endif
}

proctype evict_or_ask()
{
	LOCALS;

#ifdef COPIED
	ask(0)
#else
	evict_one(0)
#endif
}

proctype worker()
{
	LOCALS;

end:	do
	:: evictions_are_queued -> chunk_evict(0)
	od
}

init {
	atomic {
		mm[0].page = 1; mm[0].writable = true; frames = 1;
		mm[0].seq = 2; mm[1].seq = 2;
		chunk[0].refs = 1; chunk[0].notifier.seq = 1; chunk[0].notifier.state = IN;
		chunk[0].frame = 1; chunk[0].read = true; chunk[0].listed = true;
		chunk[1].notifier.state = OUT;
		view[0].mapped = true; view[0].notifier.seq = 1; view[0].notifier.state = IN;
		view[0].table = NO_TABLE;
		run change_and_reclaim();
		run use_it();
		run evict_or_ask();
		run worker()
	}
}
