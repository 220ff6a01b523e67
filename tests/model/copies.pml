/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The protocol, continued (protocol.pml): copies, and the ends of windows and of
 * chunks, which wait for them.
 */

/* ---- copies ---- */

/*
 * copy.c: copy_cached(), short.c; step.h: a step, which is a read side of RCU,
 * too. done: all is moved.
 */
inline copy_cached(o, store)
{
	done = false;
	got = false;
	if
	:: MUTATION(ENDED_IS_SEEN_TOO_EARLY) -> killed = is_ended()
	:: else
	fi;
	steps++;
	/* table.c: cmad_chunk_trylock() */
	c = cached[o];
	if
	:: c != NONE ->
		d_step { check_chunk(c) };
		down_read_trylock(chunk[c].lock);
		if
		:: got && chunk[c].dead && !MUTATION(COPIES_FROM_THE_DEAD) ->
			up_read(chunk[c].lock);
			got = false
		:: else
		fi
	:: else
	fi;
	if
	:: got ->
		if
		:: MUTATION(ENDED_IS_SEEN_TOO_EARLY)
		:: else -> killed = is_ended()
		fi;
		d_step {
			check_entries(c);
			done = !killed && chunk[c].read && (!store || chunk[c].write);
			looked_at = chunk[c].frame;
			seen_asked = chunk[c].asked;
			seen_answers = answers
		};
		if
		:: done ->
			d_step { use(o, looked_at, store) };
			d_step {
				check_entries(c);
				use(o, looked_at, store);
				/* young.c: cmad_young_mark() */
				chunk[c].idle = chunk[c].idle && !seen_asked;
				unseen = chunk[c].idle && answers == seen_answers;
				assert(!unseen)
			}
		:: else
		fi;
		if
		:: MUTATION(UNLOCKS_WITHOUT_RCU) -> steps--
		:: else
		fi;
		up_read(chunk[c].lock);
		/* The lock is in use for a moment after others have got it. */
		d_step { check_chunk(c) };
		if
		:: MUTATION(UNLOCKS_WITHOUT_RCU)
		:: else -> steps--
		fi
	:: else -> steps--
	fi
}

/* copy.c: copy_step(), without what is pinned: that keeps its page. */
inline copy(o, store)
{
	killed = false;
	tries = FILL_TRIES;
	do
	:: is_ended() -> break
	:: else ->
		copy_cached(o, store);
		if
		:: done || killed || !tries -> break
		:: else ->
			if
			:: MUTATION(FILL_NEVER_GIVES_UP)
			:: else -> tries--
			fi;
			chunk_get(o);
			if
			:: c != NONE ->
				fill_chunk(o, store);
				chunk_put(c)
			:: else -> make_chunk(o)
			fi
		fi
	od
}

/* ---- a window's end ---- */

/* window.c: window_end(), unmap.c: cmad_unmap_window() */
inline window_end(o)
{
	ended = true;
	if
	:: MUTATION(END_DOES_NOT_WAIT_FOR_FAULTS) -> down_read(views_lock[o])
	:: else ->
		down_write(views_lock[o]);
		downgrade_write(views_lock[o])
	fi;
	zap(o);
	up_read(views_lock[o]);
	if
	:: MUTATION(END_WAITS_FOR_NO_STEP)
	:: MUTATION(END_PASSES_THROUGH_LOCKS) ->
		chunk_get(o);
		if
		:: c != NONE ->
			down_write(chunk[c].lock);
			up_write(chunk[c].lock);
			chunk_put(c)
		:: else
		fi
	/* step.c: cmad_steps_wait(). Of later steps, none goes on. */
	:: else -> !steps
	fi;
	gone = true
}

/* ---- a chunk's end ---- */

/* A list of cmad_chunk_lru. Only scenarios with a shrinker have one. */
#ifdef SHRINKER
bool lru_locked;

inline lru_lock()
{
	atomic { !lru_locked -> lru_locked = true }
}

inline lru_unlock()
{
	lru_locked = false
}

/* compat/shrinker.h: cmad_lru_add(), cmad_lru_del() */
inline lru_add(c)
{
	lru_lock();
	d_step { check_chunk(c); chunk[c].listed = true; lru_unlock() }
}

inline lru_del(c)
{
	if
	:: MUTATION(STAYS_IN_LIST)
	:: else ->
		lru_lock();
		d_step { chunk[c].listed = false; lru_unlock() }
	fi
}
#else
#define lru_add(c) skip
#define lru_del(c) skip
#endif

/* table.c: cmad_chunk_take(), under chunks_lock; c: what was taken */
inline chunk_take(o)
{
	d_step { c = cached[o]; got = c != NONE };
	d_step {
		if
		:: got && (chunk[c].refs == 1 || MUTATION(TAKES_WITHOUT_LOCK)) ->
			chunk[c].refs = 0;
			cached[o] = NONE
		:: else -> c = NONE
		fi
	}
}

/* chunk.c: chunk_destroy(), chunk_release() */
inline chunk_destroy(o, c)
{
	lru_del(c);
	if
	:: MUTATION(NOTIFIER_GOES_FIRST) -> notifier_remove(o, chunk[c].notifier)
	:: else
	fi;
	down_write(chunk[c].lock);
	d_step {
		check_chunk(c);
		chunk[c].dead = true;
		shown = chunk[c].mapped;
		up_write(chunk[c].lock)
	};
	if
	:: shown && !MUTATION(DESTROYS_WITHOUT_ZAP) ->
		down_read(views_lock[o]);
		zap(o);
		up_read(views_lock[o])
	:: else
	fi;
	if
	:: MUTATION(NOTIFIER_GOES_FIRST)
	:: else -> notifier_remove(o, chunk[c].notifier)
	fi;
	if
	:: MUTATION(FREED_WITHOUT_RCU)
	:: else -> !steps && (!readers || MUTATION(ASKS_WITHOUT_RCU))
	fi;
	d_step {
		freed_twice = chunk[c].freed;
		assert(!freed_twice);
		chunk[c].freed = true
	}
}
