/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file cma_reduce.h
 * Reductions: sums, minima and the like of the caller's memory and peers', element by
 * element, without a copy of the peers' data in the program's hands. A part of libcma;
 * what stands at the head of cma.h holds here too.
 */
#ifndef CMA_REDUCE_H
#define CMA_REDUCE_H

#include <cma.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What becomes of two elements, the one so far and the next peer's.
 *
 * Integers: sums and products wrap, as unsigned ones do in C. The logical operations
 * take every element but 0 for true, and give 1 or 0.
 *
 * Floating-point numbers: sums and products are rounded once for each peer, to the
 * nearest number of the type, and denormals are kept, whatever mode the calling thread
 * computes in; it sees no exception either.
 * Where the result is not a number, it is the one so far if that is none, else the
 * peer's, made quiet; else it is the NaN that x86 makes: the quiet one with the sign
 * set and nothing else. A minimum or maximum is the one so far if that is less
 * (greater), in every other case the peer's, bit by bit: if one of the two is a NaN,
 * or if they are zeros of different sign.
 */
enum cma_op {
	CMA_OP_SUM = 1,
	CMA_OP_PRODUCT = 2,
	CMA_OP_MIN = 3,
	CMA_OP_MAX = 4,
	CMA_OP_BAND = 5, /**< bitwise and; it and what follows: integers only */
	CMA_OP_BOR = 6,	 /**< bitwise or */
	CMA_OP_BXOR = 7, /**< bitwise exclusive or */
	CMA_OP_LAND = 8, /**< logical and */
	CMA_OP_LOR = 9,	 /**< logical or */
	CMA_OP_LXOR = 10 /**< logical exclusive or */
};

/**
 * What an element is. Elements need not be aligned. Pairs of a value and its place are
 * none: they are laid out as each ABI likes, and no vector instruction does them.
 */
enum cma_type {
	CMA_TYPE_INT8 = 1,
	CMA_TYPE_INT16 = 2,
	CMA_TYPE_INT32 = 3,
	CMA_TYPE_INT64 = 4,
	CMA_TYPE_UINT8 = 5,
	CMA_TYPE_UINT16 = 6,
	CMA_TYPE_UINT32 = 7,
	CMA_TYPE_UINT64 = 8,
	CMA_TYPE_FLOAT = 9,    /**< IEEE 754 binary32 */
	CMA_TYPE_DOUBLE = 10,  /**< IEEE 754 binary64 */
	CMA_TYPE_FLOAT16 = 11, /**< IEEE 754 binary16, C's _Float16 */
	CMA_TYPE_BFLOAT16 = 12 /**< the upper half of a binary32 */
};

/** Peers in one reduction. */
#define CMA_MAX_OPERANDS 64

/** A peer of a reduction, and where its elements are. */
struct cma_operand {
	/** whose memory the remote segments are */
	struct cma_peer peer;
	/** the peer's memory; addresses are the peer's */
	const struct iovec *remote;
	/** segments at remote */
	size_t remote_count;
};

/** A reduction; see cma_reduce(). */
struct cma_reduction {
	/** in: CMA_OP_* */
	uint32_t op;
	/** in: CMA_TYPE_* */
	uint32_t type;
	/** in: 0 or CMA_STRICT */
	uint32_t flags;
	/** out: CMA_SIDE_REMOTE if memory that is not there stopped it */
	enum cma_side fault_side;
	/** in: elements to pass over, in every list: what an earlier call has reduced */
	size_t first;
	/** in: elements in every list, with those; the lists may hold more */
	size_t count;
	/** in: the caller's memory */
	const struct iovec *local;
	/** in: where the results go; NULL: to local */
	const struct iovec *out;
	/** in: the peers, in the order in which they are reduced */
	const struct cma_operand *operands;
	/** in: segments at local, at out; peers, 1 to CMA_MAX_OPERANDS */
	size_t local_count, out_count, operand_count;
	/** out: which peer stopped it; operand_count: none did */
	size_t fault_operand;
	/** out: the address in that peer at which it stopped; 0 without fault_side */
	uint64_t fault_addr;
};

/**
 * Reduce elements of the caller's memory and of peers':
 * out[i] = local[i] op remote1[i] op remote2[i] ..., from left to right.
 *
 * A list's elements are those of its segments, strung together in order; a segment holds
 * whole ones, and no two lists need be cut alike. out may be local itself, element for
 * element; in any other way it must not share memory with local or, in the caller's own
 * process, with what a peer is read from.
 *
 * Peers are named, and access to them is judged, as for cma_copy(); a reduction only
 * reads from them. It is made in blocks, and nothing orders it with the peers' own
 * accesses: each of a peer's elements is read once or, after a fault, twice, and each
 * of out's is written once, with the whole result, or left as it is.
 *
 * What stops a reduction stops it before an element, of which no peer is counted, and all
 * elements before that are reduced: after a short count, first += count so far goes on
 * from there, and nothing is reduced twice. Signals do not end it.
 *
 * The lists, local and out are the program's own memory, and read and written as by
 * memcpy(3): what of them is not there is SIGSEGV and not -EFAULT.
 *
 * @param context from cma_open()
 * @param[in,out] reduction what to reduce; its out fields are always written
 * @return elements reduced, from first on; less than count - first if a peer's memory ends
 *  on the way, or the peer itself does; or, with none reduced,
 *  -EINVAL: unknown op, type or flags; first above count; no peer, or too many; a list
 *   that holds less than count elements, or a segment of one that is not whole ones;
 *  -EOPNOTSUPP: a bitwise or logical operation on floating-point numbers, or what it is
 *   of cma_copy();
 *  -EFAULT: the first element is not there, in the peer that fault_operand tells;
 *  -ESRCH, -EPERM, -EBADF, -ENOENT, -EIDRM, -EACCES, -EINTR, -ENOMEM, -ESTALE: as
 *   cma_copy(), from that peer
 */
CMA_API ssize_t cma_reduce(const struct cma_context *context,
			   struct cma_reduction *reduction);

#ifdef __cplusplus
}
#endif

#endif /* CMA_REDUCE_H */
