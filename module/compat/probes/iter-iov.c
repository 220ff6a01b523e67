// SPDX-License-Identifier: GPL-2.0
/* import_iovec() imports a single segment by a way of its own. */
#include <linux/uio.h>

const struct iovec *probe(struct iov_iter *iter);
const struct iovec *probe(struct iov_iter *iter)
{
	return iter_iov(iter);
}
