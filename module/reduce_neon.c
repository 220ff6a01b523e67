// SPDX-License-Identifier: GPL-2.0
/*
 * Arithmetic with NEON (vector.h). It is built with vector registers, which the
 * kernel has for itself between kernel_neon_begin() and kernel_neon_end() alone: so
 * all of this runs there.
 *
 * Two registers are a vector of vector.h's. One of the caller's memory lies in one
 * page, and so is loaded or stored as a whole, or not at all, by ldp and stp with
 * privilege: with vector registers there are none that act as the user. (So memory
 * that the caller may execute and not read can be read by itself in this way.)
 *
 * What is so far is the first of two operands. NaNs are x86's on every processor
 * (cma_reduce.h): where a result is one, it is put together from the operands.
 */
#include "compat/vector.h"

#ifdef CMAD_HAVE_NEON
#include <asm/asm-extable.h>
#include <asm/uaccess.h>

typedef u64 vec __attribute__((vector_size(16), may_alias));
typedef u64 vec_anywhere __attribute__((vector_size(16), may_alias)) __aligned(1);

#define LANES(name, type) typedef type name __attribute__((vector_size(16)))
LANES(lanes_s8, s8);
LANES(lanes_u8, u8);
LANES(lanes_s16, s16);
LANES(lanes_u16, u16);
LANES(lanes_s32, s32);
LANES(lanes_u32, u32);
LANES(lanes_u64, u64);
LANES(lanes_f32, float);
LANES(lanes_f64, double);

#define PAIR	2U	/* registers of a vector */
#define BLOCK	8U

/* A mask where two vectors' lanes compare so. */
#define MASK(lanes, a, cmp, b)	((vec)((lanes)(a) cmp (lanes)(b)))
#define SELECT(mask, a, b)	(((a) & (mask)) | ((b) & ~(mask)))

#define SUM(lanes, a, b)	((vec)((lanes)(a) + (lanes)(b)))
#define PRODUCT(lanes, a, b)	((vec)((lanes)(a) * (lanes)(b)))
#define LESSER(lanes, a, b)	SELECT(MASK(lanes, a, <, b), a, b)
#define GREATER(lanes, a, b)	SELECT(MASK(lanes, a, >, b), a, b)
#define BAND(lanes, a, b)	((a) & (b))
#define BOR(lanes, a, b)	((a) | (b))
#define BXOR(lanes, a, b)	((a) ^ (b))

/* Each register of a block, or of a vector; unrolled (Kbuild). */
#define EACH(k, nr) for (unsigned int k = 0; k < (nr); k++)

#define APPLY(name, lanes, op)						\
static __always_inline void name(vec *so_far, const vec_anywhere *peer,	\
				 unsigned int nr)			\
{									\
	EACH(k, nr) {							\
		vec a = so_far[k], b = peer[k];				\
									\
		so_far[k] = op(lanes, a, b);				\
	}								\
}

/*
 * What has a NaN in it once keeps it, and so does the sum of all: that is what is
 * looked at. Where infinities make it one, computing again does no harm.
 */
#define NANS(lanes, bits, quiet, made)					\
static __always_inline bool has_nans_##lanes(const vec *v, unsigned int nr) \
{									\
	lanes sum = { };						\
	vec numbers;							\
									\
	EACH(k, nr)							\
		sum += (lanes)v[k];					\
	numbers = MASK(lanes, sum, ==, sum);				\
	return (numbers[0] & numbers[1]) != ~0UL;			\
}									\
									\
static __always_inline vec nans_of_x86_##lanes(vec result, vec a, vec b) \
{									\
	const bits zero = { };						\
	vec first = SELECT(MASK(lanes, a, ==, a), b, a);		\
	vec none = MASK(lanes, a, ==, a) & MASK(lanes, b, ==, b);	\
	vec nan = SELECT(none, (vec)(zero + (made)),			\
			 first | (vec)(zero + (quiet)));		\
									\
	return SELECT(MASK(lanes, result, ==, result), result, nan);	\
}
NANS(lanes_f32, lanes_u32, 1U << 22, 0xffc00000U)
NANS(lanes_f64, lanes_u64, 1UL << 51, 0xfff8UL << 48)

