// SPDX-License-Identifier: GPL-2.0
/*
 * Faults in mappings of a peer's memory.
 *
 * A page table entry is made from a valid entry of a chunk, under the chunk's
 * lock and for a view that is alive, and is taken away before that one's page
 * may change (unmap.c).
 *
 * Each fault comes to an end: a write fault leaves its page writable, or ends in
 * a signal, and takes away nothing but the page's own entry. An instruction that
 * reads one page and writes another would otherwise fault for ever.
 *
 * A fault holds the mapper's mmap_lock, and may therefore neither take the
 * peer's, whose owner may map the mapper, nor fault pages in there. It makes
 * entries from what is cached; where that is not enough it lets go of its
 * lock, fills the cache, and is done again.
 */
#include <linux/err.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat/mapping.h"
#include "compat/reading.h"
#include "chunk.h"
#include "view.h"

#define CHUNK_MASK (~(CMAD_CHUNK_SIZE - 1))
#define FETCH_TRIES 16	/* to have a page in sight that comes and goes */

/**
 * struct span - pages that a fault is about
 * @vma: the mapper's
 * @grant: by which it maps
 * @space: the peer's
 * @page: address of the faulting page, in the peer
 * @start: address of the first page that can be mapped with it, in the peer
 * @end: end of the last one: same VMA, same chunk, same page table
 * @user: address of the page at @start, in the mapper
 * @chunk: which has the pages, locked
 * @write: whether the mapping is for writing, too
 */
struct span {
	struct vm_area_struct *vma;
	struct cmad_grant *grant;
	struct cmad_space *space;
	unsigned long page;
	unsigned long start;
	unsigned long end;
	unsigned long user;
	const struct cmad_chunk *chunk;
	bool write;
};

static void span_of(struct span *span, const struct vm_fault *vmf)
{
	const struct cmad_view *view = vmf->vma->vm_private_data;
	unsigned long user = vmf->address & PAGE_MASK;
	unsigned long before, after;

	span->vma = vmf->vma;
	span->grant = view->grant;
	span->space = view->grant->space;
	span->page = (vmf->pgoff + view->skew) << PAGE_SHIFT;
	span->write = vmf->vma->vm_flags & VM_WRITE;

	before = min3(user - vmf->vma->vm_start, user & ~PMD_MASK,
		      span->page & ~CHUNK_MASK);
	after = min3(vmf->vma->vm_end - user, PMD_SIZE - (user & ~PMD_MASK),
		     CMAD_CHUNK_SIZE - (span->page & ~CHUNK_MASK));
	span->start = span->page - before;
	span->end = span->page + after;
	span->user = user - before;
}

static unsigned long index_of(unsigned long addr)
{
	return (addr & ~CHUNK_MASK) >> PAGE_SHIFT;
}

#ifdef CMAD_HAVE_SET_PTE
/*
 * Make page table entries where there are none yet. apply_to_page_range() calls
 * for the span's first page, and has locked the table, which has all of them.
 */
static int map_span(pte_t *pte, unsigned long addr, void *data)
{
	const struct span *span = data;
	struct vm_area_struct *vma = span->vma;
	pgprot_t read = vma->vm_page_prot;
	pgprot_t write = span->write ? vm_get_page_prot(vma->vm_flags) : read;
	unsigned long nr = (span->end - span->start) >> PAGE_SHIFT;
	unsigned long index = index_of(span->start);

	for (; nr--; index++, pte++, addr += PAGE_SIZE) {
		unsigned long entry = cmad_entry(span->chunk, index);
		unsigned long pfn = PHYS_PFN(__pa(entry & PAGE_MASK));

		if (!(entry & CMAD_ENTRY_READ) || !pte_none(READ_ONCE(*pte)))
			continue;
		set_pte_at(vma->vm_mm, addr, pte,
			   pte_mkspecial(pfn_pte(pfn, entry & CMAD_ENTRY_WRITE ?
						 write : read)));
	}
	return 0;
}

