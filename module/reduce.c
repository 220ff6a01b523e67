// SPDX-License-Identifier: GPL-2.0
/*
 * Reductions: elements of the caller's combined with those of peers', straight out
 * of the pages that chunks translate.
 *
 * As copies do (copy.c), they go on in steps, with the chunks of all operands held
 * for reading and page faults disabled; a step looks first at whether a window has
 * ended. What is missing then is provided for between two steps. There is no other
 * way here: where no translation is to be had, or the caller's memory does not come,
 * the reduction ends, and the caller copies.
 *
 * Each result is written once, and nothing of it if any operand of it is missing.
 * No vector lies in two pages of anybody's, unless they are mapped in one piece.
 * Where an element straddles two pages, or too little is left for a vector, a piece
 * is put together on the stack and goes into place as a whole: where a page goes
 * while it does, the rest follows after the step. @done is therefore whole vectors
 * up to the very end, and so whole elements.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "compat/vector.h"
#include "chunk.h"
#include "copy.h"
#include "file.h"
#include "step.h"
#include "trace.h"

#define PIECE (2 * CMAD_VECTOR_BYTES)
/* Times that something is provided for in vain, and a copy is the better way. */
#define VAIN_MAX 64

enum lack { LACK_NOTHING, LACK_LOCAL, LACK_REMOTE, LACK_WINDOW, LACK_PUT };

/**
 * struct operand - a peer's part
 * @grant: with the caller's reference
 * @address: of the first element, in the space
 * @chunk: of the element reached; locked in a step
 * @mapped: where all of the step's elements are in one piece (vmap.c), or NULL
 * @due: a vmap of the chunk may pay by now
 */
struct operand {
	const struct cmad_grant *grant;
	u64 address;
	struct cmad_chunk *chunk;
	void *mapped;
	bool due;
};

/**
 * struct reduction - a reduction under way
 * @vector: does the arithmetic
 * @vectors: for cmad_vector_begin()
 * @local: address of the caller's first element
 * @out: of the first result
 * @length: bytes that there are of all operands
 * @done: bytes reduced
 * @nr: operands
 * @lack: what ended the step
 * @lacking: LACK_REMOTE: whose page
 * @lacked: LACK_REMOTE: at this address, in the space
 * @piece: the next results; LACK_PUT: they may be there in part
 * @old: what was in their place
 * @operand: whose elements
 */
struct reduction {
	cmad_vector_fn *vector;
	struct cmad_vector_state vectors;
	unsigned long local;
	unsigned long out;
	u64 length;
	u64 done;
	unsigned int nr;
	enum lack lack;
	unsigned int lacking;
	u64 lacked;
	u8 piece[PIECE];
	u8 old[PIECE];
	struct operand operand[CMA_REDUCE_OPERANDS];
};

/* Of an element of the type, whose numbers are known. */
static unsigned int element_bytes(u32 type)
{
	if (type >= CMA_REDUCE_FLOAT)
		return type == CMA_REDUCE_FLOAT ? 4 : 8;
	return 1 << ((type - 1) & 3);
}

static void lack_remote(struct reduction *red, unsigned int i, u64 addr)
{
	red->lack = LACK_REMOTE;
	red->lacking = i;
	red->lacked = addr;
}

/* Where @addr's page is in the kernel, with the offset there; 0: not translated. */
static unsigned long translate(const struct cmad_chunk *chunk, u64 addr)
{
	unsigned long index = (addr & (CMAD_CHUNK_SIZE - 1)) >> PAGE_SHIFT;
	unsigned long entry = cmad_entry(chunk, index);

	return entry & CMAD_ENTRY_READ ?
	       (entry & PAGE_MASK) + offset_in_page(addr) : 0;
}

static unsigned long offset_in_chunk(const struct operand *operand, u64 at)
{
	return (operand->address + at) & (CMAD_CHUNK_SIZE - 1);
}

static unsigned long page_left(unsigned long addr)
{
	return PAGE_SIZE - offset_in_page(addr);
}

/*
 * Bytes from here on, of at most @max, that lie in one piece of everybody's: in one
 * page, unless it is mapped or no vector in it can straddle pages.
 */
