// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "word.hpp"

namespace cma_test {

Outcome read_word(const Device &device, Route route, const Target &target, uint32_t flags)
{
  uint64_t seen = 0;
  const iovec local = {&seen, sizeof(seen)};
  const iovec remote = segment(reinterpret_cast<uintptr_t>(&word), sizeof(word));
  const Outcome outcome =
      run(device, route, target, {false, &local, 1, &remote, 1, flags});
  return outcome.error != 0 ? outcome : gives(static_cast<int64_t>(seen));
}

Outcome read_word(const Device &device, pid_t pid, uint32_t flags)
{
  return read_word(device, Route::Pid, {pid, -1, 0}, flags);
}

} // namespace cma_test
