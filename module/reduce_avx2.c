// SPDX-License-Identifier: GPL-2.0
/*
 * Arithmetic with AVX2 (vector.h). It is built with vector registers, which the
 * kernel has for itself between kernel_fpu_begin() and kernel_fpu_end() alone: so
 * all of this runs there.
 *
 * A vector of the caller's memory lies in one page, and so is loaded or stored as
 * a whole, or not at all. What was stored before a fault is told to the vector,
 * since nothing may be reduced twice.
 *
 * The assembler has the destination of an instruction last and what is so far
 * before it: of two NaNs that is the one that stays, and where neither is less nor
 * greater the peer's.
 */
#include <linux/compiler.h>
#include <asm/asm.h>
#include <asm/smap.h>

#include "vector.h"

typedef long long vec __attribute__((vector_size(32), may_alias)) __aligned(1);

#define BLOCK 256L	/* eight vectors */

#define INSNS(X)                                                        \
	X(vpaddb) X(vpaddw) X(vpaddd) X(vpaddq) X(vaddps) X(vaddpd)     \
	X(vpmullw) X(vpmulld) X(vmulps) X(vmulpd)                       \
	X(vpminsb) X(vpminsw) X(vpminsd) X(vpminub) X(vpminuw)          \
	X(vpminud) X(vminps) X(vminpd)                                  \
	X(vpmaxsb) X(vpmaxsw) X(vpmaxsd) X(vpmaxub) X(vpmaxuw)          \
	X(vpmaxud) X(vmaxps) X(vmaxpd)                                  \
	X(vpand) X(vpor) X(vpxor)

#define NAME(insn) DO_##insn,
enum insn { INSNS(NAME) };

