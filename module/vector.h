/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arithmetic on vectors, for reductions: what one instruction of the processor's
 * does to each element, and nothing else, so that the objects that use vector
 * registers (reduce_avx2.c, reduce_neon.c) hold no other code.
 */
#ifndef CMAD_VECTOR_H
#define CMAD_VECTOR_H

#include <uapi/cma.h>

#define CMAD_VECTOR_BYTES 32UL

/*
 * Bytes that were stored at @out, in order: what is there at @local, and then at
 * each of the @nr addresses at @operand, from left to right. @len is a multiple of
 * CMAD_VECTOR_BYTES. No vector at @local or @out lies in two pages; they are
 * the caller's, by addresses that access_ok() took, or the kernel's own. Where one is
 * missing it ends. The caller has page faults disabled, and the vector registers to itself.
 */
typedef unsigned long cmad_vector_fn(unsigned long out, unsigned long local,
				     const unsigned long *operand,
				     unsigned int nr, unsigned long len);

/*
 * The processor's, by operation and type; NULL where no instruction does it. Not
 * there where cmad_has_vectors() is false for every processor (compat/vector.h).
 */
extern cmad_vector_fn *const cmad_vectors[CMA_REDUCE_BXOR + 1]
				      [CMA_REDUCE_DOUBLE + 1];

#endif /* CMAD_VECTOR_H */
