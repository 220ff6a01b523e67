/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * Room in the cache (evict.c): two mappings each want three chunks, and there may be
 * no more than two, but for those being filled; so they evict, and wait where too
 * many that were evicted are not freed yet. A model of its own, of counts.
 *
 *  - there are never more than the bounds say, but for one each mapper at a time [many];
 *  - whoever waits for others to be freed is woken [invalid end state].
 */
#include "../mutations.pml"

#define MAX 2			/* max_chunks */
#define GOING_MAX 1
#define MAPPERS 2

bool many;
byte nr_all = 2;		/* there, and not freed yet */
byte nr_chunks = 2;		/* there */
byte unfilled = 2;		/* of those, without a fill under way: they can be taken */
byte queued;			/* evictions */

/* wait_var_event(): who has queued looks at the condition once more. */
bool queued_up[MAPPERS], woken[MAPPERS];

/* chunk.c: cmad_chunks_going(), against evict.c's GOING_MAX */
#define many_go (nr_all - nr_chunks > GOING_MAX)

/* wake_up_var() */
inline wake_up_all()
{
	d_step {
		woken[0] = woken[0] || queued_up[0];
		woken[1] = woken[1] || queued_up[1]
	}
}

inline wait_until_few_go()
{
	do
	:: MUTATION(LOOKS_BEFORE_QUEUEING) ->
		if
		:: !many_go -> break
		:: else
		fi;
		d_step { queued_up[me] = true; woken[me] = false };
		woken[me]
	:: !MUTATION(LOOKS_BEFORE_QUEUEING) ->
		d_step { queued_up[me] = true; woken[me] = false };
		if
		:: !many_go -> break
		:: else -> woken[me]
		fi
	od;
	queued_up[me] = false
}

/* evict_one(), under chunks_lock */
inline evict_one()
{
	d_step {
		done = unfilled > 0;
		if
		:: done -> unfilled--; nr_chunks--
		:: else
		fi
	};
	if
	:: done -> queued++
	:: else
	fi
}

/* evict.c: make_room(), chunk.c: cmad_chunk_create(), and then the fault's fill */
proctype mapper(byte me)
{
	bool done;
	byte rounds;

again:
	if
	:: many_go && !MUTATION(WAITS_FOR_NOBODY) -> wait_until_few_go()
	:: else
	fi;
	done = true;
	do
	:: done && nr_chunks >= MAX -> evict_one()
	:: else -> break
	od;
	nr_all++;
	d_step {
		nr_chunks++;
		/* Of those that go, each mapper makes one after it has looked. */
		many = nr_chunks > MAX + MAPPERS || nr_all > MAX + GOING_MAX + 2 * MAPPERS;
		assert(!many)
	};
	unfilled++;
	rounds++;
	if
	:: rounds < 3 -> goto again
	:: else
	fi
}

/* Others evict, too: the shrinker, whenever it likes. */
proctype shrinker()
{
	bool done;

	evict_one();
	evict_one()
}

/* chunk.c: chunk_evict(), chunk_release(), count_there() */
proctype worker()
{
end:	do
	:: queued ->
		queued--;
		if
		:: MUTATION(WAKES_TOO_EARLY) -> wake_up_all(); nr_all--
		:: MUTATION(FREED_WITHOUT_WAKE_UP) -> nr_all--
		:: else -> nr_all--; wake_up_all()
		fi
	od
}

init {
	atomic {
		run mapper(0);
		run mapper(1);
		run shrinker();
		run worker()
	}
}
