/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all files of the module share; each other header has one subject. Kbuild
 * names the files from the ground up: nobody calls what stands after it.
 *
 * A request reads as a straight line: ioctl.c takes it in, vec.c imports its
 * segments, peer.c finds whom it names, access.c (or handle.c) gives a grant,
 * copy.c moves the bytes, by the translations of chunks where there are any.
 *
 * Lifetimes. An open file owns its windows, its handles and its cached
 * verdicts. The latter two are grants: they hold the peer's space, which holds
 * its mm_struct by mmgrab() and never by mm_users, so that nobody keeps a dead
 * process's memory, and gives up even that soon after its death (space.h). To
 * look at its page tables, or to pin pages, takes mm_users, which are dropped,
 * with no lock held, before a byte moves. Grants are looked up under RCU and
 * counted for the length of an operation, or used under RCU alone (short.c).
 *
 * Lock order: the peer's mmap_lock > its rmap locks > its interval notifiers >
 * the space's views_lock > chunk lock (one) > page table locks. The mapper's
 * mmap_lock, under which the peer's is never taken > the grant's tables > the
 * space's views_lock. A lock of cmad_chunk_lru > cmad_chunks_lock > spaces_lock.
 * All spinlocks are leaves otherwise: under them none of the first line is
 * taken (a chunk lock may be tried), and nothing sleeps. A reduction tries the
 * chunk locks of several operands, for reading, and never waits with one.
 *
 * Allocations. The cache is made from what can be had without hurting anybody
 * (CMAD_GFP_CACHE), since a copy goes without it, too; so is what a copy by pid
 * keeps. Neither calls the OOM killer where process_vm_readv() would not. All else
 * (handles, windows, open files, mappings) is GFP_KERNEL, as with any other call
 * that makes something, and charged to the caller if it outlives the call.
 */
#ifndef CMAD_PRIVATE_H
#define CMAD_PRIVATE_H

#include <linux/gfp.h>
#include <linux/mm.h>

#include <uapi/cma.h>

#include "compat/compat.h"
#include "stat.h"

#define CMAD_VERSION "0.1.0"
/*
 * Reclaim is tried but once, and neither the OOM killer nor the reserves: the
 * page allocator and memory cgroups alike fail early by __GFP_NORETRY.
 */
#define CMAD_GFP_CACHE (GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

#endif /* CMAD_PRIVATE_H */
