// SPDX-License-Identifier: GPL-2.0
/*
 * Hiding: how pages of a peer leave the address spaces that map them, before
 * the peer's own no longer has them.
 *
 * All VMAs that map a space are in one address_space, which is the space's and
 * in which a page's number is that of its address in the peer. That finds
 * them, and the i_mmap lock keeps their page tables while they are changed.
 *
 * The notifier may run under rmap locks that mm_take_all_locks() wants while it
 * holds our i_mmap lock: whoever registers a notifier on a process that maps
 * its peer takes every lock of that process. So the notifier only tries the
 * lock. Where somebody has it, references keep the pages, and a work item
 * queues for the lock in the notifier's place; that waits for the work item, as
 * long as it may. In reclaim it need not: whoever comes with an rmap lock
 * (reclaim, migration, KSM, a huge page's split) leaves a page with unknown
 * references where it is, as it would for get_user_pages().
 *
 * What the work item waits for never waits for it, so its queue is its own:
 * other work of the module may wait for a notifier to end.
 */
#include <linux/interval_tree_generic.h>
#include <linux/pagemap.h>
#include <linux/wait_bit.h>

#include "compat/mapping.h"
#include "private.h"

/* Jiffies that somebody may take all locks before he counts as stuck. */
#define PATIENCE (HZ / 10)
#define PATIENCES 10	/* of those, that a notifier waits at the most */
#define PAGE_TRIES 100	/* jiffies that a run waits for pages' locks, in all */

