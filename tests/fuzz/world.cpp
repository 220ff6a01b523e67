// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "world.hpp"
#include "actor.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/kcov.h>
#include <new>
#include <poll.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_fuzz {
namespace {

constexpr size_t trace_words = 1U << 13; // more than a step of ours takes, but for loops
constexpr int patience =
    10'000; // milliseconds for a step, on a machine that is slow and busy

/// What the calling process reaches in the module, from now on.
class Trace {
public:
  Trace()
  {
    fd_ = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
    if (fd_ < 0 || ioctl(fd_, KCOV_INIT_TRACE, trace_words) != 0)
      return;
    void *memory = mmap(nullptr, trace_words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                        MAP_SHARED, fd_, 0);
    if (memory != MAP_FAILED && ioctl(fd_, KCOV_ENABLE, KCOV_TRACE_PC) == 0)
      words_ = static_cast<uint64_t *>(memory);
  }
  bool works() const { return words_ != nullptr; }

  /// Tell all what was reached since the last time.
  void tell()
  {
    const uint64_t count = std::min<uint64_t>(
        __atomic_exchange_n(words_, 0, __ATOMIC_RELAXED), trace_words - 1);
    for (uint64_t i = 1; i <= count; i++)
      shared().reached.at(words_[i] % places).store(1, std::memory_order_relaxed);
  }

private:
  int fd_ = -1;
  uint64_t *words_ = nullptr;
};

/// One of the three, as the one that runs inputs sees it.
struct Process {
  int socket = -1;
  pid_t pid = -1;
  bool busy = false;
};

[[noreturn]] void serve(unsigned number, int socket)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Trace trace;
  Actor actor(number);
  char done = 0;
  for (Step step; write(socket, &done, 1) == 1 &&
                  read(socket, &step, sizeof(step)) == sizeof(step);) {
    actor.take(step);
    trace.tell();
  }
  _exit(0);
}

void start(Process &process, unsigned number)
{
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::runtime_error("no socket");
  process.pid = fork();
  if (process.pid == 0) {
    close(ends[0]);
    serve(number, ends[1]);
  }
  close(ends[1]);
  process.socket = ends[0];
  process.busy = true;
  shared().pids.at(number) = process.pid;
}

/// Waits until it is through with its step; that it is gone is as good.
void settle(Process &process)
{
  pollfd wait = {process.socket, POLLIN, 0};
  char done = 0;
  if (process.busy && poll(&wait, 1, patience) == 0)
    throw std::runtime_error("a step does not come to its end");
  if (process.busy && read(process.socket, &done, 1) != 1)
    wait.revents = 0;
  process.busy = false;
}

} // namespace

Shared &shared()
{
  static auto *memory = new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared{};
  return *memory;
}

bool can_trace()
{
  const pid_t pid = fork();
  if (pid == 0)
    _exit(Trace().works() ? 0 : 1);
  int status = 0;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

Reached run(const Input &input)
{
  Shared &all = shared();
  std::array<Process, actors> processes;
  for (auto &each : all.windows)
    each = 0;
  for (auto &each : all.reached)
    each.store(0, std::memory_order_relaxed);
  all.wrong = false;
  for (auto &each : all.gone)
    each = false;
  for (unsigned i = 0; i < actors; i++)
    start(processes.at(i), i);
  for (Process &each : processes)
    settle(each);

  for (const Step &step : input) {
    Process &one = processes.at(step.actor);
    settle(one);
    bool alone = !step.ahead;
    for (const Process &each : processes)
      alone = alone && !each.busy;
    all.alone = alone;
    if (send(one.socket, &step, sizeof(step), MSG_NOSIGNAL) == sizeof(step)) {
      one.busy = true;
      if (!step.ahead)
        settle(one);
    }
  }
  for (Process &each : processes)
    settle(each);
  for (Process &each : processes) {
    kill(each.pid, SIGKILL);
    close(each.socket);
  }
  for (Process &each : processes)
    waitpid(each.pid, nullptr, 0);

  Reached reached;
  for (size_t i = 0; i < places; i++)
    reached[i] = all.reached.at(i).load(std::memory_order_relaxed) != 0;
  return reached;
}

int after_exec()
{
  return 0;
}

} // namespace cma_fuzz
