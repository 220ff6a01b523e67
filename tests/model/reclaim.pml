/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The protocol, continued (protocol.pml): eviction, by the bounds and by the
 * shrinker, and those who ask whether a page was used.
 */

/* ---- eviction ---- */

/* chunk.c: chunk_strip(), young.c: cmad_young_hand_over() */
inline chunk_strip(o, c)
{
	if
	:: MUTATION(STRIPS_WITHOUT_LOCK) -> got = true
	:: else -> down_write_trylock(chunk[c].lock)
	fi;
	d_step {
		if
		:: got ->
			check_chunk(c);
			chunk[c].dead = true;
			/* The marks go to the page: it has to be the owner's. */
			stale = chunk[c].read && chunk[c].frame != mm[o].page;
			assert(!stale);
			if
			:: !chunk[c].mapped || MUTATION(STRIPS_WHAT_IS_MAPPED) ->
				chunk[c].stripped = true;
				chunk[c].frame = 0;
				chunk[c].read = false;
				chunk[c].write = false
			:: else
			fi;
			if
			:: MUTATION(STRIPS_WITHOUT_LOCK)
			:: else -> up_write(chunk[c].lock)
			fi
		:: else
		fi
	}
}

/* evict.c: evict(): what may have to wait is done by a work item. */
bool evict_queued[CHUNKS];

inline evict_taken(o, c)
{
	chunk_strip(o, c);
	evict_queued[c] = true
}

/* evict.c: evict_one() */
inline evict_one(o)
{
	chunk_take(o);
	if
	:: c != NONE -> evict_taken(o, c)
	:: else
	fi
}

/* chunk.c: chunk_evict(), for one that is queued */
inline chunk_evict(o)
{
	d_step {
		if
		:: evict_queued[0] -> c = 0
		:: else -> c = CHUNKS - 1
		fi;
		evict_queued[c] = false
	};
	chunk_destroy(o, c)
}

#if CHUNKS > 1
#define evictions_are_queued (evict_queued[0] || evict_queued[1])
#else
#define evictions_are_queued (evict_queued[0])
#endif

/* evict.c: shrink_scan(), lru_evict() of one that is listed */
#ifdef SHRINKER
inline shrink(o)
{
	lru_lock();
	d_step {
		c = NONE;
		ic = 0;
		do
		:: ic < CHUNKS && c == NONE && chunk[ic].listed -> check_chunk(ic); c = ic; ic++
		:: ic < CHUNKS && !(c == NONE && chunk[ic].listed) -> ic++
		:: ic == CHUNKS -> break
		od;
		ic = 0;
		/* evict.c: take(), under chunks_lock */
		if
		:: c != NONE && cached[o] == c && chunk[c].refs == 1 ->
			chunk[c].refs = 0;
			cached[o] = NONE
		:: else -> c = NONE
		fi
	};
	if
	:: c != NONE && !MUTATION(SHRINKER_DESTROYS) ->
		evict_taken(o, c);
		/* list_lru_isolate(): the work item waits for this lock. */
		check_chunk(c);
		chunk[c].listed = false
	:: else
	fi;
	lru_unlock();
	if
	:: c != NONE && MUTATION(SHRINKER_DESTROYS) -> chunk_destroy(o, c)
	:: else
	fi
}
#endif

/* ---- whether a page was used ---- */

/* young.c: views_young(); got: yes, or not known */
inline views_young(o)
{
	if
	:: MUTATION(ASK_WAITS) -> down_read(views_lock[o]); got = true
	:: MUTATION(ASKS_WITHOUT_VIEWS_LOCK) -> got = true
	:: else -> down_read_trylock(views_lock[o])
	fi;
	if
	:: got ->
		got = false;
		zv = 0;
		do
		:: zv < VIEWS && SHOWN(zv) == o && view[zv].alive ->
			/* compat/accessed.h: cmad_accessed() finds the table, and then the entry. */
			shown = view[zv].table == TABLE;
			d_step {
				table_is_gone = shown && view[zv].table == DOOMED;
				assert(!table_is_gone);
				got = got || view[zv].accessed;
				view[zv].accessed = false;
				shown = false
			};
			zv++
		:: zv < VIEWS && !(SHOWN(zv) == o && view[zv].alive) -> zv++
		:: zv == VIEWS -> break
		od;
		zv = 0;
		if
		:: MUTATION(ASKS_WITHOUT_VIEWS_LOCK)
		:: else -> up_read(views_lock[o])
		fi
	:: else -> got = true
	fi
}

/*
 * young.c: clear_young(), space_young(), chunk_young(). The kernel asks with the
 * lock of a page table of the owner's.
 */
inline ask(o)
{
	atomic { !page_table_locked[o] -> page_table_locked[o] = true };
	readers++;
	c = cached[o];
	if
	:: c != NONE ->
		d_step { check_chunk(c); shown = chunk[c].mapped; got = false };
		if
		:: shown -> views_young(o)
		:: else
		fi;
		if
		:: MUTATION(ASKED_TOO_LATE)
		:: else -> chunk[c].asked = true
		fi;
		d_step {
			check_chunk(c);
			got = got || !chunk[c].idle;
			answers = answers + got;
			chunk[c].idle = true
		};
		d_step { check_chunk(c); chunk[c].asked = true; got = false }
	:: else
	fi;
	readers--;
	page_table_locked[o] = false
}
