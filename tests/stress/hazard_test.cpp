// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What went wrong in engines of this kind before, each made likely: faults on
 * the caller's own memory, memory without a kernel mapping, holes amid what
 * is cached, protection taken away.
 */
#include "scenario.hpp"
#include "system.hpp"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

using std::chrono::steady_clock;

constexpr size_t size = 2 * huge_page;

/// The far end of a copy, and the near one: one range each.
struct Path {
  const Device *device;
  Target target;
};

Outcome move_bytes(const Path &path, Route route, bool write, uintptr_t local,
                   uintptr_t remote, size_t bytes)
{
  const iovec mine = segment(local, bytes);
  const iovec theirs = segment(remote, bytes);
  return run(*path.device, route, path.target, {write, &mine, 1, &theirs, 1, 0});
}

long enough_copies()
{
  return enough(20, 8);
}

std::chrono::duration<double> span()
{
  return std::chrono::duration<double>(2 * settings().scale);
}

/// Copies from address of a process to the same address here, whose pages come and go.
long copy_to_own_loss(pid_t pid, uintptr_t address, bool unmapped)
{
  const Device device;
  const Fd pidfd(pidfd_open(pid));
  const Path path = {&device, names_of(device, pid, pidfd)};
  std::atomic<bool> over = false;
  std::thread loss([&] {
    Random random(settings().seed);
    while (!over) {
      const uintptr_t at = address + random.below(size / page) * page;
      const size_t bytes = std::min(random.between(1, 64) * page, address + size - at);
      if (unmapped)
        renew(at, bytes);
      else
        madvise(reinterpret_cast<void *>(at), bytes, MADV_DONTNEED);
      usleep(200);
    }
  });
  long copies = 0;
  Random random(settings().seed + 1);
  const auto start = steady_clock::now();
  for (; copies < enough_copies() || steady_clock::now() < start + span(); copies++) {
    const size_t bytes = random.between(1, size / 2);
    const Route route = random.percent(50) ? Route::Handle : Route::Pid;
    const uintptr_t from = address + random.below(size - bytes + 1);
    const uintptr_t to = address + random.below(size - bytes + 1);
    const Outcome outcome = move_bytes(path, route, random.percent(30), to, from, bytes);
    require(outcome.error == 0 || outcome.error == EFAULT, "a copy");
  }
  over = true;
  loss.join();
  return copies;
}

/// Hazard 1: a fault on the local side while the translation is locked.
TEST(Hazard, ReadingOneself)
{
  const uintptr_t address = make_memory(Kind::Anonymous, size);
  for (const bool unmapped : {false, true}) {
    Peer peer;
    EXPECT_GT(peer.call([=] { return copy_to_own_loss(getpid(), address, unmapped); }),
              enough_copies() - 1);
  }
  unmap(address, size);
}

TEST(Hazard, ReadingEachOther)
{
  const uintptr_t address = make_memory(Kind::Anonymous, size);
  Peer one;
  Peer two;
  one.post([=, pid = two.pid()] { return copy_to_own_loss(pid, address, true); });
  two.post([=, pid = one.pid()] { return copy_to_own_loss(pid, address, true); });
  EXPECT_GT(one.answer(), enough_copies() - 1);
  EXPECT_GT(two.answer(), enough_copies() - 1);
  unmap(address, size);
}

/// A peer with memory that has been copied often enough to be in the cache.
class Warm : public testing::Test {
protected:
  Warm() { warm(); }
  ~Warm() override { unmap(address_, size); }

  void warm()
  {
    for (int i = 0; i < 3; i++)
      for (const bool write : {true, false})
        move_bytes(path_, Route::Handle, write, buffer_.address(), address_, size);
  }