static unsigned long stretch(struct reduction *red, unsigned long max, u64 begin,
			     unsigned long *peers)
{
	unsigned long local = red->local + red->done;
	unsigned long out = red->out + red->done;
	unsigned long n = max;
	unsigned int i;

	if ((local | out) & (CMAD_VECTOR_BYTES - 1))
		n = min3(n, page_left(local), page_left(out));
	for (i = 0; i < red->nr; i++) {
		const struct operand *operand = &red->operand[i];
		u64 addr = operand->address + red->done;

		if (operand->mapped) {
			peers[i] = (unsigned long)operand->mapped +
				   (red->done - begin);
			continue;
		}
		peers[i] = translate(operand->chunk, addr);
		if (!peers[i]) {
			lack_remote(red, i, addr);
			return 0;
		}
		n = min(n, page_left(addr));
	}
	return n;
}

/* The next @len bytes of an operand, from as many pages and chunks as they are in. */
static bool gather(struct reduction *red, unsigned int i, u8 *to, unsigned long len)
{
	const struct operand *operand = &red->operand[i];
	u64 addr = operand->address + red->done;

	while (len) {
		struct cmad_chunk *chunk = operand->chunk;
		unsigned long n = min(len, page_left(addr)), from = 0;

		if (addr >> CMAD_CHUNK_SHIFT != chunk->index)
			chunk = cmad_chunk_trylock(operand->grant->space, addr);
		if (chunk)
			from = translate(chunk, addr);
		if (from) {
			memcpy(to, (void *)from, n);
			if (READ_ONCE(chunk->asked))
				cmad_young_mark(chunk, addr & (CMAD_CHUNK_SIZE - 1),
						n);
		}
		if (chunk && chunk != operand->chunk)
			up_read(&chunk->lock);
		if (!from) {
			lack_remote(red, i, addr);
			return false;
		}
		addr += n;
		to += n;
		len -= n;
	}
	return true;
}

static unsigned long piece_length(const struct reduction *red)
{
	return min_t(u64, PIECE, red->length - red->done);
}

/*
 * The results in @piece go to their place, of which nothing is touched if it is
 * not there. The kernel may take a page away between any two stores, and brings it
 * back when asked; until then what was stored cannot be taken back either.
 */
static void put(struct reduction *red)
{
	void __user *out = (void __user *)(red->out + red->done);
	unsigned long len = piece_length(red);

	red->lack = LACK_LOCAL;
	if (raw_copy_from_user(red->old, out, len))
		return;
	red->lack = LACK_PUT;
	if (raw_copy_to_user(out, red->piece, len))
		return;
	red->lack = LACK_NOTHING;
	red->done += len;
}

/*
 * The same after the step, for a piece that may be there in part, and may not be
 * reduced again before it is known to be there, or not: 0, or an error.
 */
static int put_rest(struct reduction *red)
{
	void __user *out = (void __user *)(red->out + red->done);
	unsigned long len = piece_length(red);
	unsigned long missed = __copy_to_user(out, red->piece, len);

	if (!missed) {
		red->done += len;
		return 0;
	}
	/* If that fails, too, it is the caller who takes the page away. */
	missed = __copy_to_user(out, red->old, len);
	return -EAGAIN;
}

/* What is no vector in one page. */
static void reduce_piece(struct reduction *red)
{
	void __user *local = (void __user *)(red->local + red->done);
	unsigned long so_far = (unsigned long)red->piece;
	u8 piece[CMA_REDUCE_OPERANDS][PIECE] = { };
	unsigned long peers[CMA_REDUCE_OPERANDS];
	unsigned long len = piece_length(red);
	unsigned int i;

	for (i = 0; i < red->nr; i++) {
		if (!gather(red, i, piece[i], len))
			return;
		peers[i] = (unsigned long)piece[i];
	}
	memset(red->piece, 0, PIECE);
	if (raw_copy_from_user(red->piece, local, len)) {
		red->lack = LACK_LOCAL;
		return;
	}
	red->vector(so_far, so_far, peers, red->nr, PIECE);
	put(red);
}

