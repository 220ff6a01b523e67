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
 *  - a copy is told to whoever asks what was used, within it or next [unseen];
 *  - whatever is begun comes to an end: no deadlock, no wait that nobody ends
 *    [invalid end state], no try that is repeated for ever [non-progress cycle].
 *
 * The lock order is that of module/private.h: views' lock > chunk lock.
 *
 * A scenario (scenarios/) says how many processes, chunks and threads there are,
 * and includes this. MUTATION(x) stands where a fault is put in on purpose, which
 * "run" has to find. The scenarios room, space, user and verdict are models of their
 * own.
 */
bool stale, late, table_is_gone, freed_twice, used_freed, unseen;

typedef chunk_t {
	rwsem lock;
	/* entries: the frame that is known, and with which rights */
	byte frame;
	bool read;
	bool write;
	bool mapped;
	bool dead;
	bool freed;
	bool stripped;		/* the entries are freed */
	bool listed;		/* in cmad_chunk_lru */
	bool asked;
	bool idle;		/* its bit in young is clear */
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
	bool pte_write;
	bool accessed
}

space_of_process mm[PROCESSES];
rwsem views_lock[PROCESSES];	/* of the space of each */
byte cached[PROCESSES];		/* the table of chunks, by the owner */
chunk_t chunk[CHUNKS];
view_t view[VIEWS];
byte steps;			/* under way */
byte readers;			/* of RCU, which are no steps */
byte answers;			/* that the page was used, which then counts as unused */
bool page_table_locked[PROCESSES];	/* by one who asks what was used there */
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
	bool ok, got, shown, done, killed, seen_write, seen_asked; \
	byte tries, seen_answers

/* An access of a mapper's, or of a copy: one that the processor makes. */
inline use(o, f, store)
{
	stale = f != mm[o].page || (store && !mm[o].writable);
	assert(!stale);
	late = gone;
	assert(!late)
}

/* Its entries are being looked at. */
inline check_entries(c)
{
	used_freed = chunk[c].freed || chunk[c].stripped;
	assert(!used_freed)
}

inline check_chunk(c)
{
	used_freed = chunk[c].freed;
	assert(!used_freed)
}

/* ---- unmapping from those who map ---- */

/* The mapper's own notifiers are called within ours (unmap.c: cmad_view_zap()). */
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

/* unmap.c: cmad_view_zap(); under the views' lock */
inline view_zap(v)
{
	zap_begin(MAPPER(v));
	atomic {
		!page_table_locked[MAPPER(v)];
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

/* chunk.c: chunk_revoke() */
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

/* table.c: cmad_chunk_get() */
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

#include "mappers.pml"
#include "copies.pml"
#include "reclaim.pml"
