// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A mapping of a peer's memory, as mmap(2) of the device makes it, and loads
 * and stores there that tell of the signal they ended with.
 */
#pragma once

#include "device.hpp"
#include "memory.hpp"

#include <sys/mman.h>

namespace cma_test {

class Mapping {
public:
  /// What load() tells in place of a byte.
  static constexpr int bus = -1;
  static constexpr int segv = -2;

  /// Maps, at that place if one is given; error() tells how that went.
  Mapping(int fd, int32_t handle, uint64_t offset, size_t length, int protection,
          int flags = MAP_SHARED, uintptr_t place = 0);
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  ~Mapping();

  /// 0, or the errno of mmap(2).
  int error() const { return error_; }
  uintptr_t at(size_t offset) const { return base_ + offset; }

  /// The byte there, or the signal that its touch ended with.
  int load(size_t offset) const;
  /// Whether the byte could be stored.
  bool store(size_t offset, uint8_t value) const;

private:
  uintptr_t base_ = 0;
  size_t length_;
  int error_ = 0;
};

} // namespace cma_test
