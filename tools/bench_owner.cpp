// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The owner of the memory. It sleeps, as one does that is busy elsewhere, but while it is
 * to take part in a double copy.
 */
#include "bench_process.hpp"

#include <fmt/core.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cma.hpp>

namespace bench {

Problem::Problem(const std::exception &failure)
{
  fmt::format_to_n(text.begin(), text.size() - 1, "{}", failure.what());
}

namespace {

[[noreturn]] void serve(const Setup &setup, Shared &shared)
{
  std::vector<Sender> senders;
  for (size_t i = 0; i < setup.readers; i++)
    senders.emplace_back(shared.rings[i]);
  for (;;) {
    syscall(SYS_futex, &shared.serving, FUTEX_WAIT, 0, nullptr, nullptr, 0);
    await([&] {
      for (Sender &sender : senders)
        sender.step();
      return shared.serving.load(std::memory_order_relaxed) == 0;
    });
  }
}

} // namespace

void own(const Setup &setup, Shared &shared, int report)
{
  Owned owned = {.pid = getpid(), .memory = nullptr, .window = 0, .problem = {}};
  cma::Context context;
  cma::Window window;
  try {
    /* Where Yama lets parents alone attach; a window needs no such word. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (!setup.processors.empty())
      pin(setup.processors[0]);
    owned.memory = make_memory(setup.span, setup.pages, setup.home);
    if (context.backend() == CMA_BACKEND_DEVICE) {
      window = context.expose({owned.memory, setup.span}, CMA_ACCESS_READ);
      owned.window = window.name();
    }
  } catch (const std::exception &failure) {
    owned.problem = Problem(failure);
  }
  if (write(report, &owned, sizeof(owned)) != sizeof(owned) || owned.problem)
    _exit(1);
  serve(setup, shared);
}

} // namespace bench