static __always_inline bool has_none(const vec *v, unsigned int nr)
{
	return false;
}

#define SUM_NAN(lanes, a, b)	nans_of_x86_##lanes(SUM(lanes, a, b), a, b)
#define PRODUCT_NAN(lanes, a, b)					\
	nans_of_x86_##lanes(PRODUCT(lanes, a, b), a, b)

/* Whether a block, or a vector, is all there. */
static __always_inline bool load(vec *to, unsigned long from, unsigned int nr)
{
	int fault = 0;

	EACH(k, nr)
		if (k % PAIR == 0)
			asm volatile("1:	ldp %q[low], %q[high], [%[from]]\n"
				     "2:\n"
				     _ASM_EXTABLE_UACCESS_ERR(1b, 2b, %w[fault])
				     : [low] "=&w"(to[k]), [high] "=&w"(to[k + 1]),
				       [fault] "+r"(fault)
				     : [from] "r"(from + k * sizeof(vec))
				     : "memory");
	return !fault;
}

/* Bytes that were stored. */
static __always_inline unsigned long store(unsigned long to, const vec *from,
					   unsigned int nr)
{
	int fault = 0;

	EACH(k, nr) {
		if (k % PAIR)
			continue;
		asm volatile("1:	stp %q[low], %q[high], [%[to]]\n"
			     "2:\n" _ASM_EXTABLE_UACCESS_ERR(1b, 2b, %w[fault])
			     : [fault] "+r"(fault)
			     : [low] "w"(from[k]), [high] "w"(from[k + 1]),
			       [to] "r"(to + k * sizeof(vec))
			     : "memory");
		if (unlikely(fault))
			return k * sizeof(vec);
	}
	return nr * sizeof(vec);
}

#define APPLY_ALL(name, operand, operands, at, v, nr)			\
	for (unsigned int i = 0; i < (operands); i++)			\
		name(v, (const vec_anywhere *)((operand)[i] + (at)), nr)

/*
 * Blocks, or vectors, from @at on as long as they are there: up to where. What
 * turns out to hold NaNs is begun anew.
 */
#define SOME(name, has_nans, again)					\
static __always_inline unsigned long					\
some_##name(unsigned long out, unsigned long local,			\
	    const unsigned long *operand, unsigned int operands,	\
	    unsigned long at, unsigned long len, unsigned int nr)	\
{									\
	const unsigned long bytes = nr * sizeof(vec);			\
	unsigned long stored = bytes;					\
	vec v[BLOCK];							\
									\
	while (stored == bytes && len - at >= bytes &&			\
	       load(v, local + at, nr)) {				\
		APPLY_ALL(name, operand, operands, at, v, nr);		\
		if (unlikely(has_nans(v, nr))) {			\
			if (!load(v, local + at, nr))			\
				break;					\
			APPLY_ALL(again, operand, operands, at, v, nr);	\
		}							\
		stored = store(out + at, v, nr);			\
		at += stored;						\
	}								\
	return at;							\
}

/* What is left of blocks is tried vector by vector, up to the one that is missing. */
#define RUN(name)							\
static unsigned long run_##name(unsigned long out, unsigned long local,	\
				const unsigned long *operand,		\
				unsigned int nr, unsigned long len)	\
{									\
	unsigned long at;						\
									\
	uaccess_enable_privileged();					\
	at = some_##name(out, local, operand, nr, 0, len, BLOCK);	\
	at = some_##name(out, local, operand, nr, at, len, PAIR);	\
	uaccess_disable_privileged();					\
	return at;							\
}

