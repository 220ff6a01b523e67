// SPDX-License-Identifier: MIT OR BSD-2-Clause
// What a mover does: no page shows anything else afterwards; see owner.hpp.
#include "owner.hpp"
#include "system.hpp"

#include <algorithm>
#include <csignal>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace cma_test {
namespace {

constexpr int move_own_pages = 2; // MPOL_MF_MOVE

/// A child meets holes that the author made: no finding.
void leave(int)
{
  _exit(0);
}

} // namespace

void Owner::move_pages(Ops ops, unsigned pause_us)
{
  while (oracle_.running()) {
    pause(pause_us);
    move_one(ops.pick(random_));
  }
}

void Owner::move_one(Op op)
{
  switch (op) {
  case Op::Fork:
    return fork_child();
  case Op::Migrate:
    return migrate();
  case Op::PageOut:
    return page_out();
  case Op::Collapse:
    return collapse();
  case Op::Split:
    return split();
  case Op::Merge:
    return merge();
  default:
    return;
  }
}

void Owner::fork_child()
{
  const Run seen = {random_.below(field_.pages - pages_per_plot), pages_per_plot};
  const Run written = choose();
  const pid_t child = fork();
  if (child == 0)
    be_child(seen, written);
  if (child < 0)
    return;
  oracle_.did(Op::Fork);
  waitpid(child, nullptr, 0);
}

/// What the child sees is its own from the fork on, and what it writes is nobody else's.
/// (A page that the owner gave up with MADV_FREE may still become zero.)
void Owner::be_child(const Run &seen, const Run &written)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGSEGV, leave);
  signal(SIGBUS, leave);
  const uint64_t *field = field_.at(seen.first);
  std::copy_n(field, snapshot_.size(), snapshot_.begin());
  usleep(static_cast<useconds_t>(random_.below(8000)));
  for (size_t i = 0; i < snapshot_.size(); i++)
    if (field[i] != snapshot_[i] && field[i] != 0) {
      oracle_.found(Wrong::Leak, "page %zu: a child's snapshot of it changed to %#lx",
                    seen.first + i / words_per_page, field[i]);
      break;
    }
  const size_t count = std::min<size_t>(written.count, pages_per_plot);
  const size_t words = count * words_per_page;
  uint64_t *memory = field_.at(written.first);
  for (size_t i = 0; i < words; i++)
    memory[i] = State::child_tag | i;
  usleep(static_cast<useconds_t>(random_.below(4000)));
  for (size_t i = 0; i < words; i++)
    if (memory[i] != (State::child_tag | i)) {
      oracle_.found(Wrong::Leak, "page %zu: a child's words were overwritten by %#lx",
                    written.first + i / words_per_page, memory[i]);
      break;
    }
  _exit(0);
}

void Owner::migrate()
{
  const Run run = choose();
  const int node = static_cast<int>(random_.below(2));
  std::vector<void *> pages;
  for (size_t i = 0; i < run.count; i++)
    pages.push_back(field_.at(run.first + i));
  const std::vector<int> nodes(run.count, node);
  std::vector<int> before(run.count, -1);
  std::vector<int> after(run.count, -1);
  syscall(SYS_move_pages, 0, run.count, pages.data(), nullptr, before.data(), 0);
  syscall(SYS_move_pages, 0, run.count, pages.data(), nodes.data(), after.data(),
          move_own_pages);
  for (size_t i = 0; i < run.count; i++)
    if (before.at(i) >= 0 && before.at(i) != node && after.at(i) == node)
      oracle_.did(Op::Migrate);
}

void Owner::page_out()
{
  const Run run = choose();
  const uint64_t before = vm_event("pswpout");
  madvise(field_.at(run.first), run.count * page, MADV_PAGEOUT);
  oracle_.did(Op::PageOut, vm_event("pswpout") - before);
}

void Owner::collapse()
{
  const Run run = choose_chunk();
  madvise(field_.at(run.first), run.count * page, MADV_HUGEPAGE);
  madvise(field_.at(run.first), run.count * page, MADV_COLLAPSE);
  const uint64_t before = std::exchange(collapsed_, vm_event("thp_collapse_alloc"));
  oracle_.did(Op::Collapse, collapsed_ - before);
}

void Owner::split()
{
  const Run run = choose_chunk();
  const uint64_t before = vm_event("thp_split_page");
  std::array<char, 96> range{};
  snprintf(range.data(), range.size(), "%d,%#lx,%#lx", getpid(),
           reinterpret_cast<uintptr_t>(field_.at(run.first)),
           reinterpret_cast<uintptr_t>(field_.at(run.first + run.count)));
  const std::string path = "/sys/kernel/debug/split_huge_pages";
  if (!put_value(path, range.data()))
    put_value(path, "1");
  oracle_.did(Op::Split, vm_event("thp_split_page") - before);
}

/// The kernel merges by itself; now and then some pages are told apart again.
void Owner::merge()
{
  madvise(field_.at(0), field_.bytes(), MADV_MERGEABLE);
  usleep(50000);
  oracle_.did(Op::Merge, get_value("/sys/kernel/mm/ksm/pages_sharing").value_or(0));
  if (random_.percent(10)) {
    const Run run = choose();
    madvise(field_.at(run.first), run.count * page, MADV_UNMERGEABLE);
  }
}

} // namespace cma_test
