// SPDX-License-Identifier: GPL-2.0
/*
 * arm64's vector registers in modules, with the caller's memory as an operand
 * (reduce_neon.c). What kernel_neon_begin() takes is asked by neon-state.c.
 */
#include <linux/types.h>

#ifndef CONFIG_ARM64
#error another architecture
#endif

#include <asm/asm-extable.h>
#include <asm/neon.h>
#include <asm/uaccess.h>

int probe(unsigned long user);
const void *const symbols[] = { kernel_neon_begin, kernel_neon_end };

int probe(unsigned long user)
{
	unsigned int value;
	int fault = 0;

	uaccess_enable_privileged();
	asm volatile("1: ldr %w1, [%2]\n2:\n"
		     _ASM_EXTABLE_UACCESS_ERR(1b, 2b, %w0)
		     : "+r"(fault), "=r"(value) : "r"(user));
	uaccess_disable_privileged();
	return fault;
}
