// SPDX-License-Identifier: GPL-2.0
/* Must not link: declared, and yet exported by no kernel. */
void cmad_no_kernel_exports_this(void);

void probe(void);
void probe(void)
{
	cmad_no_kernel_exports_this();
}
