// SPDX-License-Identifier: GPL-2.0
/*
 * Eviction: how many chunks there may be, and which of them goes.
 *
 * Every chunk that is in the table is in lists with the next victim first: of
 * all chunks and of its space's, for the bounds; and of those that are charged
 * to the same memory cgroup (and lie in the same node), for the shrinker, so
 * that a cgroup without room loses chunks of its own, and nobody else does. A
 * chunk that was used since it was last looked at goes to the end instead, once.
 *
 * Whoever takes a chunk out of the table and the first two, under
 * cmad_chunks_lock, destroys it, and that takes it out of the third. It sleeps,
 * and may wait for the end of an invalidation by the very thread that wants
 * memory; so a work item does it. But reclaim gives up, and calls the OOM killer,
 * if memory comes back too late: what needs no waiting is freed on the spot.
 */
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched/signal.h>

#include "compat/reading.h"
#include "compat/shrinker.h"
#include "chunk.h"

#define BY_MEMORY UINT_MAX	/* a bound that nobody gave */
#define TOTAL_LEAST 4096
#define TOTAL_MOST BIT(20)
#define EACH_SHARE 4	/* of all, for one process */
#define PATIENCE 64	/* chunks in use that a search for a victim passes over */
#define GOING_MAX 1024	/* evicted, before others wait until they are freed */
#define ADMIT_PAGES 64	/* in one copy, from which a chunk pays at once */
#define ADMIT_ONE_IN 512	/* pages, and one more for each copy, makes one */
#define AMEND_PAGES 8	/* likewise, for translations in one that is there */
#define AMEND_ONE_IN 32

unsigned int cmad_max_chunks = BY_MEMORY;
module_param_named(max_chunks, cmad_max_chunks, uint, 0644);
MODULE_PARM_DESC(max_chunks,
		 "Chunks of 2 MB whose translations are kept in total (default by the machine's memory, at least 4096; 0: none for copies, the default for mappings)");

static unsigned int max_chunks_per_space = BY_MEMORY;
module_param(max_chunks_per_space, uint, 0644);
MODULE_PARM_DESC(max_chunks_per_space,
		 "Chunks of 2 MB whose translations are kept of one process (default a quarter of that of max_chunks, 0: as there)");

/* Also what mappings have where copies have none. */
static unsigned int total_default, each_default;

/* Spread evenly, and in step with nobody's order of copies. */
static DEFINE_PER_CPU(u32, lots);

static struct shrinker *chunk_shrinker;

/*
 * Take @chunk to evict it, with a reference on its space; false if it is being
 * filled.
 */
static bool take(struct cmad_chunk *chunk)
{
	lockdep_assert_held(&cmad_chunks_lock);
	/* A space without references takes itself apart. */
	if (!refcount_inc_not_zero(&chunk->space->refs))
		return false;
	if (cmad_chunk_take(chunk))
		return true;
	cmad_space_put(chunk->space);
	return false;
}

static void evict(struct cmad_chunk *chunk)
{
	cmad_chunk_evict(chunk);
	cmad_count(evictions, 1);
}

/* Whether it was used since this was asked last. */
static bool was_used(struct cmad_chunk *chunk)
{
	if (!READ_ONCE(chunk->used))
		return false;
	WRITE_ONCE(chunk->used, false);
	return true;
}

static struct cmad_chunk *next_victim(struct cmad_space *space)
{
	if (space)
		return list_first_entry_or_null(&space->siblings,
						struct cmad_chunk, sibling);
	return list_first_entry_or_null(&cmad_chunks, struct cmad_chunk, all);
}

/*
 * Evict one chunk, of @space or of all: the first in line that was not used
 * since it was last looked at. False if none of a few is so; if it @must be,
 * one that was used goes, too, and false means that all are being filled.
 */
static bool evict_one(struct cmad_space *space, bool must)
{
	struct cmad_chunk *chunk;
	unsigned int looks, max;
	bool done = false;

	spin_lock(&cmad_chunks_lock);
	max = PATIENCE + (must ? cmad_nr_chunks : 0);
	for (looks = 0; looks < max && !done; looks++) {
		chunk = next_victim(space);
		if (!chunk)
			break;
		list_move_tail(&chunk->all, &cmad_chunks);
		list_move_tail(&chunk->sibling, &chunk->space->siblings);
		done = (!was_used(chunk) || looks >= PATIENCE) && take(chunk);
	}
	spin_unlock(&cmad_chunks_lock);
	if (done)
		evict(chunk);
	return done;
}

static enum lru_status lru_evict(CMAD_LRU_WALK_ARGS(item, list, arg))
{
	struct cmad_chunk *chunk = container_of(item, struct cmad_chunk, lru);
	bool done;

