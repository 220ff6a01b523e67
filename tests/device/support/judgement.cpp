// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Verdicts by every route, and Yama's switch; see judgement.hpp.
#include "judgement.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr const char *yama_path = "/proc/sys/kernel/yama/ptrace_scope";

/// The scope, or 0 without Yama.
int yama_scope()
{
  int scope = 0;
  std::ifstream(yama_path) >> scope;
  return scope;
}

/// What open_beforehand() opened in this process.
std::optional<Device> early_device;
Fd early_pidfd;

} // namespace

void open_beforehand(pid_t target)
{
  early_device.emplace();
  early_pidfd.reset(pidfd_open(target));
}

Answers &Answers::fresh()
{
  static void *memory = mmap(nullptr, sizeof(Answers), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return *new (memory) Answers{};
}

void Answers::ask(const Device &device, Route route, bool write, const Target &target)
{
  const Words theirs = {1, 2, 3, 4, 5, 6, 7, 8};
  Words mine = {11, 12, 13, 14, 15, 16, 17, 18};
  const Words before = mine;
  words_ = theirs;
  const iovec local = {&mine, sizeof(mine)};
  const iovec remote = {&words_, sizeof(words_)};
  Answer &answer = answers_.at(count_++);
  answer.route = route;
  answer.write = write;
  answer.asked =
      (route != Route::Pidfd && route != Route::PidfdStrict) || target.pidfd >= 0;
  if (!answer.asked)
    return;
  answer.outcome = run(device, route, target, {write, &local, 1, &remote, 1, 0});
  const bool moved = answer.outcome.error == 0;
  answer.intact = words_ == (moved && write ? before : theirs) &&
                  mine == (moved && !write ? theirs : before);
}

void Answers::judge(pid_t pid)
{
  if (!early_device)
    early_device.emplace();
  if (!early_pidfd)
    early_pidfd.reset(pidfd_open(pid));
  const Device &device = *early_device;
  Target target = {pid, early_pidfd.get(), 0};
  for (const bool write : {false, true})
    for (const Route route :
         {Route::Syscall, Route::Pid, Route::Pid, Route::PidStrict, Route::Pid,
          Route::Pidfd, Route::PidfdStrict, Route::Syscall})
      ask(device, route, write, target);
  // A handle is judged when it is opened.
  const Outcome opened = device.open(CMA_PEER_PID, pid);
  for (const bool write : {false, true})
    for (const Route route : {Route::Handle, Route::HandleStrict}) {
      if (opened.error == 0) {
        target.handle = static_cast<int>(opened.result);
        ask(device, route, write, target);
      } else {
        answers_.at(count_++) = {route, write, true, true, opened};
      }
    }
}

void Answers::expect(Route route, const Outcome &expected) const
{
  ASSERT_GT(count_, 0);
  for (size_t i = 0; i < count_; i++) {
    const Answer &answer = answers_.at(i);
    if (answer.route != route || !answer.asked)
      continue;
    SCOPED_TRACE(testing::Message()
                 << (answer.write ? "write by " : "read by ") << name_of(route));
    EXPECT_EQ(answer.outcome, expected);
    EXPECT_TRUE(answer.intact) << "the bytes are not what this outcome makes of them";
  }
}

Yama::Yama(int scope) : scope_(scope), before_(yama_scope())
{
  if (scope_ != before_)
    std::ofstream(yama_path) << scope_;
}

Yama::~Yama()
{
  if (scope_ != before_)
    std::ofstream(yama_path) << before_;
}

bool Yama::in_force() const
{
  return yama_scope() == scope_;
}

} // namespace cma_test
