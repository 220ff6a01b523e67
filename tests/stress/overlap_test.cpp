// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Two changes of the same pages at once, as when a call of the owner meets
 * reclaim or migration there. Each of them must wait until nobody sees the pages
 * any more, even if the other one sees to that: a store that comes after a page
 * was copied to its new place is lost, or goes into what took the old place.
 */
#include "../device/support/guard.hpp"
#include "../device/support/mapping.hpp"
#include "scenario.hpp"
#include "system.hpp"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

using std::chrono::steady_clock;

constexpr size_t size = huge_page;
constexpr size_t pages = 128; ///< at the end of it, that are stored to
const size_t begin = size - pages * page;
constexpr int both = PROT_READ | PROT_WRITE;

struct Progress {
  std::atomic<bool> over = false;
  std::atomic<uint64_t> protections = 0;
  std::atomic<uint64_t> moves = 0;
};

/// In the owner: everything stays readable and writable, and says the same.
long change_rights(uintptr_t at, Progress &progress)
{
  while (!progress.over) {
    protect(at, size, both | PROT_EXEC);
    protect(at, size, both);
    progress.protections++;
    usleep(100);
  }
  return 0;
}

void move_pages_about(uintptr_t at, Progress &progress)
{
  std::array<void *, pages> which{};
  std::array<int, pages> nodes{};
  std::array<int, pages> status{};
  for (size_t i = 0; i < pages; i++)
    which.at(i) = reinterpret_cast<void *>(at + begin + i * page);
  for (int node = 0; !progress.over; node = 1 - node) {
    nodes.fill(node);
    constexpr int move_own_pages = 2; // MPOL_MF_MOVE
    if (syscall(SYS_move_pages, 0, pages, which.data(), nodes.data(), status.data(),
                move_own_pages) == 0)
      progress.moves++;
  }
}

class Overlap : public testing::Test {
protected:
  ~Overlap() override
  {
    unmap(address_, size);
    munmap(progress_, sizeof(Progress));
  }

  /// In other processes: to map and unmap takes the lock that hiding wants, each time, so
  /// that this takes longer.
  void start_mappers()
  {
    for (auto &mapper : mappers_)
      mapper.post([owner = owner_.pid(), at = address_, progress = progress_]() -> long {
        const Device device;
        const auto handle = static_cast<int32_t>(device.open(CMA_PEER_PID, owner).result);
        while (!progress->over)
          const Mapping mapping(device.fd(), handle, at, size, PROT_READ);
        return 0;
      });
  }

  /// Adds one to a word of each page that moves about.
  void add_one()
  {
    const Caught caught = guarded([this] {
      for (size_t i = 0; i < pages; i++) {
        auto *word = reinterpret_cast<volatile uint64_t *>(view_.at(i * page));
        *word = *word + 1;
      }
    });
    ASSERT_EQ(caught.signal, 0);
  }

  /// What the owner has in those words.
  std::array<uint64_t, pages> add_up()
  {
    std::array<uint64_t, pages> sums{};
    std::vector<iovec> remote;
    for (size_t i = 0; i < pages; i++)
      remote.push_back(segment(address_ + begin + i * page, sizeof(uint64_t)));
    const iovec local = segment(reinterpret_cast<uintptr_t>(sums.data()), sizeof(sums));
    EXPECT_EQ(process_vm_readv(owner_.pid(), &local, 1, remote.data(), pages, 0),
              ssize_t{sizeof(sums)});
    return sums;
  }

  const uintptr_t address_ = make_memory(Kind::Anonymous, size);
  Progress *progress_ =
      new (mmap(nullptr, sizeof(Progress), both, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
          Progress;
  Peer owner_{[this] {
    madvise(reinterpret_cast<void *>(address_), size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += page)
      *reinterpret_cast<volatile uint64_t *>(address_ + i) = 0;
  }};
  std::array<Peer, 3> mappers_;
  Device device_;
  int32_t handle_ = static_cast<int32_t>(device_.open(CMA_PEER_PID, owner_.pid()).result);
  Mapping view_{device_.fd(), handle_, address_ + begin, size - begin, both};
};

TEST_F(Overlap, NoStoreIsLost)
{
  if (numa_nodes() < 2)
    GTEST_SKIP() << "this guest has one NUMA node";
  owner_.post([address = address_, progress = progress_]() -> long {
    std::thread mover([=] { move_pages_about(address, *progress); });
    change_rights(address, *progress);
    mover.join();
    return 0;
  });
  start_mappers();
  uint64_t rounds = 0;
  const auto end =
      steady_clock::now() + std::chrono::duration<double>(4 * settings().scale);
  for (; progress_->moves < 50 || steady_clock::now() < end; rounds++)
    ASSERT_NO_FATAL_FAILURE(add_one());
  progress_->over = true;
  EXPECT_EQ(owner_.answer(), 0);
  for (auto &mapper : mappers_)
    EXPECT_EQ(mapper.answer(), 0);
  printf("  %lu rounds of stores, %lu changes of rights, %lu moves\n", rounds,
         progress_->protections.load(), progress_->moves.load());
  const auto sums = add_up();
  EXPECT_EQ(std::count(sums.begin(), sums.end(), rounds), long{pages})
      << "pages that lost a store, or got another's";
}

} // namespace
} // namespace cma_test
