/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events, in the system "cmad" (the kernel has a "cma" of its own). An
 * mm's address is hashed; it pairs the two events of a copy.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cmad

#if !defined(CMAD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CMAD_TRACE_H

#include <linux/tracepoint.h>

#include "private.h"

TRACE_EVENT(cmad_copy_begin,
	TP_PROTO(const struct cmad_copy *copy, const struct mm_struct *mm),
	TP_ARGS(copy, mm),

	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(bool, write)
		__field(u64, bytes)
		__field(unsigned long, local_segments)
		__field(unsigned long, remote_segments)
	),

	TP_fast_assign(
		__entry->mm = mm;
		__entry->write = copy->write;
		__entry->bytes = copy->copied + copy->left;
		__entry->local_segments = copy->local.nr;
		__entry->remote_segments = copy->remote.nr;
	),

	TP_printk("mm=%p %s bytes=%llu segments=%lu:%lu", __entry->mm,
		  __entry->write ? "write" : "read", __entry->bytes,
		  __entry->local_segments, __entry->remote_segments)
);

TRACE_EVENT(cmad_copy_end,
	TP_PROTO(const struct cmad_copy *copy, const struct mm_struct *mm,
		 int error),
	TP_ARGS(copy, mm, error),

	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(u64, copied)
		__field(int, error)
		__field(u32, fault_side)
		__field(u64, fault_addr)
	),

	TP_fast_assign(
		__entry->mm = mm;
		__entry->copied = copy->copied;
		__entry->error = error;
		__entry->fault_side = copy->fault_side;
		__entry->fault_addr = copy->fault_side ? copy->fault_addr : 0;
	),

	TP_printk("mm=%p copied=%llu error=%d fault=%s addr=%#llx",
		  __entry->mm, __entry->copied, __entry->error,
		  __print_symbolic(__entry->fault_side,
				   { CMA_FAULT_NONE, "none" },
				   { CMA_FAULT_LOCAL, "local" },
				   { CMA_FAULT_REMOTE, "remote" }),
		  __entry->fault_addr)
);

/*
 * A copy that was done the short way, by @chunk, or by a page of @space; it has no
 * other events. To ask the chunk for its space would cost those that are not traced.
 */
TRACE_EVENT_CONDITION(cmad_copy_short,
	TP_PROTO(const struct cma_ioc_copy *args,
		 const struct cmad_chunk *chunk, const struct cmad_space *space,
		 unsigned long missed),
	TP_ARGS(args, chunk, space, missed),
	TP_CONDITION(!missed),

	TP_STRUCT__entry(
		__field(const void *, mm)
		__field(bool, write)
		__field(u64, bytes)
	),

	TP_fast_assign(
		__entry->mm = rcu_access_pointer((chunk ? chunk->space :
						    space)->mm);
		__entry->write = args->flags & CMA_COPY_WRITE;
		__entry->bytes = args->local_cnt;
	),

	TP_printk("mm=%p %s bytes=%llu", __entry->mm,
		  __entry->write ? "write" : "read", __entry->bytes)
);

/* A reduction that was begun. */
TRACE_EVENT(cmad_reduce,
	TP_PROTO(const struct cma_ioc_reduce *args, int error),
	TP_ARGS(args, error),

	TP_STRUCT__entry(
		__field(u32, op)
		__field(u32, type)
		__field(u32, operands)
		__field(u64, bytes)
		__field(u64, reduced)
		__field(int, error)
	),

	TP_fast_assign(
		__entry->op = args->op;
		__entry->type = args->type;
		__entry->operands = args->operand_cnt;
		__entry->bytes = args->length;
		__entry->reduced = args->reduced;
		__entry->error = error;
	),

	TP_printk("op=%u type=%u operands=%u bytes=%llu reduced=%llu error=%d",
		  __entry->op, __entry->type, __entry->operands, __entry->bytes,
		  __entry->reduced, __entry->error)
);

#endif /* CMAD_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
