// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Tells a process from its fork without a system call: a page of its own that the
// kernel clears in the child (MADV_WIPEONFORK, Linux 4.14). A child that shares the
// parent's memory (vfork, CLONE_VM) sees the page as the parent does, and may act.
// Where the kernel cannot clear the page, pids are compared instead.
#ifndef CMA_USERLIB_FORK_GUARD_HPP
#define CMA_USERLIB_FORK_GUARD_HPP

#include "sys.hpp"
#include <atomic>
#include <cstdint>

namespace cma {

class ForkGuard {
public:
  ForkGuard() = default;
  ForkGuard(const ForkGuard &) = delete;
  ForkGuard &operator=(const ForkGuard &) = delete;

  ~ForkGuard()
  {
    if (page_ != nullptr)
      sys::unmap(page_, sizeof(Page));
  }

  // Binds the guard to the calling process. Returns 0 or -ENOMEM.
  int arm()
  {
    page_ = static_cast<Page *>(sys::map_anonymous(sizeof(Page)));
    if (page_ == nullptr)
      return -ENOMEM;
    if (sys::madvise(page_, sizeof(Page), MADV_WIPEONFORK) < 0)
      owner_ = ::getpid();
    else
      page_->store(1, std::memory_order_relaxed);
    return 0;
  }

  // Whether the calling process is the one that armed the guard.
  [[nodiscard]] bool ours() const
  {
    return page_->load(std::memory_order_relaxed) != 0 ||
           (owner_ != 0 && owner_ == ::getpid());
  }

private:
  // The kernel rounds the length of the mapping up to a page.
  using Page = std::atomic<std::uint32_t>;

  Page *page_ = nullptr;
  pid_t owner_ = 0; // only where the page is not cleared
};

} // namespace cma

#endif
