/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The protocol of chunks, notifiers, mappings and windows: what keeps everybody
 * from a page that is not its owner's any more. Each step says which function of
 * module/ it is; where that one changes, this has to follow.
 *
 * One page, its chunk, and those who map it or copy from it. Memory is as if each
 * access were seen by all at once: where the module relies on barriers, it has to
 * say so itself. What is pinned keeps its page, and is left out.
 *
 * Promised, and asserted where the words in brackets stand:
 *  - nobody loads from or stores to a page that its owner does not have there any
 *    more, or stores to one that its owner may not write to [stale];
 *  - nothing moves once the end of a window has returned [late];
 *  - nobody enters or clears page table entries while the mapper, who was told,
 *    frees the tables [table];
 *  - a chunk is freed once, and not used afterwards [freed];
 *  - whatever is begun comes to an end: no deadlock, no wait that nobody ends
 *    [invalid end state], no try that is repeated for ever [non-progress cycle].
 *
 * The lock order is that of module/private.h: views' lock > chunk lock.
 *
 * A scenario (scenarios/) says how many processes, chunks and threads there are,
 * and includes this. MUTATION(x) stands where a fault is put in on purpose, which
 * "run" has to find.
 */
bool stale, late, table_is_gone, freed_twice, used_freed;

typedef chunk_t {
	rwsem lock;
	/* entries: the frame that is known, and with which rights */
	byte frame;
	bool read;
	bool write;
	bool mapped;
	bool dead;
	bool freed;
	byte refs;		/* 0: taken out of the table, or not made yet */
	interval_notifier notifier;
}

/* Page tables of a mapping: not made, there, about to be freed, freed. */
mtype = { NO_TABLE, TABLE, DOOMED };

/* A VMA of a mapper, and its view of the one page. */
typedef view_t {
	bool mapped;		/* the VMA is there */
	bool alive;		/* in the tree of the space that it shows */
	interval_notifier notifier;	/* on the mapper */
	mtype table;
	byte pte;		/* the frame that is mapped, or 0 */
	bool pte_write
}

space_of_process mm[PROCESSES];
rwsem views_lock[PROCESSES];	/* of the space of each */
byte cached[PROCESSES];		/* the table of chunks, by the owner */
chunk_t chunk[CHUNKS];
view_t view[VIEWS];
byte steps;			/* under way */
byte frames;			/* that were given out so far */

bool ended;			/* window->ended */
bool gone;			/* CMA_IOC_WINDOW_DESTROY has returned */
#ifdef WINDOW
#define is_ended() ended
#else
#define is_ended() false
#endif

/* What each thread has of its own. */
#define LOCALS \
	byte c = NONE, ic, zv, begun, looked_at; \
	bool ok, got, shown, done, killed, seen_write; \
	byte tries

/* An access of a mapper's, or of a copy: one that the processor makes. */
inline use(o, f, store)
{
	stale = f != mm[o].page || (store && !mm[o].writable);
	assert(!stale);
	late = gone;
	assert(!late)
}

inline check_chunk(c)
{
	used_freed = chunk[c].freed;
	assert(!used_freed)
}

/* ---- unmapping from those who map ---- */

/* The mapper's own notifiers are called within ours (unmap.c: view_zap()). */
#ifdef NESTED
inline zap_begin(m)
{
	inv_start(m, is_told(chunk[m].notifier));
	if
	:: is_told(chunk[m].notifier) ->
		down_write(chunk[m].lock);
		d_step {
			chunk[m].notifier.seq = mm[m].seq;
			/* Nobody has an entry for a mapping of ours: nothing to forget. */
			up_write(chunk[m].lock)
		}
	:: else
	fi
}
#define zap_end(m) inv_end(m)
#else
#define zap_begin(m) skip
#define zap_end(m) skip
#endif

