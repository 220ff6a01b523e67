/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The life of a space (space.c): two hold on to it and let go of it, each charged
 * or not (user.c), one of them makes a chunk, which is evicted, while its owner
 * exits, and the sweep finds that out. This is a model of its own, of references.
 *
 *  - a space is freed once, and not used afterwards [freed];
 *  - its mm_struct is given back once, and not used afterwards [mm];
 *  - in the end all is given back, and nobody is charged for it [kept].
 */
#include "../mutations.pml"

bool used_freed, mm_is_gone, kept;

byte refs = 2;			/* space->refs; two hold it */
byte holds = 2;			/* space->holds: refs', and the young notifier's */
bool linked = true;		/* in the table, and in the list of those living */
bool held = true;		/* space->held: the mm_struct is not given back */
bool freed;
byte mm_users = 1;		/* the owner's */
byte mm_count = 3;		/* mm_users', held, and the young notifier's */
bool chunk_there;		/* in the table, with a reference of its own alone */
bool chunk_told;		/* its notifier is on the mm_struct */
bool charged;			/* space->user */
byte charges;			/* the user's count */
bool asked;
mtype = { IDLE, QUEUED, RUNNING };
mtype reap = IDLE;

inline check_space()
{
	used_freed = freed;
	assert(!used_freed)
}

inline check_mm()
{
	mm_is_gone = !mm_count;
	assert(!mm_is_gone)
}

inline mmdrop()
{
	check_mm();
	mm_count--
}

/* cmad_space_drop() */
inline space_drop()
{
	d_step {
		check_space();
		holds--;
		if
		:: !holds ->
			if
			:: charged && !MUTATION(CHARGE_STAYS) -> charges--
			:: else
			fi;
			freed = true
		:: else
		fi
	}
}

/* The kernel calls free_notifier() when nobody can ask any more. */
proctype free_notifier()
{
	asked;
	d_step { mmdrop() };
	space_drop()
}

/* space_give_back() */
inline space_give_back()
{
	/* young.c: cmad_young_end() */
	d_step { check_space(); check_mm() };
	run late_asker();
	if
	:: MUTATION(YOUNG_WITHOUT_HOLD) -> space_drop(); d_step { mmdrop() }
	:: else -> run free_notifier()
	fi;
	d_step {
		mm_is_gone = !held;
		assert(!mm_is_gone);
		mmdrop();
		held = false
	};
	d_step {
		check_space();
		charges = charges - charged;
		charged = false
	}
}

/* One whom the notifier let in before it was taken away. */
proctype late_asker()
{
	d_step { check_space() };
	asked = true
}

/* chunk.c: chunk_destroy() */
inline destroy_chunk()
{
	d_step { check_space(); mmdrop(); chunk_told = false }
}

/* table.c: cmad_chunk_take_first(), chunk.c: chunks_drop() */
inline chunks_drop()
{
	d_step { check_space(); taken = chunk_there; chunk_there = false };
	if
	:: taken -> destroy_chunk()
	:: else
	fi
}

/* space_reap() */
proctype run_reap()
{
	bool taken;

	atomic {
		if
		:: reap == QUEUED -> reap = RUNNING
		:: else -> goto cancelled
		fi
	};
	chunks_drop();
	reap = IDLE;
cancelled:
	skip
}

inline queue_reap()
{
	atomic {
		check_space();
		if
		:: reap == IDLE -> reap = QUEUED; run run_reap()
		:: else
		fi
	}
}

/* space_end() */
proctype space_end()
{
	bool taken;

	chunks_drop();
	/* cancel_work_sync() */
	if
	:: MUTATION(REAP_NOT_CANCELLED)
	:: else ->
		atomic {
			if
			:: reap == QUEUED -> reap = IDLE
			:: else -> reap == IDLE
			fi
		}
	fi;
	if
	:: held -> space_give_back()
	:: else
	fi;
	space_drop()
}

/* cmad_space_put(); spaces_lock is as long as a step of the model. */
inline space_put()
{
	atomic {
		check_space();
		refs--;
		if
		:: !refs -> linked = false; run space_end()
		:: else
		fi
	}
}

/* cmad_space_charge() */
inline space_charge()
{
	if
	:: charged
	:: else ->
		charges++;
		d_step {
			if
			:: !charged -> charged = true
			:: charged && !MUTATION(CHARGED_TWICE) -> charges--
			:: else
			fi
		}
	fi
}

/* Owner's memory is looked at with mm_users alone: space.h: cmad_space_mmget(). */
inline mmget(got)
{
	atomic {
		if
		:: linked && mm_users -> check_mm(); mm_users++; got = true
		:: else -> got = false
		fi
	}
}

/* mmput(), exit_mmap(), chunk.c: chunk_invalidate() with MMU_NOTIFY_RELEASE */
inline mmput()
{
	d_step { mm_users--; last = !mm_users };
	if
	:: last ->
		/* A notifier is there, and so what it belongs to, while it is called. */
		atomic {
			if
			:: chunk_told -> queue_reap()
			:: else
			fi
		};
		d_step { mmdrop() }
	:: else
	fi
}

proctype holder(bool makes)
{
	bool got, last;

	space_charge();
	mmget(got);
	if
	:: got ->
		if
		:: makes -> d_step { check_space(); chunk_told = true; mm_count++ };
			chunk_there = true
		:: else
		fi;
		mmput()
	:: else
	fi;
	space_put()
}

proctype exit_owner()
{
	bool last;

	mmput()
}

/* evict.c: take(), chunk.c: chunk_evict() */
proctype evict()
{
	bool taken;

	atomic {
		if
		:: chunk_there && (refs || MUTATION(EVICTS_WITHOUT_SPACE)) ->
			check_space();
			if
			:: MUTATION(EVICTS_WITHOUT_SPACE)
			:: else -> refs++
			fi;
			chunk_there = false;
			taken = true
		:: else
		fi
	};
	if
	:: taken ->
		destroy_chunk();
		if
		:: MUTATION(EVICTS_WITHOUT_SPACE)
		:: else -> space_put()
		fi
	:: else
	fi
}

/* spaces_sweep(), space_is_over(): twice */
proctype sweep()
{
	bool over;
	byte rounds;

	do
	:: rounds < 2 && !over ->
		rounds++;
		atomic {
			if
			:: linked && !mm_users && !chunk_there ->
				over = true;
				linked = false;
				if
				:: MUTATION(SWEEPS_WITHOUT_REFERENCE)
				:: else -> refs++
				fi
			:: linked && !mm_users && chunk_there -> queue_reap()
			:: else
			fi
		}
	:: else -> break
	od;
	if
	:: over ->
		space_give_back();
		if
		:: MUTATION(SWEEPS_WITHOUT_REFERENCE)
		:: else -> space_put()
		fi
	:: else
	fi
}

init {
	atomic {
		run holder(true);
		run holder(false);
		run exit_owner();
		run evict();
		run sweep()
	};
	_nr_pr == 1;
	kept = mm_count || !freed || charges;
	assert(!kept)
}
