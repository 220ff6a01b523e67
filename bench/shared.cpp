// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The ring: each counter has one writer. The caller orders bytes, the sender
// fills slots in turn while there are empty ones, the caller empties them.

#include "shared.hpp"

#include "processor.hpp"

#include <emmintrin.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <new>
#include <system_error>

namespace bench {
namespace {

constexpr std::size_t kSlots = 8;
constexpr std::size_t kSlotBytes = 32UL << 10; // Open MPI's, for shared memory

using Counter = std::atomic<std::uint64_t>;

/// Polls; should the other side want the processor that this one is on, it gets it.
template<typename Condition>
void await(Condition condition)
{
  constexpr int kSpins = 2000;
  while (!condition()) {
    for (int i = 0; i < kSpins && !condition(); ++i)
      _mm_pause();
    if (!condition())
      sched_yield();
  }
}

} // namespace

struct Sender::Ring {
  alignas(64) Counter ordered{0}; ///< bytes, since ever
  alignas(64) Counter filled{0};  ///< slots, since ever
  alignas(64) Counter emptied{0};
  alignas(kPage) std::array<std::array<std::byte, kSlotBytes>, kSlots> slots;
};

Sender::Sender()
{
  void *memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap");
  ring_ = new (memory) Ring;
  const OnProcessor another(1); // the caller's is 0
  peer_ = std::make_unique<Peer>(Belongings{.huge = false}, [this](std::byte *own) {
    raise(SIGSTOP);
    serve(*ring_, own);
  });
}

Sender::~Sender()
{
  peer_.reset();
  munmap(ring_, sizeof(Ring));
}

void Sender::serve(Ring &ring, const std::byte *memory)
{
  std::uint64_t sent = 0;
  std::uint64_t slot = 0;
  for (;;) {
    await([&] { return ring.ordered.load(std::memory_order_acquire) != sent; });
    const auto bytes = ring.ordered.load(std::memory_order_relaxed) - sent;
    for (std::size_t offset = 0; offset < bytes; offset += kSlotBytes, ++slot) {
      await([&] { return ring.emptied.load(std::memory_order_acquire) + kSlots > slot; });
      std::memcpy(ring.slots[slot % kSlots].data(), memory + offset,
                  std::min(kSlotBytes, bytes - offset));
      ring.filled.store(slot + 1, std::memory_order_release);
    }
    sent += bytes;
  }
}

ssize_t Sender::receive(const iovec &target)
{
  auto *to = static_cast<std::byte *>(target.iov_base);
  auto slot = ring_->emptied.load(std::memory_order_relaxed);
  ring_->ordered.fetch_add(target.iov_len, std::memory_order_release);
  for (std::size_t offset = 0; offset < target.iov_len; offset += kSlotBytes, ++slot) {
    await([&] { return ring_->filled.load(std::memory_order_acquire) > slot; });
    std::memcpy(to + offset, ring_->slots[slot % kSlots].data(),
                std::min(kSlotBytes, target.iov_len - offset));
    ring_->emptied.store(slot + 1, std::memory_order_release);
  }
  return static_cast<ssize_t>(target.iov_len);
}

std::shared_ptr<void> Sender::wake() const
{
  const auto pid = place().pid;
  kill(pid, SIGCONT);
  return {nullptr, [pid](void *) {
            kill(pid, SIGSTOP);
            waitpid(pid, nullptr, WUNTRACED);
          }};
}

Mechanism Sender::double_copy()
{
  return {.name = "double_copy", .prepare = [this](const Transfers &transfers, Contact) {
            std::vector<Call> calls;
            std::ranges::transform(transfers, std::back_inserter(calls),
                                   [this, awake = wake()](const auto &transfer) -> Call {
                                     return [this, awake, &target = transfer.local[0]] {
                                       return receive(target);
                                     };
                                   });
            return calls;
          }};
}

} // namespace bench
