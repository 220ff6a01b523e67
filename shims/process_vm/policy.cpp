// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * `cma run --policy`: what this process lets its peers do beyond what they may by the
 * rules of ptrace. Either way it ends with execve(2), after which this library is there
 * again, and is not inherited over fork(2), hence the handlers; a child of clone(2) that
 * calls neither libc's fork(3) nor execve(2) takes no part.
 *
 *  - consent: where Yama lets a process be traced by its ancestors alone
 *    (kernel.yama.ptrace_scope = 1), this one consents to whoever else the kernel would
 *    let trace it: PR_SET_PTRACER_ANY of prctl(2), as MPI libraries do for their own
 *    processes. The kernel and the device then answer its peers alike.
 *  - window: this one publishes all of its memory to its own user, and asks for its
 *    peers by what they publish. Yama has no say in that, nor user namespaces, nor
 *    whether a process is dumpable. A window is its open file's: a child opens one of its
 *    own for it, or those of children that are gone would be left in their parents'.
 */
#include "policy.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <linux/prctl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "descriptor.hpp"
#include "raw_syscall.hpp"
#include "uapi/cma.h"

constinit bool by_windows = false;

namespace {

/* A kernel without Yama refuses, and asks for no consent. */
void consent()
{
  raw_syscall(SYS_prctl, PR_SET_PTRACER, static_cast<long>(PR_SET_PTRACER_ANY));
}

/* Where it fails, as by a limit, this process's peers have what ptrace's rules give. */
void publish()
{
  cma_ioc_window_create window = {};
  window.size = sizeof(window);
  window.flags = CMA_WINDOW_PUBLISH;
  window.length = INT64_MAX;
  window.access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
  window.mode = 0600;
  raw_syscall(SYS_ioctl, device.load(std::memory_order_relaxed), CMA_IOC_WINDOW_CREATE,
              reinterpret_cast<long>(&window));
}

void publish_in_child()
{
  if (renew_device())
    publish();
}

} /* namespace */

void obey_policy()
{
  const char *policy = secure_getenv("CMA_RUN_POLICY");
  if (!policy)
    return;
  if (strcmp(policy, "consent") == 0) {
    consent();
    pthread_atfork(nullptr, nullptr, consent);
  } else if (strcmp(policy, "window") == 0 &&
             (features_of_device() & CMA_FEATURE_PUBLISH) != 0) {
    by_windows = true;
    publish();
    pthread_atfork(nullptr, nullptr, publish_in_child);
  }
}
