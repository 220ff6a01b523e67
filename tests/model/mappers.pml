/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The protocol, continued (protocol.pml): those who map, their faults and the
 * changes that they make to their own address space.
 */

/* ---- faults of those who map ---- */

/* view.c: cmad_view_lock(), view_revive() */
inline lock_view(o, v)
{
	if
	:: MUTATION(FAULT_WITHOUT_VIEWS_LOCK)
	:: else -> down_read(views_lock[o])
	fi;
	do
	:: !view[v].alive && !MUTATION(NO_REVIVAL) ->
		if
		:: MUTATION(FAULT_WITHOUT_VIEWS_LOCK)
		:: else -> up_read(views_lock[o])
		fi;
		down_write(views_lock[o]);
		view[v].alive = true;
		up_write(views_lock[o]);
		if
		:: MUTATION(FAULT_WITHOUT_VIEWS_LOCK)
		:: else -> down_read(views_lock[o])
		fi
	:: else -> break
	od
}

/*
 * fault.c: map_from(), map_locked(). done: there is nothing that a fill could better. A write
 * that finds the page mapped for reading gets it for writing, in one step.
 */
inline map_from(o, v, store)
{
	if
	:: view[v].table == NO_TABLE -> view[v].table = TABLE
	:: else
	fi;
	lock_view(o, v);
	down_write(chunk[c].lock);
	/* fault.c: chunk_shows() */
	d_step {
		check_chunk(c);
		got = chunk[c].read && (!store || chunk[c].write) && !is_ended() && !chunk[c].dead
	};
	d_step {
		if
		:: got ->
			table_is_gone = view[v].table == DOOMED;
			assert(!table_is_gone);
			chunk[c].mapped = true;
			view[v].pte = chunk[c].frame;
			view[v].pte_write = chunk[c].write;
			done = true
		:: else
		fi;
		up_write(chunk[c].lock)
	};
	if
	:: MUTATION(FAULT_WITHOUT_VIEWS_LOCK)
	:: else -> up_read(views_lock[o])
	fi
}

/* fault.c: map_fault(), map_fetch(). done: no signal. */
inline fault(o, v, store)
{
	done = false;
	chunk_get(o);
	if
	:: c != NONE ->
		if
		:: chunk[c].read -> map_from(o, v, store)
		:: else
		fi;
		chunk_put(c)
	:: else
	fi;
	if
	:: !done && is_ended() -> killed = true
	:: !done && !is_ended() ->
		/* The mapper's lock is let go of before the owner's is taken. */
		if
		:: MUTATION(FAULT_KEEPS_LOCK)
		:: else -> up_read(mm[MAPPER(v)].lock)
		fi;
		chunk_get(o);
		if
		:: c != NONE ->
			fill_chunk(o, store);
			chunk_put(c)
		:: else -> make_chunk(o)
		fi;
		if
		:: MUTATION(FAULT_KEEPS_LOCK)
		:: else -> down_read(mm[MAPPER(v)].lock)
		fi
	:: else
	fi
}

/* A load or a store through a mapping, tried until it is done, or a signal. */
inline touch(o, v, store)
{
	killed = false;
	do
	:: d_step { view[v].pte && (!store || view[v].pte_write) -> use(o, view[v].pte, store) }; break
	:: else ->
		down_read(mm[MAPPER(v)].lock);
		if
		:: !view[v].mapped -> killed = true
		:: else -> fault(o, v, store)
		fi;
		up_read(mm[MAPPER(v)].lock);
		if
		:: killed -> break
		:: else
		fi
	od
}

/* A load and a store by one instruction, which begins anew after each fault. */
inline touch_both(o, v)
{
	killed = false;
	do
	:: d_step {
		view[v].pte && view[v].pte_write ->
		use(o, view[v].pte, false);
		use(o, view[v].pte, true)
	   }; break
	:: else ->
		down_read(mm[MAPPER(v)].lock);
		if
		:: !view[v].mapped -> killed = true
		:: MUTATION(WRITE_FAULT_ZAPS) && view[v].pte -> view[v].pte = 0
		:: else -> fault(o, v, view[v].pte)
		fi;
		up_read(mm[MAPPER(v)].lock);
		if
		:: killed -> break
		:: else
		fi
	od
}

/* ---- the mapper's own changes ---- */

/* view.c: cmad_view_create(); the caller holds the mapper's mmap_lock for writing. */
inline view_create(v)
{
	notifier_insert(MAPPER(v), view[v].notifier);
	if
	:: MUTATION(DEAF_VIEW)
	:: else -> read_begin(MAPPER(v), view[v].notifier, begun)
	fi;
	d_step {
		view[v].table = NO_TABLE;
		view[v].mapped = true
	}
}

/* view.c: view_invalidate(), for what takes page tables away */
inline view_invalidate(v)
{
	if
	:: !view[v].alive
	:: else ->
		down_write(views_lock[SHOWN(v)]);
		if
		:: view[v].alive ->
			view_zap(v);
			if
			:: MUTATION(VIEW_STAYS_ALIVE)
			:: else -> view[v].alive = false
			fi
		:: else
		fi;
		up_write(views_lock[SHOWN(v)])
	fi
}

/* view.c: cmad_view_close(), under the mapper's mmap_lock */
inline view_free(v)
{
	notifier_remove(MAPPER(v), view[v].notifier)
}

/*
 * munmap() of the whole, or of a part, or a move: the VMA goes, or what is left of
 * it faults anew, in other page tables.
 */
inline unmap(v, whole)
{
	down_write(mm[MAPPER(v)].lock);
	inv_start(MAPPER(v), is_told(view[v].notifier));
	if
	:: is_told(view[v].notifier) && !MUTATION(NOT_TOLD) -> view_invalidate(v)
	:: else
	fi;
	d_step {
		view[v].pte = 0;
		view[v].pte_write = false;
		view[v].table = DOOMED;
		view[v].mapped = !whole
	};
	inv_end(MAPPER(v));
	if
	:: whole -> view_free(v)
	:: else -> view[v].table = NO_TABLE
	fi;
	up_write(mm[MAPPER(v)].lock)
}