/* As far as the chunks that are locked go, and a step. */
static void reduce_chunks(struct reduction *red)
{
	u64 max = min_t(u64, CMAD_STEP_BYTES / red->nr, red->length - red->done);
	unsigned long peers[CMA_REDUCE_OPERANDS];
	u64 begin = red->done, end;
	unsigned long n, stored;
	unsigned int i;

	for (i = 0; i < red->nr; i++)
		max = min_t(u64, max, CMAD_CHUNK_SIZE -
				      offset_in_chunk(&red->operand[i], begin));
	for (i = 0; i < red->nr; i++) {
		struct operand *operand = &red->operand[i];

		operand->mapped =
			cmad_vmap_at(operand->chunk,
				     offset_in_chunk(operand, begin), max,
				     false);
	}
	end = begin + max;
	while (red->done < end && red->lack == LACK_NOTHING) {
		n = stretch(red, end - red->done, begin, peers);
		if (n >= CMAD_VECTOR_BYTES) {
			n = round_down(n, CMAD_VECTOR_BYTES);
			stored = red->vector(red->out + red->done,
					     red->local + red->done, peers,
					     red->nr, n);
			red->done += stored;
			if (stored != n)
				red->lack = LACK_LOCAL;
		} else if (n) {
			reduce_piece(red);
		}
	}
}

static void unlock_operands(struct reduction *red, unsigned int nr)
{
	while (nr--)
		up_read(&red->operand[nr].chunk->lock);
}

/* What the step that began at @begin did is told to the chunks, still locked. */
static void account(struct reduction *red, u64 begin)
{
	unsigned int i;

	for (i = 0; i < red->nr; i++) {
		struct operand *operand = &red->operand[i];
		unsigned long offset = offset_in_chunk(operand, begin);
		struct cmad_chunk *chunk = operand->chunk;
		unsigned long done = min_t(u64, red->done - begin,
					   CMAD_CHUNK_SIZE - offset);

		if (READ_ONCE(chunk->asked))
			cmad_young_mark(chunk, offset, done);
		if (!operand->mapped)
			WRITE_ONCE(chunk->carried,
				   READ_ONCE(chunk->carried) + done);
		operand->due = cmad_vmap_is_due(chunk);
	}
}

/* Chunks are only tried: nobody waits for one with another locked. */
static bool lock_operands(struct reduction *red)
{
	unsigned int i;

	for (i = 0; i < red->nr; i++) {
		struct operand *operand = &red->operand[i];
		u64 addr = operand->address + red->done;

		operand->chunk = cmad_chunk_trylock(operand->grant->space, addr);
		if (!operand->chunk) {
			lack_remote(red, i, addr);
			break;
		}
	}
	smp_mb(); /* pairs with cmad_steps_wait() */
	if (i == red->nr)
		for (i = 0; i < red->nr; i++)
			if (cmad_grant_ended(red->operand[i].grant)) {
				red->lack = LACK_WINDOW;
				i = red->nr;
				break;
			}
	if (red->lack == LACK_NOTHING)
		return true;
	unlock_operands(red, i);
	return false;
}

static void reduce_step(struct reduction *red)
{
	u64 begin = red->done;
	unsigned int i;
	bool locked;

	red->lack = LACK_NOTHING;
	cmad_step_begin();
	locked = lock_operands(red);
	if (locked) {
		cmad_vector_begin(&red->vectors);
		reduce_chunks(red);
		cmad_vector_end(&red->vectors);
		account(red, begin);
		unlock_operands(red, red->nr);
	}
	cmad_step_end();
	for (i = 0; locked && i < red->nr; i++)
		if (red->operand[i].due)
			cmad_vmap_build(red->operand[i].grant->space,
					red->operand[i].address + begin);
}

/* Have an operand's pages translated, if that is worth it: 0, or an error. */
static int provide_remote(const struct reduction *red)
{
	const struct operand *operand = &red->operand[red->lacking];
	u64 addr = red->lacked;
	u64 len = min(operand->address + red->length - addr,
		      CMAD_CHUNK_SIZE - (addr & (CMAD_CHUNK_SIZE - 1)));
	/* One that reads them, as far as the cache is concerned. */
	struct cmad_copy copy = { .lone = true };
	struct mm_struct *mm;
	bool there;

	mm = cmad_space_mmget(operand->grant->space);
	if (!mm)
		return -ESRCH;
	there = cmad_space_fill(&copy, operand->grant, addr, len) ||
		cmad_space_fill(&copy, operand->grant, addr,
				min_t(u64, len, page_left(addr)));
	mmput(mm);
	return there ? 0 : -EAGAIN;
}

