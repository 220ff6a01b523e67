/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/* A C program outside of the tree: reads its own memory through libcma. */
#include <cma.h>
#include <misc/cma.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	const char sent[] = "one copy";
	char received[sizeof(sent)] = "";
	struct cma_context *context;
	int error = cma_open(&context, 0);
	ssize_t moved;

	if (error) {
		fprintf(stderr, "cma_open: %s\n", strerror(-error));
		return 1;
	}
	moved = cma_read(context, cma_pid(getpid()), received, (uintptr_t)sent,
			 sizeof(sent));
	cma_close(context);
	printf("libcma %s, built for %s, ABI %d: %zd bytes: %s\n",
	       cma_version(), CMA_VERSION, CMA_ABI_VERSION, moved, received);
	return moved != sizeof(sent) || strcmp(sent, received) != 0 ||
	       strcmp(cma_version(), CMA_VERSION) != 0;
}
