// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Whoever copies from an owner, or maps it, may lose its CPU anywhere in the kernel. An
 * owner that changes its memory must not have to wait for that more often than where
 * process_vm_readv() copies, which holds the owner's mmap_lock while it pins pages; so
 * does whoever fills the cache. A chunk's lock is held without preemption.
 */
#include "../../bench/processor.hpp"
#include "scenario.hpp"
#include "system.hpp"
#include "use.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cma_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t size = huge_page;
constexpr auto slow = milliseconds(200);
constexpr const char *preemption = "/sys/kernel/debug/sched/preempt";

/// The kernel preempted at any point, for a while.
class FullPreemption {
public:
  FullPreemption()
  {
    const std::string all = get_line(preemption).value_or("");
    const size_t open = all.find('(');
    if (open != std::string::npos)
      before_ = all.substr(open + 1, all.find(')') - open - 1);
    taken_ = !before_.empty() && put_value(preemption, "full");
  }
  FullPreemption(const FullPreemption &) = delete;
  FullPreemption &operator=(const FullPreemption &) = delete;
  ~FullPreemption()
  {
    if (taken_)
      put_value(preemption, before_);
  }

  explicit operator bool() const { return taken_; }

private:
  std::string before_;
  bool taken_ = false;
};

/// Takes the first CPU for itself again and again, from whoever is anywhere there.
void take_the_cpu()
{
  const bench::OnProcessor first(0);
  const sched_param priority = {.sched_priority = 10};
  require(sched_setscheduler(0, SCHED_FIFO, &priority) == 0, "sched_setscheduler");
  for (unsigned i = 0;; i++) {
    usleep(20000 + i * 7919 % 10000);
    const auto end = steady_clock::now() + 2 * slow;
    while (steady_clock::now() < end)
      ;
  }
}

class Preempt : public testing::Test {
protected:
  void SetUp() override
  {
    if (!full_)
      GTEST_SKIP() << "the preemption of this kernel is fixed";
    madvise(reinterpret_cast<void *>(address_), size, MADV_NOHUGEPAGE);
  }
  ~Preempt() override { unmap(address_, size); }

  /// How many changes of its memory take the owner long, beside one who uses that memory
  /// on a CPU that is taken away.
  unsigned slow_changes(Use (*prepare)(pid_t owner))
  {
    Peer user;
    user.post([=, this, owner = getpid()]() -> long {
      const bench::OnProcessor first(0);
      const Use use = prepare(owner);
      for (;;)
        use(address_, size);
    });
    Peer taker;
    taker.post([]() -> long {
      take_the_cpu();
      return 0;
    });
    const unsigned count = count_slow_changes();
    user.kill(SIGKILL);
    taker.kill(SIGKILL);
    return count;
  }

private:
  unsigned count_slow_changes() const
  {
    const bench::OnProcessor second(1);
    unsigned count = 0;
    const auto end = steady_clock::now() + std::chrono::seconds(12);
    for (unsigned i = 0; steady_clock::now() < end; i++) {
      usleep(1000 + i * 7919 % 4000);
      const auto begin = steady_clock::now();
      protect(address_, size, PROT_READ);
      protect(address_, size, PROT_READ | PROT_WRITE);
      count += steady_clock::now() - begin > slow;
      for (size_t at = 0; at < size; at += page)
        *reinterpret_cast<volatile char *>(address_ + at) = 1;
    }
    return count;
  }

  const FullPreemption full_;
  const Setting no_throttle_{"/proc/sys/kernel/sched_rt_runtime_us", "-1"};
  const uintptr_t address_ = make_memory(Kind::Anonymous, size);
};

TEST_F(Preempt, TheOwnerWaitsForNobodyWhoDoesNotRun)
{
  const unsigned theirs = slow_changes(copies_by_the_system_call);
  const unsigned copied = slow_changes(copies_by_handle);
  const unsigned mapped = slow_changes(loads_through_a_mapping);
  const unsigned hidden = slow_changes(loads_after_hiding);
  printf(
      "  changes that had to wait: beside process_vm_readv %u, copies %u, loads through "
      "a mapping %u, through one of which pages are hidden %u\n",
      theirs, copied, mapped, hidden);
  const unsigned bar = theirs + theirs / 2 + 3;
  EXPECT_LE(copied, bar);
  EXPECT_LE(mapped, bar);
  EXPECT_LE(hidden, bar);
}

} // namespace
} // namespace cma_test
