// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "mapping.hpp"
#include "guard.hpp"

#include <csignal>

namespace cma_test {

Mapping::Mapping(int fd, int32_t handle, uint64_t offset, size_t length, int protection,
                 int flags, uintptr_t place)
    : length_(length)
{
  void *at = mmap(reinterpret_cast<void *>(place), length, protection, flags, fd,
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
  const int signal = guarded([&] {
                       value = *reinterpret_cast<volatile uint8_t *>(base_ + offset);
                     }).signal;
  return signal == SIGBUS ? bus : signal == SIGSEGV ? segv : value;
}

bool Mapping::store(size_t offset, uint8_t value) const
{
  return guarded([&] {
           *reinterpret_cast<volatile uint8_t *>(base_ + offset) = value;
         }).signal == 0;
}

} // namespace cma_test