#define FUNCTION(name, lanes, op)					\
	APPLY(name, lanes, op) SOME(name, has_none, name) RUN(name)

#define ROUNDED(name, lanes, op)					\
	APPLY(name, lanes, op) APPLY(name##_nan, lanes, op##_NAN)	\
	SOME(name, has_nans_##lanes, name##_nan) RUN(name)

#define ORDER(name, bits, op)					\
	FUNCTION(name##_s##bits, lanes_s##bits, op)			\
	FUNCTION(name##_u##bits, lanes_u##bits, op)

FUNCTION(sum_8, lanes_u8, SUM)
FUNCTION(sum_16, lanes_u16, SUM)
FUNCTION(sum_32, lanes_u32, SUM)
FUNCTION(sum_64, lanes_u64, SUM)
ROUNDED(sum_f32, lanes_f32, SUM)
ROUNDED(sum_f64, lanes_f64, SUM)
FUNCTION(product_16, lanes_u16, PRODUCT)
FUNCTION(product_32, lanes_u32, PRODUCT)
ROUNDED(product_f32, lanes_f32, PRODUCT)
ROUNDED(product_f64, lanes_f64, PRODUCT)
ORDER(min, 8, LESSER)
ORDER(min, 16, LESSER)
ORDER(min, 32, LESSER)
FUNCTION(min_f32, lanes_f32, LESSER)
FUNCTION(min_f64, lanes_f64, LESSER)
ORDER(max, 8, GREATER)
ORDER(max, 16, GREATER)
ORDER(max, 32, GREATER)
FUNCTION(max_f32, lanes_f32, GREATER)
FUNCTION(max_f64, lanes_f64, GREATER)
FUNCTION(band, lanes_u64, BAND)
FUNCTION(bor, lanes_u64, BOR)
FUNCTION(bxor, lanes_u64, BXOR)

#define INTEGERS(op)							\
	[CMA_REDUCE_INT8] = run_##op##_8, [CMA_REDUCE_UINT8] = run_##op##_8, \
	[CMA_REDUCE_INT64] = run_##op##_64, [CMA_REDUCE_UINT64] = run_##op##_64

#define MIDDLE_INTEGERS(op)						\
	[CMA_REDUCE_INT16] = run_##op##_16, [CMA_REDUCE_UINT16] = run_##op##_16, \
	[CMA_REDUCE_INT32] = run_##op##_32, [CMA_REDUCE_UINT32] = run_##op##_32

#define SIGNED_AND_NOT(op, bits)					\
	[CMA_REDUCE_INT##bits] = run_##op##_s##bits,			\
	[CMA_REDUCE_UINT##bits] = run_##op##_u##bits

#define FLOATS(op)							\
	[CMA_REDUCE_FLOAT] = run_##op##_f32, [CMA_REDUCE_DOUBLE] = run_##op##_f64

#define ORDERED(op)							\
	SIGNED_AND_NOT(op, 8), SIGNED_AND_NOT(op, 16),			\
	SIGNED_AND_NOT(op, 32), FLOATS(op)

#define BITWISE(op) [CMA_REDUCE_INT8 ... CMA_REDUCE_UINT64] = run_##op

cmad_vector_fn *const cmad_vectors[CMA_REDUCE_BXOR + 1]
				  [CMA_REDUCE_DOUBLE + 1] = {
	[CMA_REDUCE_SUM] = { INTEGERS(sum), MIDDLE_INTEGERS(sum), FLOATS(sum) },
	[CMA_REDUCE_PRODUCT] = { MIDDLE_INTEGERS(product), FLOATS(product) },
	[CMA_REDUCE_MIN] = { ORDERED(min) },
	[CMA_REDUCE_MAX] = { ORDERED(max) },
	[CMA_REDUCE_BAND] = { BITWISE(band) },
	[CMA_REDUCE_BOR] = { BITWISE(bor) },
	[CMA_REDUCE_BXOR] = { BITWISE(bxor) },
};
#endif
