/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * A program for the tests of cma run, built in ways that matter to the dynamic linker.
 */
int main(void)
{
	return 7;
}
