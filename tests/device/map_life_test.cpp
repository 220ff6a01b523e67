// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Mappings in company: two processes that map each other, mappings of mappings,
 * many threads, while both sides change their memory.
 */
#include "support/mapping.hpp"
#include "support/peer.hpp"

#include <algorithm>
#include <atomic>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

const size_t size = 16 * page;

/// Makes and drops mappings, so that the mmap_lock is taken for writing.
void churn()
{
  void *at =
      mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *static_cast<volatile char *>(at) = 1;
  munmap(at, 4 * page);
}

/// Touches all pages of a mapping, drops one's own, and maps others, many times.
long live(const Mapping &mapping, uintptr_t own, int rounds)
{
  long touched = 0;
  for (int round = 0; round < rounds; round++) {
    for (size_t i = 0; i < size; i += page)
      touched += mapping.store(i, static_cast<uint8_t>(round)) && mapping.load(i) >= 0;
    madvise(reinterpret_cast<void *>(own), size, MADV_DONTNEED);
    churn();
  }
  return touched;
}

long open_peer(const Device &device, pid_t pid)
{
  return device.open(CMA_PEER_PID, pid).result;
}

TEST(MapLife, TwoThatMapEachOtherGoOn)
{
  constexpr int rounds = 300;
  const uintptr_t memory = make_memory(Kind::Anonymous, size); // at one place in both
  const pid_t self = getpid();
  Peer peer;
  const Device device;
  const Mapping theirs(device.fd(), static_cast<int32_t>(open_peer(device, peer.pid())),
                       memory, size, PROT_READ | PROT_WRITE);
  ASSERT_EQ(theirs.error(), 0);
  peer.post([=]() -> long {
    const Device own;
    const Mapping ours(own.fd(), static_cast<int32_t>(open_peer(own, self)), memory, size,
                       PROT_READ | PROT_WRITE);
    return ours.error() == 0 ? live(ours, memory, rounds) : -ours.error();
  });
  EXPECT_EQ(live(theirs, memory, rounds), rounds * static_cast<long>(size / page));
  EXPECT_EQ(peer.answer(), rounds * static_cast<long>(size / page));
}

TEST(MapLife, MappingsOfEachOthersMappingsShowNothingAndEnd)
{
  // Each maps the range in which the other's mapping is, and pages beside it.
  const uintptr_t memory = make_memory(Kind::Anonymous, size);
  const uintptr_t place = make_memory(Kind::Anonymous, 4 * page);
  const pid_t self = getpid();
  Peer peer;
  const Device device;
  const auto handle = static_cast<int32_t>(open_peer(device, peer.pid()));
  // At place, pages 1 and 2, is the other's place; pages 0 and 3 are plain memory.
  const auto map_place = [](int fd, int32_t number, uintptr_t at) {
    return mmap(reinterpret_cast<void *>(at + page), 2 * page, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED, fd,
                static_cast<off_t>(CMA_MAP_OFFSET(number, at))) != MAP_FAILED;
  };
  ASSERT_EQ(peer.call([=]() -> long {
    static const Device own;
    *reinterpret_cast<volatile char *>(place) = 1;
    return map_place(own.fd(), static_cast<int32_t>(open_peer(own, self)), place);
  }),
            1);
  *reinterpret_cast<volatile char *>(place) = 2;
  ASSERT_TRUE(map_place(device.fd(), handle, place));
  const Mapping whole(device.fd(), handle, place, 4 * page, PROT_READ | PROT_WRITE);
  EXPECT_EQ(whole.load(0), 1);
  EXPECT_EQ(whole.load(page), Mapping::bus); // a mapping of a mapping
  for (int i = 0; i < 20; i++) {
    EXPECT_EQ(*reinterpret_cast<volatile char *>(place + page), 1);
    peer.call([=] {
      EXPECT_EQ(*reinterpret_cast<volatile char *>(place + page), 2);
      return 0L;
    });
    // All of it changes hands at once, plain pages and mappings.
    mprotect(reinterpret_cast<void *>(place), 4 * page, PROT_READ);
    mprotect(reinterpret_cast<void *>(place), 4 * page, PROT_READ | PROT_WRITE);
  }
  munmap(reinterpret_cast<void *>(place), 4 * page);
  EXPECT_EQ(peer.call([=]() -> long {
    return munmap(reinterpret_cast<void *>(place), 4 * page) +
           munmap(reinterpret_cast<void *>(memory), size);
  }),
            0);
}

TEST(MapLife, ThreadsFaultTogether)
{
  const uintptr_t memory = make_memory(Kind::Anonymous, size);
  Peer peer;
  const Device device;
  const Mapping mapping(device.fd(), static_cast<int32_t>(open_peer(device, peer.pid())),
                        memory, size, PROT_READ | PROT_WRITE);
  ASSERT_EQ(mapping.error(), 0);
  std::atomic<bool> go_on = true;
  std::vector<std::thread> threads;
  for (size_t first = 0; first < 4; first++)
    threads.emplace_back([&, first] {
      for (size_t i = first; go_on; i = (i + 1) % (size / page))
        reinterpret_cast<volatile uint8_t *>(mapping.at(i * page))[first] = 1;
    });
  for (int i = 0; i < 100; i++)
    peer.call([=]() -> long {
      return madvise(reinterpret_cast<void *>(memory), size, MADV_DONTNEED);
    });
  go_on = false;
  for (auto &thread : threads)
    thread.join();
  for (size_t i = 0; i < size; i += page)
    EXPECT_GE(mapping.load(i), 0);
}

TEST(MapLife, AMappingDoesNotKeepTheMemoryOfADyingOwner)
{
  const uintptr_t memory = make_memory(Kind::Anonymous, size);
  Peer owner([=] { std::fill_n(reinterpret_cast<uint8_t *>(memory), size, 7); });
  const Device device;
  const Mapping mapping(device.fd(), static_cast<int32_t>(open_peer(device, owner.pid())),
                        memory, size, PROT_READ | PROT_WRITE);
  for (size_t i = 0; i < size; i += page)
    ASSERT_EQ(mapping.load(i), 7);
  // It is killed, and held up before it gives back anything itself.
  ASSERT_EQ(ptrace(PTRACE_SEIZE, owner.pid(), 0, PTRACE_O_TRACEEXIT), 0);
  owner.kill(SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(owner.pid(), &status, 0), owner.pid());
  ASSERT_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
  // The out-of-memory killer's way, which may not wait for anybody.
  const auto reaped = Outcome::of(syscall(SYS_process_mrelease, owner.pidfd(), 0));
  if (reaped != fails(ENOSYS)) {
    EXPECT_EQ(reaped, gives(0));
    for (int wait = 0; mapping.load(0) == 7 && wait < 10000; wait++)
      usleep(1000);
    EXPECT_EQ(mapping.load(0), Mapping::bus);
    EXPECT_EQ(mapping.load(size - page), Mapping::bus);
  }
  ptrace(PTRACE_DETACH, owner.pid(), 0, 0);
  owner.wait();
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  if (reaped == fails(ENOSYS))
    GTEST_SKIP() << "this kernel has no process_mrelease(2)";
}

} // namespace
} // namespace cma_test