	if (was_used(chunk))
		return LRU_ROTATE;
	spin_lock(&cmad_chunks_lock);
	done = take(chunk);
	spin_unlock(&cmad_chunks_lock);
	if (!done)
		return LRU_ROTATE;
	evict(chunk);
	list_lru_isolate(list, item);
	return LRU_REMOVED;
}

static unsigned long shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	return list_lru_shrink_count(&cmad_chunk_lru, sc) ?: SHRINK_EMPTY;
}

static unsigned long shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	return list_lru_shrink_walk(&cmad_chunk_lru, sc, lru_evict, NULL);
}

/* Whether a new chunk of @space takes the place of another. */
bool cmad_evict_is_full(const struct cmad_space *space)
{
	return READ_ONCE(cmad_nr_chunks) >= READ_ONCE(cmad_max_chunks) ||
	       READ_ONCE(space->nr_chunks) >= READ_ONCE(max_chunks_per_space);
}

/* Below @max, by eviction if need be: by two, if the bound was lowered. */
static bool evict_below(unsigned int max, const unsigned int *nr,
			struct cmad_space *space, bool must)
{
	int i;

	for (i = 0; i < 2 && READ_ONCE(*nr) >= max; i++)
		if (!evict_one(space, must))
			return false;
	return true;
}

/*
 * Room for one more chunk of @space; false if there is none. Copies do without;
 * for mappings it @must be, so that their chunks take the place of others, and
 * those that are evicted have to be gone before more are. Then only chunks that
 * are being filled, no more than there are faults at a time, exceed the bound.
 */
static bool make_room(struct cmad_space *space, bool must)
{
	unsigned int total = READ_ONCE(cmad_max_chunks);
	unsigned int each = READ_ONCE(max_chunks_per_space);

	if (!must && (!total || !each || cmad_chunks_going() > GOING_MAX))
		return false;
	if (cmad_chunks_wait(GOING_MAX))
		return false;
	return evict_below(each ?: each_default, &space->nr_chunks, space, must) &&
	       evict_below(total ?: total_default, &cmad_nr_chunks, NULL, must);
}

/*
 * Make the chunk at @index: it comes with a reference. An ERR_PTR, -EAGAIN if
 * there is no room in the cache, unless it @must be, and -EBUSY if somebody else
 * made it. The caller has a reference on mm_users.
 */
struct cmad_chunk *cmad_evict_for_chunk(struct cmad_space *space,
					unsigned long index, bool must)
{
	if (!make_room(space, must) &&
	    (!must || fatal_signal_pending(current)))
		return ERR_PTR(-EAGAIN);
	return cmad_chunk_create(space, index, must);
}

/* Who draws a good lot may look at it again, until it was used. */
static bool draw(unsigned long pages, unsigned int one_in)
{
	if (this_cpu_read(lots) < (pages + 1) * (U32_MAX / one_in))
		return true;
	cmad_evict_drawn();
	return false;
}

void cmad_evict_drawn(void)
{
	this_cpu_add(lots, GOLDEN_RATIO_32);
}

/*
 * Admission: whether a copy of @pages pages may have them translated though the
 * cache is full. If no chunk is @there, one takes the place of another. That costs
 * as much as some copies without it, and pays only if more of them come; so it is
 * for the few that chance picks, by what they would spare: what is copied from
 * often is among them soon, what is not hardly ever, and in whatever order copies
 * come, they are not much slower than without a cache. To enter pages into a chunk
 * that is there costs less, but that may go before they are needed again. Large
 * copies spare all of it at once.
 */
bool cmad_evict_admits(unsigned long pages, bool there)
{
	if (there)
		return pages >= AMEND_PAGES || draw(pages, AMEND_ONE_IN);
	return pages >= ADMIT_PAGES || draw(pages, ADMIT_ONE_IN);
}

/* As many as cover the machine's memory; they take 1/450 of it. */
void __init cmad_evict_set_defaults(void)
{
	total_default = clamp_t(u64, totalram_pages() / CMAD_CHUNK_PAGES,
				TOTAL_LEAST, TOTAL_MOST);
	each_default = total_default / EACH_SHARE;
	if (!CMAD_READS_TABLES)
		cmad_max_chunks = 0;
	if (cmad_max_chunks == BY_MEMORY)
		cmad_max_chunks = total_default;
	if (max_chunks_per_space == BY_MEMORY)
		max_chunks_per_space = each_default;
}

int __init cmad_evict_init(void)
{
	chunk_shrinker = cmad_shrinker_register(&cmad_chunk_lru, shrink_count,
						shrink_scan);
	return chunk_shrinker ? 0 : -ENOMEM;
}

/* No evictions are queued from now on. */
void cmad_evict_stop(void)
{
	cmad_shrinker_free(chunk_shrinker);
}

/* All spaces are gone, and their chunks with them. */
void cmad_evict_exit(void)
{
	list_lru_destroy(&cmad_chunk_lru);
}