static void map_all(struct span *span)
{
	apply_to_page_range(span->vma->vm_mm, span->user, PAGE_SIZE, map_span,
			    span);
}
#else
/*
 * The same where the kernel does not let modules set an entry: one by one, each
 * looking for the table and locking it anew. The table is there, so that nothing
 * is allocated; an entry that is there is left as it is.
 */
static void map_all(struct span *span)
{
	struct vm_area_struct *vma = span->vma;
	pgprot_t read = vma->vm_page_prot;
	pgprot_t write = span->write ? vm_get_page_prot(vma->vm_flags) : read;
	unsigned long nr = (span->end - span->start) >> PAGE_SHIFT;
	unsigned long index = index_of(span->start);
	unsigned long addr = span->user;

	for (; nr--; index++, addr += PAGE_SIZE) {
		unsigned long entry = cmad_entry(span->chunk, index);

		if (!(entry & CMAD_ENTRY_READ))
			continue;
		vmf_insert_pfn_prot(vma, addr,
				    PHYS_PFN(__pa(entry & PAGE_MASK)),
				    entry & CMAD_ENTRY_WRITE ? write : read);
	}
}
#endif

static int map_none(pte_t *pte, unsigned long addr, void *data)
{
	return 0;
}

/*
 * A page table for the span, if there is nothing yet, neither that nor a 2 MB
 * entry: those who make either exclude each other.
 */
static int make_table(struct vm_fault *vmf, const struct span *span)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	int rc = 0;

	if (!pmd_none(READ_ONCE(*vmf->pmd)))
		return 0;
	mutex_lock(&span->grant->tables);
	if (pmd_none(READ_ONCE(*vmf->pmd)))
		rc = apply_to_page_range(mm, span->user, PAGE_SIZE, map_none,
					 NULL);
	mutex_unlock(&span->grant->tables);
	return rc;
}

/* Whether @entry shows its page to who wants to write, or read. */
static bool entry_allows(unsigned long entry, bool write)
{
	return entry & (write ? CMAD_ENTRY_WRITE : CMAD_ENTRY_READ);
}

/* Whether the chunk, whose lock is held, can show the page. */
static bool chunk_shows(const struct cmad_chunk *chunk,
			const struct cmad_grant *grant, unsigned long entry,
			bool write)
{
	if (chunk->dead || cmad_grant_ended(grant))
		return false;
	return entry_allows(entry, write);
}

/* Leave nothing of the span but what can be touched around the page. */
static void span_narrow(struct span *span)
{
	const struct cmad_view *view = span->vma->vm_private_data;
	unsigned long page = span->page >> PAGE_SHIFT;
	unsigned long before = page - (span->start >> PAGE_SHIFT);
	unsigned long after = (span->end >> PAGE_SHIFT) - page;

	before -= cmad_shown_run_before(view, page, before);
	span->start += before << PAGE_SHIFT;
	span->user += before << PAGE_SHIFT;
	span->end = span->page +
		    (cmad_shown_run(view, page, after) << PAGE_SHIFT);
}

/*
 * Make entries for what @chunk knows of the span. Under these locks nothing may
 * be allocated: where the page table is gone meanwhile, the fault comes again,
 * as it does where others change the chunk.
 */
static vm_fault_t map_locked(struct cmad_chunk *chunk, struct vm_fault *vmf,
			     struct span *span, bool write)
{
	vm_fault_t ret = VM_FAULT_RETRY;

	cmad_view_lock(vmf->vma);
	if (!cmad_shown(vmf->vma->vm_private_data, span->page >> PAGE_SHIFT)) {
		cmad_view_unlock(vmf->vma);
		return VM_FAULT_SIGSEGV;
	}
	span_narrow(span);
	if (!cmad_chunk_change_begin(chunk)) {
		cmad_view_unlock(vmf->vma);
		return VM_FAULT_NOPAGE;
	}
	if (chunk_shows(chunk, span->grant,
			cmad_entry(chunk, index_of(span->page)), write)) {
		ret = VM_FAULT_NOPAGE;
		chunk->mapped = true;
		cmad_young_mark(chunk, span->page & ~CHUNK_MASK, PAGE_SIZE);
		span->chunk = chunk;
		if (!pmd_none(*vmf->pmd) && !pmd_trans_huge(*vmf->pmd))
			map_all(span);
	}
	cmad_chunk_change_end(chunk);
	cmad_view_unlock(vmf->vma);
	return ret;
}

