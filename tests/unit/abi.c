/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/*
 * The kernel ABI's numbers, as version 1 has them for ever. Compiled as C and as
 * C++, with 64-bit and with 32-bit pointers: one table for all of them.
 */
#include <assert.h>
#include <stddef.h>
#include <uapi/cma.h>

#define SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), #type)
#define FIELD(type, field, offset, size)                                    \
	static_assert(offsetof(struct type, field) == (offset) &&           \
			      sizeof(((struct type *)0)->field) == (size),  \
		      #type "." #field)
#define VALUE(name, value) static_assert((name) == (value), #name)

VALUE(CMA_ABI_VERSION, 1);
VALUE(CMA_IOC_INFO, 0xc300);
VALUE(CMA_IOC_COPY, 0xc301);
VALUE(CMA_IOC_OPEN, 0xc302);
VALUE(CMA_IOC_CLOSE, 0xc303);
VALUE(CMA_IOC_WINDOW_CREATE, 0xc304);
VALUE(CMA_IOC_WINDOW_DESTROY, 0xc305);
VALUE(CMA_IOC_POPULATE, 0xc306);
VALUE(CMA_IOC_SHOW, 0xc307);
VALUE(CMA_IOC_REDUCE, 0xc308);

SIZE(cma_ioc_info, 88);
FIELD(cma_ioc_info, size, 0, 4);
FIELD(cma_ioc_info, abi_version, 4, 4);
FIELD(cma_ioc_info, features, 8, 8);
FIELD(cma_ioc_info, max_iov, 16, 8);
FIELD(cma_ioc_info, max_iov_many, 24, 8);
FIELD(cma_ioc_info, max_bytes, 32, 8);
FIELD(cma_ioc_info, max_bytes_large, 40, 8);
FIELD(cma_ioc_info, max_handles, 48, 4);
FIELD(cma_ioc_info, verdict_ms, 52, 4);
FIELD(cma_ioc_info, version, 56, 32);

SIZE(cma_iovec, 16);
FIELD(cma_iovec, base, 0, 8);
FIELD(cma_iovec, len, 8, 8);

SIZE(cma_ioc_copy, 72);
FIELD(cma_ioc_copy, size, 0, 4);
FIELD(cma_ioc_copy, flags, 4, 4);
FIELD(cma_ioc_copy, peer_type, 8, 4);
FIELD(cma_ioc_copy, peer, 12, 4);
FIELD(cma_ioc_copy, local_iov, 16, 8);
FIELD(cma_ioc_copy, remote_iov, 24, 8);
FIELD(cma_ioc_copy, local_cnt, 32, 8);
FIELD(cma_ioc_copy, remote_cnt, 40, 8);
FIELD(cma_ioc_copy, copied, 48, 8);
FIELD(cma_ioc_copy, fault_addr, 56, 8);
FIELD(cma_ioc_copy, fault_side, 64, 4);
FIELD(cma_ioc_copy, reserved, 68, 4);

SIZE(cma_ioc_open, 40);
FIELD(cma_ioc_open, size, 0, 4);
FIELD(cma_ioc_open, flags, 4, 4);
FIELD(cma_ioc_open, peer_type, 8, 4);
FIELD(cma_ioc_open, peer, 12, 4);
FIELD(cma_ioc_open, window, 16, 8);
FIELD(cma_ioc_open, access, 24, 4);
FIELD(cma_ioc_open, handle, 28, 4);
FIELD(cma_ioc_open, length, 32, 8);

SIZE(cma_ioc_close, 8);
FIELD(cma_ioc_close, size, 0, 4);
FIELD(cma_ioc_close, handle, 4, 4);

SIZE(cma_ioc_window_create, 40);
FIELD(cma_ioc_window_create, size, 0, 4);
FIELD(cma_ioc_window_create, flags, 4, 4);
FIELD(cma_ioc_window_create, base, 8, 8);
FIELD(cma_ioc_window_create, length, 16, 8);
FIELD(cma_ioc_window_create, access, 24, 4);
FIELD(cma_ioc_window_create, mode, 28, 4);
FIELD(cma_ioc_window_create, window, 32, 8);

SIZE(cma_ioc_window_destroy, 16);
FIELD(cma_ioc_window_destroy, size, 0, 4);
FIELD(cma_ioc_window_destroy, reserved, 4, 4);
FIELD(cma_ioc_window_destroy, window, 8, 8);

SIZE(cma_ioc_populate, 24);
FIELD(cma_ioc_populate, size, 0, 4);
FIELD(cma_ioc_populate, flags, 4, 4);
FIELD(cma_ioc_populate, address, 8, 8);
FIELD(cma_ioc_populate, length, 16, 8);
SIZE(cma_ioc_show, 24);
FIELD(cma_ioc_show, size, 0, 4);
FIELD(cma_ioc_show, how, 4, 4);
FIELD(cma_ioc_show, address, 8, 8);
FIELD(cma_ioc_show, length, 16, 8);
SIZE(cma_ioc_operand, 16);
FIELD(cma_ioc_operand, peer_type, 0, 4);
FIELD(cma_ioc_operand, peer, 4, 4);
FIELD(cma_ioc_operand, address, 8, 8);
SIZE(cma_ioc_reduce, 120);
FIELD(cma_ioc_reduce, size, 0, 4);
FIELD(cma_ioc_reduce, flags, 4, 4);
FIELD(cma_ioc_reduce, op, 8, 4);
FIELD(cma_ioc_reduce, type, 12, 4);
FIELD(cma_ioc_reduce, local, 16, 8);
FIELD(cma_ioc_reduce, out, 24, 8);
FIELD(cma_ioc_reduce, length, 32, 8);
FIELD(cma_ioc_reduce, reduced, 40, 8);
FIELD(cma_ioc_reduce, operand_cnt, 48, 4);
FIELD(cma_ioc_reduce, reserved, 52, 4);
FIELD(cma_ioc_reduce, operand, 56, 64);
VALUE(CMA_REDUCE_SUM, 1);
VALUE(CMA_REDUCE_BXOR, 7);
VALUE(CMA_REDUCE_INT8, 1);
VALUE(CMA_REDUCE_DOUBLE, 10);
VALUE(CMA_REDUCE_OPERANDS, 4);
VALUE(CMA_SHOW_PAGES, 1);
VALUE(CMA_SHOW_ONLY, 2);
VALUE(CMA_HIDE_PAGES, 3);
VALUE(CMA_SHOW_MAX, 0x40000000);

VALUE(CMA_PEER_PID, 1);
VALUE(CMA_PEER_PIDFD, 2);
VALUE(CMA_PEER_HANDLE, 3);
VALUE(CMA_PEER_WINDOW, 4);
VALUE(CMA_PEER_PUBLISHED, 5);
VALUE(CMA_WINDOW_PUBLISH, 1);

VALUE(CMA_ACCESS_READ, 0x1);
VALUE(CMA_ACCESS_WRITE, 0x2);

VALUE(CMA_COPY_WRITE, 0x1);
VALUE(CMA_COPY_MANY, 0x2);
VALUE(CMA_COPY_LARGE, 0x4);
VALUE(CMA_COPY_REPORT, 0x8);
VALUE(CMA_COPY_STRICT, 0x10);
VALUE(CMA_COPY_SINGLE, 0x20);

VALUE(CMA_FAULT_NONE, 0);
VALUE(CMA_FAULT_LOCAL, 1);
VALUE(CMA_FAULT_REMOTE, 2);

VALUE(CMA_FEATURE_COPY_PID, 0x1);
VALUE(CMA_FEATURE_COPY_PIDFD, 0x2);
VALUE(CMA_FEATURE_COPY_HANDLE, 0x4);
VALUE(CMA_FEATURE_MANY, 0x8);
VALUE(CMA_FEATURE_LARGE, 0x10);
VALUE(CMA_FEATURE_REPORT, 0x20);
VALUE(CMA_FEATURE_STRICT, 0x40);
VALUE(CMA_FEATURE_SINGLE, 0x80);
VALUE(CMA_FEATURE_WINDOW, 0x100);
VALUE(CMA_FEATURE_MAP, 0x200);
VALUE(CMA_FEATURE_POPULATE, 0x400);
VALUE(CMA_FEATURE_SHOW, 0x1000);
VALUE(CMA_FEATURE_LENGTH, 0x2000);
VALUE(CMA_FEATURE_REDUCE, 0x4000);
VALUE(CMA_FEATURE_PUBLISH, 0x8000);
