// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "guard.hpp"

#include <csetjmp>
#include <csignal>

namespace cma_test {
namespace {

thread_local sigjmp_buf *back = nullptr; ///< none: no access is under way
thread_local Caught caught;

void jump_back(int signal, siginfo_t *info, void *)
{
  if (back == nullptr) { // what comes again when the handler returns
    ::signal(signal, SIG_DFL);
    return;
  }
  caught = {signal, reinterpret_cast<uintptr_t>(info->si_addr)};
  siglongjmp(*back, 1);
}

/// The signals stay unblocked, so that a jump need not restore a mask.
bool listen()
{
  struct sigaction action = {};
  action.sa_sigaction = jump_back;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return sigaction(SIGBUS, &action, nullptr) == 0 &&
         sigaction(SIGSEGV, &action, nullptr) == 0;
}

} // namespace

Caught run_guarded(void (*access)(const void *closure), const void *closure)
{
  [[maybe_unused]] static const bool listening = listen();
  sigjmp_buf here;
  caught = {};
  if (sigsetjmp(here, 0) == 0) {
    back = &here;
    access(closure);
  }
  back = nullptr;
  return caught;
}

} // namespace cma_test