/*
 * Map from @chunk what is around the page, if it knows the page. @replace an
 * entry that is there for reading: with one that is for writing, and not before
 * there can be one. The page table is made before the locks are taken, since an
 * allocation may wait for the notifier.
 */
static vm_fault_t map_from(struct cmad_chunk *chunk, struct vm_fault *vmf,
			   bool write, bool replace)
{
	struct span span;

	span_of(&span, vmf);
	/* Without the lock: a hint, as map_locked() looks again under it. */
	if (!entry_allows(data_race(cmad_entry(chunk, index_of(span.page))),
			  write))
		return VM_FAULT_RETRY;
	if (make_table(vmf, &span))
		return VM_FAULT_OOM;
	if (replace)
		cmad_zap(vmf->vma, vmf->address & PAGE_MASK, PAGE_SIZE);
	return map_locked(chunk, vmf, &span, write);
}

/*
 * See what the peer has in the span; what lies in another VMA of the peer's is
 * left out. Nothing is faulted in: that would wait for the peer's I/O under its
 * mmap_lock, and unkillably.
 */
static int look(struct hmm_range *range, struct mm_struct *mm,
		const struct span *span)
{
	struct vm_area_struct *vma;
	int rc = -EFAULT;

	range->notifier_seq = mmu_interval_read_begin(range->notifier);
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, span->page);
	/* Without VM_READ, hmm_range_fault() shows nothing, whatever is there. */
	if (vma && vma->vm_start <= span->page && vma->vm_flags & VM_READ &&
	    cmad_vma_is_fit(vma)) {
		range->start = max(span->start, vma->vm_start);
		range->end = min(span->end, vma->vm_end);
		rc = cmad_range_fault(range);
	}
	mmap_read_unlock(mm);
	return rc;
}

static unsigned long seen_at(const struct hmm_range *range, unsigned long page)
{
	return range->hmm_pfns[(page - range->start) >> PAGE_SHIFT];
}

/*
 * Whether the page is a device's, of which none is mapped. Only what was entered
 * since is a page for sure: hmm_range_fault() reads entries while they change, and
 * may take what stands for a page that moves for one.
 */
static bool is_of_device(const struct hmm_range *range, unsigned long page)
{
	return is_zone_device_page(hmm_pfn_to_page(seen_at(range, page)));
}

/*
 * Have the peer's page there, and writable, as if the peer had touched it: also
 * where get_user_pages() finds it good enough, as under a NUMA hint.
 */
static int fetch(struct mm_struct *mm, unsigned long addr, bool write)
{
	unsigned int flags = FAULT_FLAG_REMOTE | (write ? FAULT_FLAG_WRITE : 0);
	bool unlocked;
	int rc;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	rc = cmad_fixup_fault(mm, addr, flags, &unlocked);
	mmap_read_unlock(mm);
	return rc;
}

/*
 * See the page and what is around it; it is fetched if it is not there. It may
 * go again before it is seen, but hardly each time.
 */
static int look_until_seen(struct hmm_range *range, struct mm_struct *mm,
			   const struct span *span, bool write)
{
	int tries = FETCH_TRIES;
	int rc;

	while (true) {
		rc = look(range, mm, span);
		if (rc || cmad_suffices(seen_at(range, span->page), write))
			return rc;
		if (!tries--)
			return -EFAULT;
		rc = fetch(mm, span->page, write);
		if (rc)
			return rc;
	}
}

/*
 * Fill the cache with what a fault wants of @mm, on whose mm_users the caller has
 * a reference. It holds no lock.
 */
