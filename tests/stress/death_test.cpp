// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The owner ends in the middle of everything: no stale byte before, nothing
 * but ESRCH after, SIGBUS where it was mapped, and nothing is left of it in the
 * module.
 */
#include "scenario.hpp"
#include "system.hpp"

#include <algorithm>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/klog.h>
#include <unistd.h>

namespace cma_test {
namespace {

/// One owner's life and end. Rounds differ in their moment.
class Life {
public:
  explicit Life(unsigned round)
      : scenario_({.pages = 768,
                   .author = {Op::Unmap, Op::DontNeed, Op::Forbid, Op::Free},
                   .mover = {Op::Fork, Op::PageOut},
                   .writer = true,
                   .milliseconds = 20000}),
        pidfd_(pidfd_open(scenario_.owner().pid())),
        target_(names_of(device_, scenario_.owner().pid(), pidfd_)), view_(map_again()),
        random_(scenario_.seed() + round)
  {
    scenario_.oracle().mortal = true;
    EXPECT_GE(view_.load(0), 0);
  }

  Scenario &scenario() { return scenario_; }
  unsigned moment() { return static_cast<unsigned>(random_.between(30000, 250000)); }

  /// What a fresh copy by each name gives, all traffic being over.
  void expect_gone(const Outcome &by_pid)
  {
    scenario_.oracle().stop();
    scenario_.finish_traffic();
    EXPECT_EQ(copy(Route::Handle), fails(ESRCH));
    EXPECT_EQ(copy(Route::Pid), by_pid);
    EXPECT_EQ(copy(Route::Syscall), by_pid);
    EXPECT_EQ(view_.load(0), Mapping::bus);
    EXPECT_EQ(map_again().error(), ESRCH);
    expect_right();
  }
  uint64_t copied() { return scenario_.oracle().copies; }
  uint64_t loaded() { return scenario_.oracle().loaded; }

private:
  Outcome copy(Route route)
  {
    const Buffer buffer(huge_page);
    const iovec local = segment(buffer.address(), huge_page);
    const iovec remote = segment(Field::base, huge_page);
    return cma_test::run(device_, route, target_, {false, &local, 1, &remote, 1, 0});
  }
  Mapping map_again() const
  {
    return {device_.fd(), target_.handle, Field::base, huge_page, PROT_READ};
  }
  void expect_right()
  {
    scenario_.oracle().print_findings();
    EXPECT_EQ(scenario_.oracle().findings(), 0U) << "seed " << settings().seed;
  }

  Scenario scenario_;
  Device device_;
  Fd pidfd_;
  Target target_;
  Mapping view_;
  Random random_;
};

/// Lives until the rounds are over; something must have been copied in all of them, and
/// been seen in mappings.
void live(unsigned rounds, const std::function<void(Life &)> &end)
{
  uint64_t copied = 0;
  uint64_t loaded = 0;
  for (unsigned round = 0; round < rounds && !testing::Test::HasFailure(); round++) {
    Life life(round);
    end(life);
    copied += life.copied();
    loaded += life.loaded();
  }
  EXPECT_GT(copied, 10U * rounds);
  EXPECT_GT(loaded, 10U * rounds);
}

TEST(Death, Killed)
{
  live(8, [](Life &life) {
    life.scenario().start_traffic();
    life.scenario().start_owner();
    usleep(life.moment());
    life.scenario().owner().kill(SIGKILL);
    life.scenario().owner().wait_exited();
    life.expect_gone(fails(ESRCH));
  });
}

TEST(Death, Exits)
{
  live(8, [](Life &life) {
    life.scenario().start_traffic();
    life.scenario().start_owner(End::Exit, life.moment());
    life.scenario().owner().wait_exited();
    life.expect_gone(fails(ESRCH));
  });
}

TEST(Death, Execs)
{
  live(6, [](Life &life) {
    life.scenario().start_traffic();
    life.scenario().start_owner(End::Exec, life.moment());
    life.scenario().owner().wait_closed();
    life.expect_gone(fails(EFAULT)); // the new program has nothing there
  });
}

/// An OOM kill shows a stack, as a fault does: it stays off the console meanwhile.
class QuietConsole {
public:
  ~QuietConsole() { EXPECT_EQ(complaints(), 0) << "see dmesg"; }

private:
  static int complaints()
  {
    std::vector<char> log(size_t{1} << 20);
    const int length = klogctl(3, log.data(), static_cast<int>(log.size()));
    const std::string_view text(log.data(), static_cast<size_t>(std::max(length, 0)));
    int count = 0;
    for (const char *words :
         {"WARNING:", "BUG:", "possible circular", "possible recursive",
          "inconsistent lock", "blocked for more"})
      if (text.find(words) != std::string_view::npos)
        count++;
    return count;
  }

  Setting level_{"/proc/sys/kernel/printk", "4"};
};

TEST(Death, OutOfMemory)
{
  const QuietConsole quiet;
  const Cgroup cgroup;
  if (!cgroup || !cgroup.set("memory.max", "24M"))
    GTEST_SKIP() << "no memory cgroups here";
  cgroup.set("memory.swap.max", "0");
  const uint64_t reaped = vm_event("oom_kill");
  live(3, [&](Life &life) {
    ASSERT_TRUE(cgroup.add(life.scenario().owner().pid()));
    life.scenario().start_traffic();
    life.scenario().start_owner(End::Eat, life.moment());
    life.scenario().owner().wait_exited();
    life.expect_gone(fails(ESRCH));
  });
  EXPECT_GT(cgroup.number("memory.events", "oom_kill"), 0U);
  EXPECT_GT(vm_event("oom_kill"), reaped);
}

} // namespace
} // namespace cma_test
