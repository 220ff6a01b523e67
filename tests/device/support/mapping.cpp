// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "mapping.hpp"

#include <csetjmp>
#include <csignal>

namespace cma_test {
namespace {

thread_local sigjmp_buf back;

void jump_back(int signal)
{
  siglongjmp(back, signal);
}

/// Runs an access under handlers for what it may end with; 0, or the signal.
template<class Access>
int guarded(const Access &access)
{
  struct sigaction action = {};
  struct sigaction bus;
  struct sigaction segv;
  action.sa_handler = jump_back;
  sigaction(SIGBUS, &action, &bus);
  sigaction(SIGSEGV, &action, &segv);
  const int signal = sigsetjmp(back, 1);
  if (signal == 0)
    access();
  sigaction(SIGBUS, &bus, nullptr);
  sigaction(SIGSEGV, &segv, nullptr);
  return signal;
}

} // namespace

Mapping::Mapping(int fd, int32_t handle, uint64_t offset, size_t length, int protection,
                 int flags)
    : length_(length)
{
  void *at = mmap(nullptr, length, protection, flags, fd,
                  static_cast<off_t>(CMA_MAP_OFFSET(handle, offset)));
  if (at == MAP_FAILED)
    error_ = errno;
  else
    base_ = reinterpret_cast<uintptr_t>(at);
}

Mapping::~Mapping()
{
  if (base_ != 0)
    munmap(reinterpret_cast<void *>(base_), length_);
}

int Mapping::load(size_t offset) const
{
  volatile int value = 0;
  const int signal =
      guarded([&] { value = *reinterpret_cast<volatile uint8_t *>(base_ + offset); });
  return signal == SIGBUS ? bus : signal == SIGSEGV ? segv : value;
}

bool Mapping::store(size_t offset, uint8_t value) const
{
  return guarded(
             [&] { *reinterpret_cast<volatile uint8_t *>(base_ + offset) = value; }) == 0;
}

} // namespace cma_test