static int fill(const struct span *span, struct mm_struct *mm, bool write)
{
	unsigned long nr = (span->end - span->start) >> PAGE_SHIFT;
	unsigned long index = span->page >> CMAD_CHUNK_SHIFT;
	struct hmm_range range = { };
	struct cmad_chunk *chunk;
	int rc;

	chunk = cmad_chunk_get(span->space, index) ?:
		cmad_evict_for_chunk(span->space, index, true);
	if (IS_ERR(chunk))
		return PTR_ERR(chunk);
	range.notifier = &chunk->notifier;
	range.hmm_pfns = kcalloc(nr, sizeof(*range.hmm_pfns), GFP_KERNEL);
	rc = range.hmm_pfns ? 0 : -ENOMEM;
	if (!rc)
		rc = look_until_seen(&range, mm, span, write);
	if (!rc)
		rc = cmad_chunk_enter(chunk, &range, span->write, GFP_KERNEL);
	if (!rc && is_of_device(&range, span->page))
		rc = -EFAULT;
	if (!rc)
		cmad_count(fills, 1);
	if (rc == -EBUSY)
		cmad_count(collisions, 1);
	kfree(range.hmm_pfns);
	cmad_chunk_put(chunk);
	return rc;
}

/* Whether the page is not hidden at the moment. */
static bool map_allows(const struct vm_area_struct *vma, unsigned long page)
{
	bool shown;

	cmad_view_lock(vma);
	shown = cmad_shown(vma->vm_private_data, page >> PAGE_SHIFT);
	cmad_view_unlock(vma);
	return shown;
}

/*
 * The cache does not have what a fault wants: fill it, with the fault's lock
 * dropped, and let the fault be done again.
 */
