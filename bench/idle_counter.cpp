// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Work that is put off waits for grace periods and timers. So after a deed naps
// follow, until one passes in which hardly more happened than the timer's
// interrupts; those are taken off.

#include "idle_counter.hpp"

#include "instructions.hpp"
#include "measure.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bench {
namespace {

/// Longer than what waits for grace periods and the kernel's flushes takes turns.
constexpr timespec kNap{.tv_sec = 0, .tv_nsec = 100'000'000};

/// Quiet naps in a row, of so many at most, after which nothing more is to come.
constexpr int kQuietNaps = 2;
constexpr int kNaps = 300;

/// No nap is quiet that holds more: some kernels test their ciphers after boot.
constexpr std::uint64_t kRest = 2'000'000;

/// How much more than its share of interrupts a quiet nap may hold: housekeeping
/// of the kernel's own, which is left out.
constexpr std::uint64_t kSlack = 20'000;

[[noreturn]] void stand_by(volatile std::uint64_t *rounds)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const sched_param none{.sched_priority = 0};
  if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
    _exit(1);
  count_up(*rounds);
  __builtin_unreachable();
}

/// Instructions; to fork and to end is little beside them.
constexpr std::uint64_t kKnown = 200'000'000;

/// Does known work, but later.
[[noreturn]] void put_off()
{
  constexpr timespec later{.tv_sec = 0, .tv_nsec = kNap.tv_nsec / 2};
  nanosleep(&later, nullptr);
  count_down(kKnown / 2);
  _exit(0);
}

pid_t forked(const std::function<void()> &child)
{
  const auto pid = fork();
  if (pid < 0)
    throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0)
    child();
  return pid;
}

} // namespace

struct IdleCounter::Clock {
  std::uint64_t stamp;
  std::uint64_t rounds;

  std::uint64_t work_since(const Clock &before) const
  {
    return stamp - before.stamp - kRound * (rounds - before.rounds);
  }
};

IdleCounter::Clock IdleCounter::now() const
{
  return {.stamp = instructions(), .rounds = *rounds_};
}

std::uint64_t IdleCounter::nap() const
{
  const auto before = now();
  nanosleep(&kNap, nullptr);
  return now().work_since(before);
}

IdleCounter::IdleCounter()
{
  void *memory = mmap(nullptr, sizeof *rounds_, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap");
  rounds_ = static_cast<std::uint64_t *>(memory);
  pid_ = forked([this] { stand_by(rounds_); });
  rest(kRest);
  quiet_ = least_of(kQuietNaps, [this] { return nap(); });
  prove();
}

std::uint64_t IdleCounter::rest(std::uint64_t most) const
{
  std::uint64_t total = 0;
  int quiet = 0;
  for (int naps = 0; quiet < kQuietNaps; ++naps) {
    if (naps == kNaps)
      throw std::runtime_error("the machine does not come to rest");
    const auto work = nap();
    if (work <= most) {
      ++quiet;
    } else {
      quiet = 0;
      total += work - quiet_;
    }
  }
  return total;
}

void IdleCounter::prove() const
{
  pid_t pid = 0;
  const auto counted = work([&] { pid = forked(put_off); });
  waitpid(pid, nullptr, 0);
  if (counted < kKnown || counted > kKnown + kKnown / 20)
    throw std::runtime_error("work of " + std::to_string(kKnown) +
                             " instructions, put off, counted as " +
                             std::to_string(counted));
}

IdleCounter::~IdleCounter()
{
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  munmap(const_cast<std::uint64_t *>(rounds_), sizeof *rounds_);
}

std::uint64_t IdleCounter::work(const std::function<void()> &deed) const
{
  const auto before = now();
  deed();
  const auto total = now().work_since(before);
  return total + rest(quiet_ + kSlack);
}

} // namespace bench
