// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * `cma run --policy consent`: where Yama lets a process be traced by its ancestors
 * alone (kernel.yama.ptrace_scope = 1), this one consents to whoever else the kernel
 * would let trace it: PR_SET_PTRACER_ANY of prctl(2), as MPI libraries do for their
 * own processes. The kernel and the device then answer its peers alike.
 *
 * A consent ends with execve(2), after which this library is there again, and is not
 * inherited over fork(2), hence the handler. A child of clone(2) that calls neither
 * libc's fork(3) nor execve(2) does not consent.
 */
#include <cstdlib>
#include <cstring>

#include <linux/prctl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "raw_syscall.hpp"

namespace {

/* A kernel without Yama refuses, and asks for no consent. */
void consent()
{
  raw_syscall(SYS_prctl, PR_SET_PTRACER, static_cast<long>(PR_SET_PTRACER_ANY));
}

[[gnu::constructor]] void obey_policy()
{
  const char *policy = secure_getenv("CMA_RUN_POLICY");
  if (!policy || strcmp(policy, "consent") != 0)
    return;
  consent();
  pthread_atfork(nullptr, nullptr, consent);
}

} /* namespace */
