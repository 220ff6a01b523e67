// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_ring.hpp.
#include "bench_ring.hpp"

#include <algorithm>
#include <cstring>

namespace bench {

void Sender::step()
{
  if (left == 0) {
    if (ring->orders.load(std::memory_order_acquire) == begun)
      return;
    begun++;
    next = ring->from;
    left = ring->length;
  }
  const uint64_t slot = ring->filled.load(std::memory_order_relaxed);
  if (ring->emptied.load(std::memory_order_acquire) + Ring::slots == slot)
    return;
  const size_t some = std::min(left, Ring::slot_bytes);
  std::memcpy(ring->data[slot % Ring::slots], next, some);
  ring->filled.store(slot + 1, std::memory_order_release);
  next += some;
  left -= some;
}

ssize_t receive(Ring &ring, char *to, const char *from, size_t length)
{
  ring.from = from;
  ring.length = length;
  uint64_t slot = ring.emptied.load(std::memory_order_relaxed);
  ring.orders.fetch_add(1, std::memory_order_release);
  for (size_t done = 0; done < length; done += Ring::slot_bytes, slot++) {
    await([&] { return ring.filled.load(std::memory_order_acquire) > slot; });
    std::memcpy(to + done, ring.data[slot % Ring::slots],
                std::min(Ring::slot_bytes, length - done));
    ring.emptied.store(slot + 1, std::memory_order_release);
  }
  return static_cast<ssize_t>(length);
}

} // namespace bench