static vm_fault_t map_fetch(struct vm_fault *vmf, bool write)
{
	struct mm_struct *peer, *mm = vmf->vma->vm_mm;
	struct cmad_grant *grant;
	struct span span;
	bool whole;
	int rc;

	span_of(&span, vmf);
	grant = span.grant;
	if (!map_allows(vmf->vma, span.page))
		return VM_FAULT_SIGSEGV;
	if (cmad_grant_ended(grant))
		return VM_FAULT_SIGBUS;
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	refcount_inc(&grant->refs);
	whole = cmad_release_fault_lock(vmf);

	rc = -ESRCH;
	peer = cmad_space_mmget(span.space);
	if (peer) {
		rc = fill(&span, peer, write);
		mmput(peer);
	}
	cmad_grant_put(grant);

	if (!rc || rc == -EBUSY || fatal_signal_pending(current) || !whole)
		return VM_FAULT_RETRY;
	/* Only a fault that holds its lock can end with an error. */
	mmap_read_lock(mm);
	return rc == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

static vm_fault_t map_page(struct vm_fault *vmf, bool replace)
{
	const struct cmad_view *view = vmf->vma->vm_private_data;
	unsigned long page = vmf->pgoff + view->skew;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	vm_fault_t ret = VM_FAULT_RETRY;
	struct cmad_chunk *chunk;

	chunk = cmad_chunk_get(view->grant->space, page / CMAD_CHUNK_PAGES);
	if (chunk) {
		ret = map_from(chunk, vmf, write, replace);
		cmad_chunk_put(chunk);
	}
	return ret == VM_FAULT_RETRY ? map_fetch(vmf, write) : ret;
}

static vm_fault_t map_fault(struct vm_fault *vmf)
{
	return map_page(vmf, false);
}

/*
 * A write to a page that is mapped for reading. VM_FAULT_NOPAGE, or the kernel
 * would go on by itself, also where VM_FAULT_RETRY tells that the fault's lock
 * is gone.
 */
static vm_fault_t map_mkwrite(struct vm_fault *vmf)
{
	return map_page(vmf, true) | VM_FAULT_NOPAGE;
}

#ifdef CMAD_HAVE_HUGE_PFN
/*
 * Whether the whole chunk is one run of frames that a 2 MB entry can show, of a
 * folio that is somebody's: the kernel takes an entry of the huge zero folio for
 * one of its own making.
 */
static bool chunk_is_huge(const struct cmad_chunk *chunk, unsigned long rights)
{
	unsigned long entry = cmad_entry(chunk, 0);
	unsigned long i;

	if ((entry & rights) != rights || __pa(entry & PAGE_MASK) & ~PMD_MASK)
		return false;
	for (i = 1; chunk->entries && i < CMAD_CHUNK_PAGES; i++)
		if (chunk->entries[i] != entry + i * PAGE_SIZE)
			return false;
	return page_folio(virt_to_page((void *)(entry & PAGE_MASK)))->mapping;
}

/* As map_from(), a 2 MB entry: a new one, or more rights for the one there. */
static vm_fault_t map_huge_from(struct cmad_chunk *chunk, struct vm_fault *vmf)
{
	const struct cmad_view *view = vmf->vma->vm_private_data;
	struct cmad_grant *grant = view->grant;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	unsigned long first = chunk->index * CMAD_CHUNK_PAGES;
	unsigned long rights = CMAD_ENTRY_READ;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	unsigned long entry;

	if (write)
		rights |= CMAD_ENTRY_WRITE;
	mutex_lock(&grant->tables);
	cmad_view_lock(vmf->vma);
	if (!cmad_chunk_change_begin(chunk)) {
		ret = VM_FAULT_NOPAGE;
		goto out;
	}
	entry = cmad_entry(chunk, 0);
	if ((pmd_none(*vmf->pmd) || pmd_trans_huge(*vmf->pmd)) &&
	    chunk_shows(chunk, grant, entry, write) &&
	    cmad_shown_run(view, first, CMAD_CHUNK_PAGES) == CMAD_CHUNK_PAGES &&
	    chunk_is_huge(chunk, rights)) {
		chunk->mapped = true;
		if (vmf->vma->vm_flags & VM_WRITE && entry & CMAD_ENTRY_WRITE)
			write = true;
		ret = cmad_insert_huge(vmf, PHYS_PFN(__pa(entry & PAGE_MASK)),
				       write);
	}
	cmad_chunk_change_end(chunk);
out:
	cmad_view_unlock(vmf->vma);
	mutex_unlock(&grant->tables);
	return ret;
}

static vm_fault_t map_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	unsigned long start = vmf->address & PMD_MASK;
	struct vm_area_struct *vma = vmf->vma;
	const struct cmad_view *view = vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	struct cmad_chunk *chunk;
	unsigned long page;

	if (order != PMD_SHIFT - PAGE_SHIFT || PMD_SHIFT != CMAD_CHUNK_SHIFT ||
	    start < vma->vm_start || start + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	page = vma->vm_pgoff + view->skew +
	       ((start - vma->vm_start) >> PAGE_SHIFT);
	if (page % CMAD_CHUNK_PAGES)
		return VM_FAULT_FALLBACK;

	chunk = cmad_chunk_get(view->grant->space, page / CMAD_CHUNK_PAGES);
	if (chunk) {
		ret = map_huge_from(chunk, vmf);
		cmad_chunk_put(chunk);
	}
	return ret;
}
#endif

/*
 * A part of the VMA was split off, or it is about to move. Called with the
 * mmap_lock for writing, and must not fail; the mapper has a notifier.
 */
static void map_open(struct vm_area_struct *vma)
{
	const struct cmad_view *view = vma->vm_private_data;

	WARN_ON_ONCE(cmad_view_create(vma, view->grant, view->skew,
				      view->shown, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL));
}

static void map_close(struct vm_area_struct *vma)
{
	cmad_view_close(vma->vm_private_data);
}

const struct vm_operations_struct cmad_map_ops = {
	.open = map_open,
	.close = map_close,
	.fault = map_fault,
	.pfn_mkwrite = map_mkwrite,
#ifdef CMAD_HAVE_HUGE_PFN
	.huge_fault = map_huge_fault,
#endif
};

