/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * What the kernel gives: locks that sleep, address spaces, interval notifiers.
 *
 * A wait is a condition that blocks. Whoever waits for what nobody brings about
 * any more is found as a process that does not come to its end: that is a
 * deadlock, or a wake-up that was lost.
 */
#define NONE 255

#ifndef next_seq
#define next_seq(s) (s + 1)
#endif

/* A writer that waits keeps new readers out, as the kernel's rw_semaphore does. */
typedef rwsem {
	byte readers;
	bool writer;
	byte waiting
}

#define may_read(s) (!s.writer && !s.waiting)
#define may_write(s) (!s.writer && !s.readers)

inline down_read(s)
{
	atomic { may_read(s) -> s.readers++ }
}

inline up_read(s)
{
	s.readers--
}

inline down_write(s)
{
	atomic {
		if
		:: may_write(s)
		:: else ->
			s.waiting++;
			may_write(s) -> s.waiting--
		fi;
		s.writer = true
	}
}

inline up_write(s)
{
	s.writer = false
}

inline downgrade_write(s)
{
	d_step { s.writer = false; s.readers++ }
}

/* got: whether the lock was free. */
inline down_read_trylock(s)
{
	d_step {
		got = may_read(s);
		if
		:: got -> s.readers++
		:: else
		fi
	}
}

inline down_write_trylock(s)
{
	d_step {
		got = may_write(s) && !s.waiting;
		if
		:: got -> s.writer = true
		:: else
		fi
	}
}

/*
 * One address space, and in it the one page that all is about: the frame that is
 * there, and whether it may be written to (a page that is shared with a child
 * may not). Frames are numbered as they come, so that a number never returns.
 */
typedef space_of_process {
	rwsem lock;		/* mmap_lock */
	byte page;
	bool writable;
	byte seq;		/* odd while something is invalidated that is watched */
	byte running		/* invalidations under way */
}

/* mmu_interval_notifier: in the tree only while OUT and COMING are not it. */
mtype = { OUT, IN, COMING, GOING };

typedef interval_notifier {
	mtype state;
	byte seq
}

#define is_told(which) (which.state == IN || which.state == GOING)

/* mn_itree_inv_start_range(): hit says whether a notifier watches the range. */
inline inv_start(m, hit)
{
	d_step {
		mm[m].running++;
		if
		:: hit -> mm[m].seq = mm[m].seq | 1
		:: else
		fi
	}
}

/* mn_itree_inv_end(), whose caller next wakes all who wait for seq. */
inline inv_end(m)
{
	d_step {
		mm[m].running--;
		if
		:: !mm[m].running && (mm[m].seq & 1) ->
			mm[m].seq = next_seq(mm[m].seq);
			settle_notifiers(m)
		:: else
		fi
	}
}

inline settle(which)
{
	if
	:: which.state == COMING -> which.state = IN
	:: which.state == GOING -> which.state = OUT
	:: else
	fi
}

inline notifier_insert(m, which)
{
	d_step {
		if
		:: !mm[m].running ->
			which.seq = mm[m].seq - 1;
			which.state = IN
		:: mm[m].running && (mm[m].seq & 1) ->
			which.seq = mm[m].seq;
			which.state = COMING
		:: else ->
			mm[m].seq = mm[m].seq | 1;
			which.seq = mm[m].seq;
			which.state = IN
		fi
	}
}

/* Returns when nobody calls it any more. */
inline notifier_remove(m, which)
{
	atomic {
		if
		:: !(mm[m].seq & 1) || which.state == COMING -> which.state = OUT
		:: else ->
			which.state = GOING;
			which.state == OUT
		fi
	}
}

/* mmu_interval_read_begin() and mmu_interval_read_retry() */
bool sleeper;

inline read_begin(m, which, into)
{
	atomic {
		into = which.seq;
		if
		:: into != mm[m].seq
		:: else ->
			sleeper = true;
			into != mm[m].seq;
			sleeper = false
		fi
	}
}

#define read_retry(which, begun) (which.seq != begun)