/* unmap.c: view_zap(); under the views' lock */
inline view_zap(v)
{
	zap_begin(MAPPER(v));
	d_step {
		table_is_gone = view[v].table == DOOMED;
		assert(!table_is_gone);
		view[v].pte = 0;
		view[v].pte_write = false
	};
	zap_end(MAPPER(v))
}

/* unmap.c: zap() */
inline zap(o)
{
	zv = 0;
	do
	:: zv < VIEWS && SHOWN(zv) == o && view[zv].alive ->
		view_zap(zv);
		zv++
	:: zv < VIEWS && !(SHOWN(zv) == o && view[zv].alive) -> zv++
	:: zv == VIEWS -> break
	od;
	zv = 0
}

/* unmap.c: clear_revoked() */
inline clear_revoked(o, c)
{
	down_write(chunk[c].lock);
	d_step {
		check_chunk(c);
		if
		:: !chunk[c].read && !chunk[c].write -> chunk[c].frame = 0
		:: else
		fi;
		if
		:: no_view_of(o) || MUTATION(UNMAPPED_TOO_EARLY) -> chunk[c].mapped = false
		:: else
		fi;
		up_write(chunk[c].lock)
	}
}

/* unmap.c: cmad_unmap_pages(); ok: whether it is done */
inline unmap_pages(o, c, blockable)
{
	if
	:: blockable && !MUTATION(GIVES_UP) ->
		down_read(views_lock[o]);
		got = true
	:: else -> down_read_trylock(views_lock[o])
	fi;
	if
	:: got ->
		zap(o);
		up_read(views_lock[o]);
		clear_revoked(o, c)
	:: else -> ok = MUTATION(GIVES_UP) || MUTATION(NOT_BLOCKABLE_GIVES_UP)
	fi
}

/* ---- the owner's notifier ---- */

/* chunk.c: chunk_forget() */
inline chunk_forget(c, blockable)
{
	if
	:: MUTATION(IGNORES_CHANGES) -> shown = false
	:: else ->
		chunk[c].read = false;
		chunk[c].write = false;
		shown = chunk[c].mapped && chunk[c].frame;
		if
		:: !chunk[c].mapped || MUTATION(FORGETS_BEFORE_ZAP) ||
		   (!blockable && MUTATION(NOT_BLOCKABLE_FORGETS)) -> chunk[c].frame = 0
		:: else
		fi
	fi
}

/* chunk.c: chunk_invalidate(); ok: whether the owner may go on */
inline chunk_invalidate(o, c, blockable)
{
	ok = true;
	if
	:: blockable ->
		down_write(chunk[c].lock);
		got = true
	:: else -> down_write_trylock(chunk[c].lock)
	fi;
	if
	:: got ->
		d_step {
			check_chunk(c);
			if
			:: MUTATION(SEQ_NOT_SET)
			:: else -> chunk[c].notifier.seq = mm[o].seq
			fi;
			chunk_forget(c, blockable);
			if
			:: MUTATION(CHUNK_BEFORE_VIEWS)
			:: else -> up_write(chunk[c].lock)
			fi
		};
		if
		:: shown && MUTATION(CHUNK_BEFORE_VIEWS) ->
			down_read(views_lock[o]);
			zap(o);
			up_read(views_lock[o]);
			d_step { chunk[c].frame = 0; up_write(chunk[c].lock) }
		:: !shown && MUTATION(CHUNK_BEFORE_VIEWS) -> up_write(chunk[c].lock)
		:: shown && !MUTATION(CHUNK_BEFORE_VIEWS) -> unmap_pages(o, c, blockable)
		:: else
		fi
	:: else -> ok = MUTATION(NOT_BLOCKABLE_GIVES_UP)
	fi
}

/* Chunks of this owner that are told. */
#define is_watched(o) (CHUNK_IS_TOLD(o, 0) || CHUNK_IS_TOLD(o, 1))
#if CHUNKS > 1
#define CHUNK_IS_TOLD(o, c) (OWNER(c) == o && is_told(chunk[c].notifier))
#else
#define CHUNK_IS_TOLD(o, c) (c == 0 && OWNER(0) == o && is_told(chunk[0].notifier))
#endif

