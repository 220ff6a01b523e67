/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Vector registers in the kernel, which an architecture lets modules use or not.
 * Without them the caller's library computes.
 */
#ifndef CMAD_COMPAT_VECTOR_H
#define CMAD_COMPAT_VECTOR_H

#include <linux/nospec.h>

#include "../vector.h"

#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

static inline bool cmad_has_vectors(void)
{
	return boot_cpu_has(X86_FEATURE_AVX2) &&
	       cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL);
}

/* By numbers that exist; NULL: there is no instruction for it. */
static inline cmad_vector_fn *cmad_vector_find(u32 op, u32 type)
{
	op = array_index_nospec(op, CMA_REDUCE_BXOR + 1);
	type = array_index_nospec(type, CMA_REDUCE_DOUBLE + 1);
	return cmad_has_vectors() ? cmad_avx2[op][type] : NULL;
}

/* Rounding, and the like, is as at the start of a program. Not to sleep in. */
static inline void cmad_vector_begin(void)
{
	kernel_fpu_begin();
	barrier_nospec(); /* the caller's addresses were asked about */
}

static inline void cmad_vector_end(void)
{
	kernel_fpu_end();
}
#else
static inline bool cmad_has_vectors(void)
{
	return false;
}

static inline cmad_vector_fn *cmad_vector_find(u32 op, u32 type)
{
	return NULL;
}

static inline void cmad_vector_begin(void) {}
static inline void cmad_vector_end(void) {}
#endif

#endif /* CMAD_COMPAT_VECTOR_H */
