/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * Faults that can be put in on purpose, one at a time, and in which scenario it
 * shows by what: "run" checks that each does. Some are those of tests/stress/broken,
 * which are named then.
 */
#ifndef BROKEN
#define BROKEN 0
#endif
#define MUTATION(x) (BROKEN == x)

/* touch: stale: the owner's notifier leaves the entries as they are (stale) */
#define IGNORES_CHANGES 1
/* touch: stale: a fill is not told that something changed meanwhile */
#define SEQ_NOT_SET 2
/* touch: stale: a fill enters what it saw, whatever changed meanwhile */
#define NO_RETRY 3
/* touch: stale: a fill asks what changed before it has the chunk's lock */
#define LOOKS_BEFORE_THE_LOCK 4
/* touch: stale: an entry is forgotten before it is unmapped, so that who comes second has nothing to unmap */
#define FORGETS_BEFORE_ZAP 5
/* neighbour: stale: a chunk counts as mapped by nobody while a view is alive */
#define UNMAPPED_TOO_EARLY 6
/* window-changed: stale: the notifier gives up where the views' lock is taken (unmap-gives-up) */
#define GIVES_UP 7
/* touch: stale: so it does where it may not wait, and lets its caller go on */
#define NOT_BLOCKABLE_GIVES_UP 8
/* touch: stale: where it may not wait, an entry that it could not unmap is forgotten */
#define NOT_BLOCKABLE_FORGETS 9
/* mutual: deadlock: the notifier takes the views' lock under the chunk's */
#define CHUNK_BEFORE_VIEWS 10
/* mutual: deadlock: a fault takes the owner's mmap_lock under its own (fault-keeps-lock) */
#define FAULT_KEEPS_LOCK 11
/* window: late: a fault holds the chunk's lock alone */
#define FAULT_WITHOUT_VIEWS_LOCK 12
/* unmap: stale: a fault goes on with a view that is not in the tree */
#define NO_REVIVAL 13
/* touch: livelock: a write that finds the page mapped for reading takes it out, and begins anew */
#define WRITE_FAULT_ZAPS 14
/* unmap: table: a mapper that unmaps tells nobody */
#define NOT_TOLD 15
/* unmap: table: a view is made while its notifier is not called yet */
#define DEAF_VIEW 16
/* unmap: table: a view stays in the tree when its page tables go */
#define VIEW_STAYS_ALIVE 17
/* evict-copied: stale: a copy takes what a dead chunk has */
#define COPIES_FROM_THE_DEAD 18
/* window: late: a copy looks at the end of its window before its step, and not in it */
#define ENDED_IS_SEEN_TOO_EARLY 19
/* evict-copied: freed: a chunk is unlocked by one whom its end does not wait for */
#define UNLOCKS_WITHOUT_RCU 20
/* window: late: the end of a window takes the views' lock with those who fault */
#define END_DOES_NOT_WAIT_FOR_FAULTS 21
/* window: late: the end of a window does not wait for copies */
#define END_WAITS_FOR_NO_STEP 22
/* evict-copied: freed: two take the same chunk out of the table */
#define TAKES_WITHOUT_LOCK 23
/* evict-mapped: stale: the notifier of a chunk goes before what was mapped from it */
#define NOTIFIER_GOES_FIRST 24
/* evict-mapped: stale: a chunk goes, and what was mapped from it stays */
#define DESTROYS_WITHOUT_ZAP 25
/* evict-copied: freed: a chunk is freed while it may still be found */
#define FREED_WITHOUT_RCU 26
/* evict-mapped: freed: a fill holds no reference on its chunk */
#define FILL_WITHOUT_REFERENCE 27
/* window: late: the end of a window waits for the locks of the chunks that it finds: one that is being evicted is not there */
#define END_PASSES_THROUGH_LOCKS 28
/* starve: starved: a fill that loses to changes is tried again for ever (fill-never-gives-up) */
#define FILL_NEVER_GIVES_UP 29
/* starve-elsewhere: starved: one notifier for all of an address space: changes elsewhere count, too (one-notifier) */
#define ONE_NOTIFIER 30
/* reclaim-copied: freed: who evicts frees the entries without the chunk's lock */
#define STRIPS_WITHOUT_LOCK 31
/* reclaim: stale: the entries are freed although pages are mapped from them */
#define STRIPS_WHAT_IS_MAPPED 32
/* reclaim: deadlock: the shrinker takes apart what it evicts, in place of a work item */
#define SHRINKER_DESTROYS 33
/* reclaim: freed: a chunk that was taken by the bounds stays where the shrinker finds it */
#define STAYS_IN_LIST 34
/* reclaim: freed: a chunk is shown to the shrinker by one who has no reference on it */
#define LISTED_WITHOUT_REFERENCE 35
/* reclaim-copied: freed: who asks what was used holds off no end of a chunk */
#define ASKS_WITHOUT_RCU 36
/* asked: table: who asks what was used looks at page tables that may go */
#define ASKS_WITHOUT_VIEWS_LOCK 37
/* asked: deadlock: who asks what was used, with a page table lock, waits for the views' lock */
#define ASK_WAITS 38
/* reclaim-copied: unseen: copies leave their marks only after those there were cleared */
#define ASKED_TOO_LATE 39
/* space: freed: an eviction holds no reference on the space of what it evicts */
#define EVICTS_WITHOUT_SPACE 40
/* space: freed: the sweep holds no reference on a space whose mm_struct it gives back */
#define SWEEPS_WITHOUT_REFERENCE 41
/* space: freed: a work item of a space is not waited for before that is freed */
#define REAP_NOT_CANCELLED 42
/* space: freed: whoever asks what was used does so of a space that nothing holds for that */
#define YOUNG_WITHOUT_HOLD 43
/* space: kept: two who charge for a space at once both do */
#define CHARGED_TWICE 44
/* space: kept: what is charged after the mm_struct was given back stays so */
#define CHARGE_STAYS 45
/* room: deadlock: nobody is woken where a chunk is freed */
#define FREED_WITHOUT_WAKE_UP 46
/* room: deadlock: those who wait are woken before the chunk is not counted any more */
#define WAKES_TOO_EARLY 47
/* room: deadlock: who waits looks first, and then queues */
#define LOOKS_BEFORE_QUEUEING 48
/* room: many: mappings do not wait for those that were evicted to be freed */
#define WAITS_FOR_NOBODY 49
/* user: freed: who uncharges the last takes the user out of the table after the lock */
#define UNLINKED_TOO_LATE 50
/* user: many: who found no user does not look again under the lock */
#define TWO_OF_ONE_USER 51
/* verdict: missed: who finds nothing does not look again under the lock */
#define LOOKS_WITHOUT_LOCK 52
/* verdict: freed: a reference is taken on a verdict that has none any more */
#define TAKES_WHAT_GOES 53
/* verdict: freed: a verdict is freed while it may still be found */
#define GRANT_FREED_WITHOUT_RCU 54
/* verdict: freed: a table is freed when a larger one takes its place */
#define TABLE_FREED_WITHOUT_RCU 55
