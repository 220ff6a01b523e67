// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The fixture of the tests of mappings: an owner with memory, and a handle of
 * it. Of the fixture the test's process maps; so may further peers, which open
 * the owner by its pid.
 */
#pragma once

#include "mapping.hpp"
#include "peer.hpp"

#include <gtest/gtest.h>
#include <optional>

namespace cma_test {

class Map : public testing::Test {
protected:
  static inline const size_t size = 8 * page;

  /// Skips the test if this system has no such memory.
  void start(Kind kind = Kind::Anonymous, size_t length = size)
  {
    owner.emplace();
    base = static_cast<uintptr_t>(
        owner->call([=] { return static_cast<long>(make_memory(kind, length)); }));
    if (base == 0)
      GTEST_SKIP() << "this system has no " << name_of(kind) << " memory";
    handle = static_cast<int32_t>(device.open(CMA_PEER_PID, owner->pid()).result);
    ASSERT_GT(handle, 0);
  }
  /// The owner stores a byte, or, without one, tells its own.
  long owner_byte(size_t offset, int value = -1)
  {
    auto *at = reinterpret_cast<volatile uint8_t *>(base + offset);
    return owner->call([=]() -> long {
      if (value >= 0)
        *at = static_cast<uint8_t>(value);
      return *at;
    });
  }
  Mapping whole(int protection = PROT_READ | PROT_WRITE, size_t length = size)
  {
    return {device.fd(), handle, base, length, protection};
  }
  /// Of so many pages of the mapping: CMA_SHOW_PAGES and so on.
  Outcome show(const Mapping &mapping, unsigned how, size_t first, size_t count) const
  {
    return device.show(how, mapping.at(first * page), count * page);
  }

  uintptr_t base = 0;
  std::optional<Peer> owner;
  Device device;
  int32_t handle = 0;
};

/// In a peer: a mapping of the owner's, made by a device file of its own.
class OwnMapping {
public:
  OwnMapping(pid_t owner, uintptr_t from, size_t length,
             int protection = PROT_READ | PROT_WRITE)
      : handle_(static_cast<int32_t>(device_.open(CMA_PEER_PID, owner).result)),
        mapping_(device_.fd(), handle_, from, length, protection)
  {
    errno = mapping_.error();
    require(mapping_.error() == 0, "mmap of the device");
  }

  const Device &device() const { return device_; }
  int32_t handle() const { return handle_; }
  void populate(size_t length) const
  {
    require(device_.populate(mapping_.at(0), length) == gives(0), "CMA_IOC_POPULATE");
  }
  volatile uint8_t *at(size_t offset) const
  {
    return reinterpret_cast<volatile uint8_t *>(mapping_.at(offset));
  }

private:
  Device device_;
  int32_t handle_;
  Mapping mapping_;
};

} // namespace cma_test
