// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The meter. Between the two readings of the counter nothing runs but the
// call; what the readings and the call's wrapping cost is taken off.

#include "measure.hpp"

#include "instructions.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bench {
namespace {

constexpr int kRepeats = 15;

/// The samples' contents begin at different places of the noise.
constexpr std::size_t kShifts = 4096;

std::uint64_t count_raw(const Call &call, ssize_t &result)
{
  const auto before = instructions();
  result = call();
  return instructions() - before;
}

std::uint64_t count_nothing()
{
  const Call nothing = [] { return 0; };
  ssize_t result = 0;
  return least_of(kRepeats, [&] { return count_raw(nothing, result); });
}

std::size_t size_of(const std::vector<iovec> &segments)
{
  std::size_t bytes = 0;
  for (const auto &segment : segments)
    bytes += segment.iov_len;
  return bytes;
}

} // namespace

void prove_model()
{
  constexpr std::uint64_t kLoops = 10000;
  constexpr std::uint64_t kExpected = 2 * kLoops;
  const Call loop = [] {
    count_down(kLoops);
    return 0;
  };
  ssize_t result = 0;
  const auto counted =
      least_of(kRepeats, [&] { return count_raw(loop, result); }) - count_nothing();
  if (counted < kExpected || counted > kExpected + 10)
    throw std::runtime_error("not the instruction-count model: a loop of " +
                             std::to_string(kExpected) + " instructions counted as " +
                             std::to_string(counted));
}

void claim_processor()
{
  const sched_param lowest{.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &lowest) != 0)
    throw std::system_error(errno, std::generic_category(), "sched_setscheduler");
}

Meter::Meter() : noise_(kBufferBytes + kShifts), overhead_(count_nothing())
{
  std::ranges::generate(noise_, [this] { return static_cast<std::byte>(random_()); });
}

std::uint64_t Meter::count(const Call &call, ssize_t &result) const
{
  return count_raw(call, result) - overhead_;
}

std::uint64_t Meter::sample(const Call &call, const Transfer &transfer)
{
  const auto bytes = size_of(transfer.local);
  const std::span contents(&noise_[random_() % kShifts], bytes);
  const Inspector own(getpid());
  const Inspector other(transfer.pid);
  const auto &source = transfer.write ? own : other;
  const auto &target = transfer.write ? other : own;
  const auto &from = transfer.write ? transfer.local : transfer.remote;
  const auto &to = transfer.write ? transfer.remote : transfer.local;

  source.put(from, contents);
  target.put(to, std::vector<std::byte>(bytes));
  ssize_t result = 0;
  errno = 0;
  const auto counted = count(call, result);
  if (result != static_cast<ssize_t>(bytes))
    throw std::runtime_error("moved " + std::to_string(result) + " of " +
                             std::to_string(bytes) + " bytes: " + std::strerror(errno));
  if (std::memcmp(target.get(to).data(), contents.data(), bytes) != 0)
    throw std::runtime_error("the bytes moved are not the source's");
  return counted;
}

} // namespace bench
