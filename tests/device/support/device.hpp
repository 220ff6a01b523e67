// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The device as the tests see it: one open file of /dev/cma and its raw
 * ioctls. Nothing is checked or repaired on the way, so that a test can send
 * whatever it likes. An Fd owns its descriptor; a Device owns its Fd.
 */
#pragma once

#include "uapi/cma.h"

#include <cerrno>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>

namespace cma_test {

/// A descriptor that is closed with its owner; -1 is none.
class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd &operator=(Fd &&other) noexcept
  {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset(int fd = -1);

private:
  int fd_ = -1;
};

/// What a call gave: its result, or -1 with errno.
struct Outcome {
  int64_t result = 0;
  int error = 0;

  /// From a libc call that has just returned.
  static Outcome of(long value)
  {
    return value < 0 ? Outcome{-1, errno} : Outcome{value, 0};
  }
  bool operator==(const Outcome &) const = default;
};

inline Outcome gives(int64_t result)
{
  return {result, 0};
}
inline Outcome fails(int error)
{
  return {-1, error};
}
std::ostream &operator<<(std::ostream &out, const Outcome &outcome);

/// The result, or -errno, for what is to be one number.
inline long as_returned(const Outcome &outcome)
{
  return outcome.error != 0 ? -outcome.error : outcome.result;
}

/// A structure of the ABI, zero but for its size.
template<class Struct>
Struct sized()
{
  Struct value{};
  value.size = sizeof(value);
  return value;
}

/// An open file of /dev/cma.
class Device {
public:
  /// Opens the device; throws if it cannot be opened.
  Device();
  /// Takes over an open file that came from elsewhere.
  explicit Device(Fd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  void shut() { fd_.reset(); }

  Outcome call(unsigned long command, void *argument) const;
  cma_ioc_info info() const;
  /// The result is the number of bytes that moved.
  Outcome copy(cma_ioc_copy &request) const;
  /// The result is the handle.
  Outcome open(uint32_t peer_type, int32_t peer) const;
  Outcome close(int32_t handle) const;
  Outcome populate(uint64_t address, uint64_t length) const;
  /// how: CMA_SHOW_* or CMA_HIDE_PAGES
  Outcome show(uint32_t how, uint64_t address, uint64_t length) const;

private:
  Fd fd_;
};

/// What the module counts under that name, in /sys/class/misc/cma; -1 without it.
int64_t module_counter(const std::string &name);

/// Until no verdict of before is good any more; the jiffies may be 10 ms long.
void outlast_verdicts();

} // namespace cma_test