static unsigned long first_page(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static unsigned long last_page(const struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages((struct vm_area_struct *)vma) - 1;
}

/* The kernel's own way through an i_mmap tree is not exported. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, first_page, last_page,
		     static __maybe_unused, vmas)

/*
 * Take @nr pages from number @first on out of all VMAs that show them. Within
 * the peer's notifier this calls the mapper's, for a range of frames. That ends
 * there: no chunk has an entry for a mapping of ours, so that nobody maps one.
 * Lock proving cannot know, and takes it for a notifier within itself.
 */
static void zap(struct address_space *mapping, unsigned long first,
		unsigned long nr)
{
	unsigned long last = first + nr - 1;
	struct vm_area_struct *vma;

	lockdep_assert_held(&mapping->i_mmap_rwsem);
	for (vma = vmas_iter_first(&mapping->i_mmap, first, last); vma;
	     vma = vmas_iter_next(vma, first, last)) {
		unsigned long from = max(first, first_page(vma));
		unsigned long to = min(last, last_page(vma));

		lockdep_off();
		cmad_zap(vma, vma->vm_start +
			      ((from - vma->vm_pgoff) << PAGE_SHIFT),
			 (to - from + 1) << PAGE_SHIFT);
		lockdep_on();
	}
}

static unsigned long page_number(const struct cmad_chunk *chunk,
				 unsigned long first)
{
	return chunk->index * CMAD_CHUNK_PAGES + first;
}

/* It lost its rights, and is not hidden yet, nor held. */
static bool is_shown(unsigned long entry)
{
	return entry && !(entry & (CMAD_ENTRY_READ | CMAD_ENTRY_WRITE |
				   CMAD_ENTRY_HELD | CMAD_ENTRY_LEFT));
}

/* The pages are hidden. */
static void forget_shown(struct cmad_chunk *chunk, unsigned long first,
			 unsigned long nr)
{
	unsigned long *entry = &chunk->entries[first];
	unsigned long *end = entry + nr;

	down_write(&chunk->lock);
	for (; entry < end; entry++)
		if (is_shown(*entry))
			*entry = 0;
	/* Whoever mapped the space is gone: the next change costs less. */
	if (!chunk->held && !mapping_mapped(&chunk->space->mapping))
		chunk->mapped = false;
	up_write(&chunk->lock);
}

/*
 * Have the work item hide the pages of @nr entries, which are referenced until
 * then. They are still there: what is in an entry was not hidden yet, and none
 * of the notifiers that are to hide it has returned.
 */
void cmad_hide_later(struct cmad_chunk *chunk, unsigned long first,
		     unsigned long nr)
{
	unsigned long *entry = &chunk->entries[first];
	unsigned long *end = entry + nr;

	lockdep_assert_held_write(&chunk->lock);
	for (; entry < end; entry++) {
		if (!is_shown(*entry))
			continue;
		get_page(virt_to_page((void *)(*entry & PAGE_MASK)));
		*entry |= CMAD_ENTRY_HELD;
		chunk->held++;
		cmad_count(deferrals, 1);
	}
	/* Held entries are not to be forgotten, whoever went meanwhile. */
	chunk->mapped = true;
	queue_work(cmad_hide_wq, &chunk->hide);
}

/* Without the lock: no entry that is looked at comes to be held any more. */
static bool is_held(const struct cmad_chunk *chunk, unsigned long first,
		    unsigned long nr)
{
	while (nr--)
		if (READ_ONCE(chunk->entries[first++]) & CMAD_ENTRY_HELD)
			return true;
	return false;
}

/*
 * Whether the notifier's caller holds the owner's mmap_lock at the most. (5.10
 * holds more where it punches a hole into hugetlb memory.)
 */
static bool holds_no_rmap_lock(const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_UNMAP ||
	       range->event == MMU_NOTIFY_PROTECTION_VMA ||
	       range->event == MMU_NOTIFY_RELEASE;
}

/*
 * Wait for the work item. Whoever has our lock lets go of it soon, but for one
 * who takes all locks and waits for an rmap lock of our caller's: then give up,
 * as after a second in any case, so that nobody holds an owner up for long.
 * Until the work item is through, those who map the page see it as it was. That
 * can show only where a caller takes it from its owner whoever else has it
 * (copy-on-write, truncation) while somebody takes all locks for that long.
 */
static void wait_hidden(struct cmad_chunk *chunk, unsigned long first,
			unsigned long nr,
			const struct mmu_notifier_range *range)
{
	const unsigned long *locks = &chunk->space->mapping.flags;
	bool sure = holds_no_rmap_lock(range);
	int times = PATIENCES;

	if (current->flags & PF_MEMALLOC && !sure)
		return;
	while (!wait_var_event_timeout(&chunk->held,
				       !is_held(chunk, first, nr), PATIENCE))
		if (!--times || (!sure && test_bit(AS_MM_ALL_LOCKS, locks)))
			return;
}

/*
 * The notifier took the rights from @nr entries: hide their pages from those
 * who map them. May sleep.
 */
void cmad_hide(struct cmad_chunk *chunk, unsigned long first, unsigned long nr,
	       const struct mmu_notifier_range *range)
{
	struct address_space *mapping = &chunk->space->mapping;

	if (down_read_trylock(&mapping->i_mmap_rwsem)) {
		zap(mapping, page_number(chunk, first), nr);
		i_mmap_unlock_read(mapping);
		forget_shown(chunk, first, nr);
		return;
	}
	down_write(&chunk->lock);
	cmad_hide_later(chunk, first, nr);
	up_write(&chunk->lock);
	wait_hidden(chunk, first, nr, range);
}

/* Hide all of a chunk. The caller holds no lock. */
void cmad_hide_chunk(struct cmad_chunk *chunk)
{
	struct address_space *mapping = &chunk->space->mapping;

	i_mmap_lock_read(mapping);
	zap(mapping, page_number(chunk, 0), CMAD_CHUNK_PAGES);
	i_mmap_unlock_read(mapping);
}

/* Of the pages that are held, what is hidden from now on covers these. */
static void begin_hiding(struct cmad_chunk *chunk)
{
	unsigned long *entry = chunk->entries;
	unsigned long *end = entry + CMAD_CHUNK_PAGES;

	down_write(&chunk->lock);
	for (; entry < end; entry++)
		if (*entry & CMAD_ENTRY_HELD)
			*entry |= CMAD_ENTRY_LEFT;
	up_write(&chunk->lock);
}

static void wake_waiting(struct cmad_chunk *chunk)
{
	smp_mb(); /* as wake_up_var() wants it */
	wake_up_var(&chunk->held);
}

/* They are hidden. Nobody has to wait for what becomes of the references. */
static void end_hiding(struct cmad_chunk *chunk)
{
	unsigned long *entry = chunk->entries;
	unsigned long *end = entry + CMAD_CHUNK_PAGES;

	down_write(&chunk->lock);
	for (; entry < end; entry++)
		if (*entry & CMAD_ENTRY_LEFT)
			*entry &= ~CMAD_ENTRY_HELD;
	up_write(&chunk->lock);
	wake_waiting(chunk);
}

/*
 * A page that was mapped for writing until now may have new bytes. To tell its
 * file takes the page's lock, which is not waited for without end: whoever has
 * it for long, with the page unmapped, is about to take the page from the file.
 */
static void dirty_page(struct page *page, int *tries)
{
	while (!trylock_page(page)) {
		if (*tries <= 0)
			return;
		--*tries;
		schedule_timeout_uninterruptible(1);
	}
	set_page_dirty(page);
	unlock_page(page);
}

/*
 * Drop the references on what is hidden. Without the chunk's lock: nobody else
 * changes such an entry.
 */
static void drop_left(struct cmad_chunk *chunk)
{
	unsigned long *entry = chunk->entries;
	unsigned long *end = entry + CMAD_CHUNK_PAGES;
	int tries = PAGE_TRIES;

	for (; entry < end; entry++) {
		unsigned long left = READ_ONCE(*entry);
		struct page *page = virt_to_page((void *)(left & PAGE_MASK));

		if (!(left & CMAD_ENTRY_LEFT) || left & CMAD_ENTRY_HELD)
			continue;
		if (left & CMAD_ENTRY_STORED)
			dirty_page(page, &tries);
		put_page(page);
		down_write(&chunk->lock);
		*entry = 0;
		chunk->held--;
		up_write(&chunk->lock);
	}
	wake_waiting(chunk);
}

/* What comes to be held meanwhile queues this once more. */
void cmad_hide_work(struct work_struct *work)
{
	struct cmad_chunk *chunk = container_of(work, struct cmad_chunk, hide);

	begin_hiding(chunk);
	cmad_hide_chunk(chunk);
	end_hiding(chunk);
	drop_left(chunk);
}

/* The chunk is hidden for good, and its notifier gone. */
void cmad_hide_end(struct cmad_chunk *chunk)
{
	cancel_work_sync(&chunk->hide);
	if (!chunk->held)
		return;
	begin_hiding(chunk);
	end_hiding(chunk);
	drop_left(chunk);
}

void cmad_hide_init(struct cmad_space *space)
{
	static struct lock_class_key key;

	init_rwsem(&space->faults);
	address_space_init_once(&space->mapping);
	lockdep_set_class(&space->mapping.i_mmap_rwsem, &key);
}

/*
 * The window has ended: no fault goes on with it, and nobody sees through it.
 * Whoever maps it from now on takes the i_mmap lock after us, and sees its end.
 */
void cmad_hide_window(const struct cmad_window *window)
{
	struct address_space *mapping = &window->space->mapping;
	u64 last = (window->base + window->length - 1) >> PAGE_SHIFT;
	u64 first = window->base >> PAGE_SHIFT;

	down_write(&window->space->faults);
	up_write(&window->space->faults);
	i_mmap_lock_read(mapping);
	zap(mapping, first, last - first + 1);
	i_mmap_unlock_read(mapping);
}
