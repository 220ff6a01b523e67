// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See signals.hpp.
#include "signals.hpp"

#include <csignal>
#include <cstdio>
#include <initializer_list>

#include <unistd.h>

namespace {

volatile std::sig_atomic_t noted;

void note(int signal)
{
  noted = signal;
}

} // namespace

void note_signals()
{
  struct sigaction action = {};
  action.sa_handler = note;
  /* Once: who asks again, while something blocks, is obeyed at once. No
   * SA_RESTART: a read(2) of a pipe that nobody fills returns. */
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int noted_signal()
{
  return noted;
}

void die_of(int signal)
{
  std::fflush(nullptr);
  std::signal(signal, SIG_DFL);
  raise(signal);
  _exit(128 + signal);
}