/* The kernel tells all of what is to change. */
inline invalidate(o, blockable)
{
	inv_start(o, is_watched(o));
	ok = true;
	ic = 0;
	do
	:: ok && ic < CHUNKS && OWNER(ic) == o && is_told(chunk[ic].notifier) ->
		chunk_invalidate(o, ic, blockable);
		ic++
	:: ok && ic < CHUNKS && !(OWNER(ic) == o && is_told(chunk[ic].notifier)) -> ic++
	:: !ok || ic == CHUNKS -> break
	od;
	ic = 0
}

/* Another frame takes the page's place (copy-on-write, migration, remapping). */
inline change_page(o, blockable)
{
	invalidate(o, blockable);
	d_step {
		if
		:: ok ->
			frames++;
			mm[o].page = frames;
			mm[o].writable = true
		:: else
		fi
	};
	inv_end(o)
}

/* fork(): the page is a child's, too. */
inline share_page(o)
{
	invalidate(o, true);
	mm[o].writable = false;
	inv_end(o)
}

/* ---- filling the cache ---- */

/* fault.c: fetch(): the owner's own fault, which takes the page from the child. */
inline fetch(o)
{
	down_read(mm[o].lock);
	if
	:: !mm[o].writable -> change_page(o, true)
	:: else
	fi;
	up_read(mm[o].lock)
}

/* chunk.c: cmad_chunk_get() */
inline chunk_get(o)
{
	d_step {
		c = cached[o];
		if
		:: c != NONE -> check_chunk(c);
			if
			:: MUTATION(FILL_WITHOUT_REFERENCE)
			:: else -> chunk[c].refs++
			fi
		:: else
		fi
	}
}

inline chunk_put(c)
{
	d_step {
		if
		:: MUTATION(FILL_WITHOUT_REFERENCE)
		:: else -> chunk[c].refs--
		fi
	}
}

/* chunk.c: cmad_chunk_create(). Only as often as there are chunks to be made. */
inline chunk_create(o, c)
{
	notifier_insert(o, chunk[c].notifier);
	d_step {
		chunk[c].refs = 1;
		cached[o] = c;
		if
		:: MUTATION(FILL_WITHOUT_REFERENCE)
		:: else -> chunk[c].refs++
		fi
	}
}

/*
 * fill.c: chunk_fill(), fault.c: fill(). It holds a reference on the chunk; want:
 * the page has to be writable. done: something was entered.
 */
inline fill_chunk(o, want)
{
	done = false;
	read_begin(o, chunk[c].notifier, begun);
	down_read(mm[o].lock);
	d_step { looked_at = mm[o].page; seen_write = mm[o].writable };
	up_read(mm[o].lock);
	if
	:: want && !seen_write -> fetch(o)
	:: else ->
		if
		:: MUTATION(LOOKS_BEFORE_THE_LOCK) ->
			got = !read_retry(chunk[c].notifier, begun);
			down_write(chunk[c].lock)
		:: else ->
			down_write(chunk[c].lock);
			got = !read_retry(chunk[c].notifier, begun) || MUTATION(NO_RETRY)
		fi;
		/* fill.c: cmad_chunk_enter() */
		d_step {
			check_chunk(c);
			if
			:: got ->
				chunk[c].frame = looked_at;
				chunk[c].read = true;
				chunk[c].write = chunk[c].write || seen_write
			:: else
			fi;
			done = got;
			up_write(chunk[c].lock)
		}
	fi;
	d_step { looked_at = 0; seen_write = false }
}

/* ---- faults of those who map ---- */

/* unmap.c: cmad_view_lock(), view_revive() */
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

/* unmap.c: cmad_view_create(); the caller holds the mapper's mmap_lock for writing. */
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

/* unmap.c: view_invalidate(), for what takes page tables away */
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

/* unmap.c: cmad_view_close(), under the mapper's mmap_lock */
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

#include "copies.pml"