#define CASE(insn)                                                      \
	case DO_##insn:                                                 \
		asm(#insn " %1, %0, %0" : "+x"(so_far) : "m"(*peer));   \
		break;

static __always_inline vec apply(vec so_far, unsigned long address,
				 enum insn insn)
{
	const vec *peer = (const vec *)address;

	switch (insn) {
	INSNS(CASE)
	}
	return so_far;
}

/*
 * Blocks of eight vectors, from @at on as long as it is not beyond @last. A fault
 * ends it: at a load with nothing of the block stored, at the store of vector n by
 * way of label 40 + n, which adds to @at what was stored before. What then is left
 * is tried vector by vector, which goes on to the very one that is missing.
 */
#define LOAD(n)                                                         \
	"1" #n ":	vmovdqu 32*" #n "(%[local],%[at]), %%ymm" #n "\n" \
	_ASM_EXTABLE_UA(1##n##b, 9f)

#define APPLY(insn, peer, n)                                            \
	"	" #insn " 32*" #n "(%[" #peer "],%[at]), %%ymm" #n ", %%ymm" #n "\n"

#define STORE(n)                                                        \
	"3" #n ":	vmovdqu %%ymm" #n ", 32*" #n "(%[out],%[at])\n" \
	_ASM_EXTABLE_UA(3##n##b, 4##n##f)

#define STORE_FAULT(n)                                                  \
	"4" #n ":	addq $32*" #n ", %[at]\n"                       \
	"	jmp 9f\n"

#define EIGHT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

#define APPLY_ALL(insn, peer)                                           \
	APPLY(insn, peer, 0) APPLY(insn, peer, 1) APPLY(insn, peer, 2)  \
	APPLY(insn, peer, 3) APPLY(insn, peer, 4) APPLY(insn, peer, 5)  \
	APPLY(insn, peer, 6) APPLY(insn, peer, 7)

#define OPERANDS_1(insn) APPLY_ALL(insn, p0)
#define OPERANDS_2(insn) OPERANDS_1(insn) APPLY_ALL(insn, p1)
#define OPERANDS_3(insn) OPERANDS_2(insn) APPLY_ALL(insn, p2)
#define OPERANDS_4(insn) OPERANDS_3(insn) APPLY_ALL(insn, p3)

/* Bytes that were stored. There is a block at least. */
#define BLOCKS(insn, nr)                                                     \
static __always_inline long blocks##nr##_##insn(unsigned long out,           \
						unsigned long local,         \
						const unsigned long *operand, \
						long last)                   \
{                                                                            \
	long at = 0;                                                         \
									     \
	asm volatile("8:\n"                                                  \
		     EIGHT(LOAD) OPERANDS_##nr(insn) EIGHT(STORE)            \
		     "	addq $256, %[at]\n"                                  \
		     "	cmpq %[last], %[at]\n"                               \
		     "	jle 8b\n"                                            \
		     "	jmp 9f\n"                                            \
		     EIGHT(STORE_FAULT)                                      \
		     "9:\n"                                                  \
		     : [at] "+&r"(at)                                        \
		     : [last] "r"(last), [out] "r"(out), [local] "r"(local), \
		       [p0] "r"(operand[0]), [p1] "r"(operand[(nr) > 1]),    \
		       [p2] "r"(operand[(nr) > 2 ? 2 : 0]),                  \
		       [p3] "r"(operand[(nr) > 3 ? 3 : 0])                   \
		     : "memory", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4",     \
		       "ymm5", "ymm6", "ymm7");                              \
	return at;                                                           \
}
#define ALL_BLOCKS(insn)                                                     \
	BLOCKS(insn, 1) BLOCKS(insn, 2) BLOCKS(insn, 3) BLOCKS(insn, 4)
INSNS(ALL_BLOCKS)

/* One vector: whether it was stored. */
static __always_inline bool vector(unsigned long out, unsigned long local,
				   const unsigned long *operand,
				   unsigned int nr, unsigned long at,
				   enum insn insn)
{
	unsigned int i, there = 1;
	vec v;

	asm volatile("1:	vmovdqu (%[local],%[at]), %[v]\n"
		     "	jmp 3f\n"
		     "2:	xorl %[there], %[there]\n"
		     "3:\n" _ASM_EXTABLE_UA(1b, 2b)
		     : [v] "=x"(v), [there] "+r"(there)
		     : [local] "r"(local), [at] "r"(at)
		     : "memory");
	if (!there)
		return false;
	for (i = 0; i < nr; i++)
		v = apply(v, operand[i] + at, insn);
	asm volatile("1:	vmovdqu %[v], (%[out],%[at])\n"
		     "	jmp 3f\n"
		     "2:	xorl %[there], %[there]\n"
		     "3:\n" _ASM_EXTABLE_UA(1b, 2b)
		     : [there] "+r"(there)
		     : [v] "x"(v), [out] "r"(out), [at] "r"(at)
		     : "memory");
	return there;
}

#define FUNCTION(insn)                                                       \
static unsigned long run_##insn(unsigned long out, unsigned long local,      \
				const unsigned long *operand,                \
				unsigned int nr, unsigned long len)          \
{                                                                            \
	long last = (long)len - BLOCK;                                       \
	unsigned long at = 0;                                                \
									     \
	stac();                                                              \
	if (last >= 0) {                                                     \
		if (nr == 1)                                                 \
			at = blocks1_##insn(out, local, operand, last);      \
		else if (nr == 2)                                            \
			at = blocks2_##insn(out, local, operand, last);      \
		else if (nr == 3)                                            \
			at = blocks3_##insn(out, local, operand, last);      \
		else                                                         \
			at = blocks4_##insn(out, local, operand, last);      \
	}                                                                    \
	while (at < len && vector(out, local, operand, nr, at, DO_##insn))   \
		at += CMAD_VECTOR_BYTES;                                     \
	clac();                                                              \
	return at;                                                           \
}
INSNS(FUNCTION)

#define INTEGERS(op, width, bits)                                       \
	[CMA_REDUCE_INT##bits] = run_##op##width,                       \
	[CMA_REDUCE_UINT##bits] = run_##op##width

#define SIGNED_AND_NOT(op, width, bits)                                 \
	[CMA_REDUCE_INT##bits] = run_##op##s##width,                    \
	[CMA_REDUCE_UINT##bits] = run_##op##u##width

#define FLOATS(op)                                                      \
	[CMA_REDUCE_FLOAT] = run_##op##ps, [CMA_REDUCE_DOUBLE] = run_##op##pd

#define BITWISE(op) [CMA_REDUCE_INT8 ... CMA_REDUCE_UINT64] = run_##op

cmad_vector_fn *const cmad_vectors[CMA_REDUCE_BXOR + 1]
			       [CMA_REDUCE_DOUBLE + 1] = {
	[CMA_REDUCE_SUM] = {
		INTEGERS(vpadd, b, 8), INTEGERS(vpadd, w, 16),
		INTEGERS(vpadd, d, 32), INTEGERS(vpadd, q, 64), FLOATS(vadd),
	},
	[CMA_REDUCE_PRODUCT] = {
		INTEGERS(vpmull, w, 16), INTEGERS(vpmull, d, 32), FLOATS(vmul),
	},
	[CMA_REDUCE_MIN] = {
		SIGNED_AND_NOT(vpmin, b, 8), SIGNED_AND_NOT(vpmin, w, 16),
		SIGNED_AND_NOT(vpmin, d, 32), FLOATS(vmin),
	},
	[CMA_REDUCE_MAX] = {
		SIGNED_AND_NOT(vpmax, b, 8), SIGNED_AND_NOT(vpmax, w, 16),
		SIGNED_AND_NOT(vpmax, d, 32), FLOATS(vmax),
	},
	[CMA_REDUCE_BAND] = { BITWISE(vpand) },
	[CMA_REDUCE_BOR] = { BITWISE(vpor) },
	[CMA_REDUCE_BXOR] = { BITWISE(vpxor) },
};