/* Have the caller's next bytes there: 0, or an error. */
static int provide_local(const struct reduction *red)
{
	unsigned long local = red->local + red->done;
	unsigned long out = red->out + red->done;
	u64 last = min_t(u64, PIECE, red->length - red->done) - 1;
	int rc;

	rc = cmad_local_touch(local) ?: cmad_local_touch(local + last) ?:
	     cmad_local_fetch(out) ?: cmad_local_fetch(out + last);
	return rc ? -EAGAIN : 0;
}

static int provide(const struct reduction *red)
{
	switch (red->lack) {
	case LACK_LOCAL:
		return provide_local(red);
	case LACK_REMOTE:
		return provide_remote(red);
	case LACK_WINDOW:
		return -EIDRM;
	default:
		return 0;
	}
}

/* As far as it goes: 0, or why it did not go on. */
static int reduce(struct reduction *red)
{
	unsigned int vain = 0;
	int rc;

	while (red->done < red->length) {
		u64 begin = red->done;

		reduce_step(red);
		rc = red->lack == LACK_PUT ? put_rest(red) : 0;
		vain = red->done == begin ? vain + 1 : 0;
		if (!rc)
			rc = vain > VAIN_MAX ? -EAGAIN : provide(red);
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!rc && red->done < red->length && signal_pending(current))
			rc = -EAGAIN;
		if (rc)
			return rc;
		cond_resched();
	}
	return 0;
}

/* Take @args' operands in: 0, or an error. */
static int reduction_set_up(struct reduction *red,
			    const struct cma_ioc_reduce *args,
			    struct cmad_grant *const *grants)
{
	unsigned int i;

	red->vector = cmad_vector_find(args->op, args->type);
	red->local = args->local;
	red->out = args->out;
	red->length = min_t(u64, args->length, MAX_RW_COUNT);
	red->done = 0;
	red->nr = args->operand_cnt;
	for (i = 0; i < red->nr; i++) {
		const struct cmad_grant *grant = grants[i];
		u64 address = args->operand[i].address;

		if (!(grant->access & CMA_ACCESS_READ))
			return -EACCES;
		if (address >= grant->length)
			return -EAGAIN;
		red->operand[i].grant = grant;
		red->operand[i].address = grant->base + address;
		red->length = min(red->length, grant->length - address);
	}
	red->length = round_down(red->length, element_bytes(args->type));
	return red->length ? 0 : -EAGAIN;
}

/* Whether @args are such as this kernel and processor can do: 0, or an error. */
int cmad_reduce_check(const struct cma_ioc_reduce *args)
{
	u32 i;

	if (args->flags & ~(CMA_COPY_STRICT | CMA_COPY_KNOWN) ||
	    args->op < CMA_REDUCE_SUM || args->op > CMA_REDUCE_BXOR ||
	    args->type < CMA_REDUCE_INT8 || args->type > CMA_REDUCE_DOUBLE ||
	    !args->operand_cnt || args->operand_cnt > CMA_REDUCE_OPERANDS ||
	    args->reserved || !args->length ||
	    args->length & (element_bytes(args->type) - 1))
		return -EINVAL;
	for (i = 0; i < args->operand_cnt; i++)
		if (!cmad_peer_is_copied(args->operand[i].peer_type))
			return -EINVAL;
	if (!cmad_vector_find(args->op, args->type))
		return -EOPNOTSUPP;
	return access_ok(u64_to_user_ptr(args->local), args->length) &&
	       access_ok(u64_to_user_ptr(args->out), args->length) ? 0 : -EFAULT;
}

/*
 * Do what @args ask for, which were checked, by @grants, on which the caller has
 * references: 0 with the bytes that were reduced at @args, or an error.
 */
int cmad_reduce(struct cmad_file *cf, struct cma_ioc_reduce *args,
		struct cmad_grant *const *grants)
{
	struct reduction red CMAD_UNINITIALIZED;
	int rc = reduction_set_up(&red, args, grants);

	if (rc)
		return rc;
	rc = reduce(&red);
	args->reduced = red.done;
	cmad_count_copy(cf->moved, red.done * red.nr);
	trace_cmad_reduce(args, rc);
	return red.done ? 0 : rc;
}
