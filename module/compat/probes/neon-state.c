// SPDX-License-Identifier: GPL-2.0
/* Where arm64's vector registers are kept, if the task is preempted, is the module's to say. */
#include <linux/types.h>
#include <asm/neon.h>

void probe(struct user_fpsimd_state *state);
void probe(struct user_fpsimd_state *state)
{
	kernel_neon_begin(state);
	kernel_neon_end(state);
}
