/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * For a test of cma bench: a process_vm_readv that gets the last byte wrong.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t process_vm_readv(pid_t pid, const struct iovec *local, unsigned long local_count,
			 const struct iovec *remote, unsigned long remote_count,
			 unsigned long flags)
{
	ssize_t moved = syscall(SYS_process_vm_readv, pid, local, local_count, remote,
				remote_count, flags);

	if (moved > 0)
		((char *)local->iov_base)[moved - 1] ^= 1;
	return moved;
}