  /// The same result and bytes by the system call and by the device.
  void expect_same(bool write, size_t offset, size_t bytes)
  {
    const auto attempt = [&](Route route, uint8_t filling) {
      auto *local = reinterpret_cast<uint8_t *>(buffer_.words());
      std::fill_n(local, bytes, write ? filling : 0);
      const Outcome outcome =
          move_bytes(path_, route, write, buffer_.address(), address_ + offset, bytes);
      return std::pair(outcome, std::vector<uint8_t>(local, local + bytes));
    };
    const auto reference = attempt(Route::Syscall, 1);
    for (const Route route : {Route::Handle, Route::Pid}) {
      const auto seen = attempt(route, 2);
      ASSERT_EQ(seen.first, reference.first)
          << name_of(route) << (write ? " writing " : " reading ") << bytes
          << " bytes at " << offset;
      if (!write) {
        ASSERT_EQ(seen.second, reference.second);
        continue;
      }
      // Exactly what was counted is there, by the other road.
      const auto moved = static_cast<size_t>(std::max<int64_t>(seen.first.result, 0));
      move_bytes(path_, Route::Syscall, false, buffer_.address(), address_ + offset,
                 moved);
      const auto *back = reinterpret_cast<const uint8_t *>(buffer_.words());
      ASSERT_EQ(std::count(back, back + moved, 2), static_cast<ptrdiff_t>(moved));
    }
  }

  const uintptr_t address_ = make_memory(Kind::Anonymous, size);
  Peer peer_{
      [this] { std::fill_n(reinterpret_cast<uint64_t *>(address_), size / 8, 7); }};
  Device device_;
  Fd pidfd_{pidfd_open(peer_.pid())};
  Path path_{&device_, names_of(device_, peer_.pid(), pidfd_)};
  Buffer buffer_{size};
  Random random_{settings().seed};
};

/// Hazard 4, and protection: the counts of process_vm_*, whatever is cached.
TEST_F(Warm, HolesAndProtection)
{
  for (int round = 0; round < 150 && !HasFatalFailure(); round++) {
    const size_t first = random_.below(size / page);
    const size_t count = std::min(random_.between(1, 40), size / page - first);
    const uintptr_t at = address_ + first * page;
    const size_t kind = random_.below(5);
    peer_.call([=]() -> long {
      if (kind == 0)
        unmap(at, count * page);
      else if (kind <= 2) // as far as there are no holes
        mprotect(reinterpret_cast<void *>(at), count * page,
                 kind == 1 ? PROT_NONE : PROT_READ);
      else
        renew(at, count * page);
      return 0;
    });
    const size_t offset = random_.below(size - 1);
    const size_t bytes = random_.between(1, std::min<size_t>(size - offset, 400 * page));
    expect_same(random_.percent(50), offset, bytes);
    if (round % 25 == 24) {
      peer_.call([address = address_] {
        renew(address, size);
        return 0L;
      });
      warm();
    }
  }
}

TEST_F(Warm, ReadOnlyMemoryIsNotWritten)
{
  peer_.call([address = address_]() -> long {
    protect(address, size, PROT_READ);
    return 0;
  });
  for (const size_t bytes : {size_t{8}, page, size}) {
    EXPECT_EQ(move_bytes(path_, Route::Syscall, true, buffer_.address(), address_, bytes),
              fails(EFAULT));
    EXPECT_EQ(move_bytes(path_, Route::Handle, true, buffer_.address(), address_, bytes),
              fails(EFAULT));
  }
}

/// Hazard 3: memory that the kernel itself cannot see.
TEST_F(Warm, SecretMemory)
{
  const uintptr_t middle = address_ + size / 2 - 32 * page;
  const long made = peer_.call([=]() -> long {
    const uintptr_t secret = make_memory(Kind::Secret, 64 * page);
    if (secret == 0)
      return 0;
    *reinterpret_cast<volatile uint64_t *>(secret) = 1;
    return mremap(reinterpret_cast<void *>(secret), 64 * page, 64 * page,
                  MREMAP_MAYMOVE | MREMAP_FIXED, middle) != MAP_FAILED;
  });
  if (made == 0)
    GTEST_SKIP()
        << "no memfd_secret here (5.14 and later; secretmem.enable=1 before 6.5)";
  for (int round = 0; round < 20 && !HasFatalFailure(); round++)
    for (const bool write : {false, true}) {
      expect_same(write, 0, size);
      expect_same(write, size / 2, 16 * page);
      expect_same(write, size / 2 - 40 * page, 30 * page);
      expect_same(write, size / 2 + 16 * page, 64 * page);
    }
}

} // namespace
} // namespace cma_test
