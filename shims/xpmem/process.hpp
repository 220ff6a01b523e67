// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Which process this is, told without a system call: a page of its own that the
 * kernel clears in a child of fork(2), however that was called. A child that lives in
 * its parent's memory, as vfork(2) makes one, sees it as the parent does.
 */
#ifndef CMA_SHIMS_XPMEM_PROCESS_HPP
#define CMA_SHIMS_XPMEM_PROCESS_HPP

#include <sys/mman.h>
#include <unistd.h>

namespace xpmem {

class Process {
public:
  Process()
  {
    void *const page = mmap(nullptr, sizeof(pid_t), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, sizeof(pid_t), MADV_WIPEONFORK) == 0)
      known = static_cast<pid_t *>(page);
    take_over();
  }
  Process(const Process &) = delete;
  Process &operator=(const Process &) = delete;

  /** Whose memory this is, or 0 in a fork that did not take it over. */
  pid_t owner() const { return *known; }
  void take_over() { *known = getpid(); }

private:
  pid_t here = 0; /* where there is no such page: then fork(3)'s handlers take over */
  volatile pid_t *known = &here;
};

} // namespace xpmem

#endif
