// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See touch.hpp.
#include "touch.hpp"

#include <csetjmp>
#include <cstring>

namespace cma_test {
namespace {

thread_local sigjmp_buf out;

void leave(int signal)
{
  siglongjmp(out, signal);
}

} // namespace

int signal_of(const std::function<void()> &access)
{
  struct sigaction action = {};
  struct sigaction segv;
  struct sigaction bus;
  action.sa_handler = leave;
  sigaction(SIGSEGV, &action, &segv);
  sigaction(SIGBUS, &action, &bus);
  const int signal = sigsetjmp(out, 1);
  if (signal == 0)
    access();
  sigaction(SIGSEGV, &segv, nullptr);
  sigaction(SIGBUS, &bus, nullptr);
  return signal;
}

char *make_memory(size_t pages)
{
  void *memory = mmap(nullptr, pages * page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char *>(memory);
}

void fill(char *memory, size_t pages, int who)
{
  for (size_t i = 0; i < pages; i++)
    std::memset(memory + i * page, static_cast<int>(i * 7 + 1) + who, page);
}

size_t filled(const char *memory, size_t pages, int who)
{
  for (size_t i = 0; i < pages * page; i++)
    if (memory[i] != static_cast<char>(static_cast<int>(i / page * 7 + 1) + who))
      return i / page;
  return pages;
}

} // namespace cma_test
