// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Chunks that carry much and are mapped into the kernel in one piece: a copy
 * goes through the mapping as long as it is true, and sees every change of the
 * owner's memory.
 */
#include "support/parameter.hpp"
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

int64_t vmaps()
{
  return module_counter("vmaps");
}

class Vmap : public testing::Test {
protected:
  static constexpr size_t pages = 256;
  static inline const size_t size = pages * page;
  static inline const size_t chunk_pages = huge_page / page;

  /// A mapping spares each break between two pages, which costs next to nothing where
  /// these are large.
  void SetUp() override
  {
    if (chunk_pages <= 32)
      GTEST_SKIP() << "pages of " << page << " bytes are never mapped in one piece";
  }

  /// Its pages lie in no order, and hold their number in every word.
  Peer peer;
  uintptr_t memory = static_cast<uintptr_t>(peer.call([]() -> long {
    void *const base =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(base, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < pages; i++) {
      const size_t number = i * 97 % pages;
      auto *const words = static_cast<uint64_t *>(base) + number * page / 8;
      std::fill_n(words, page / 8, number);
    }
    return reinterpret_cast<long>(base);
  }));
  Device device;
  Target target{peer.pid(), peer.pidfd(),
                static_cast<int>(device.open(CMA_PEER_PID, peer.pid()).result)};
  std::vector<uint64_t> words = std::vector<uint64_t>(size / 8);
  Parameter early{"vmap_kb", "2048"};

  Outcome copy(bool write, size_t first = 0, size_t count = pages)
  {
    const iovec here = {words.data() + first * page / 8, count * page};
    const iovec there = segment(memory + first * page, count * page);
    return run(device, Route::Handle, target, {write, &here, 1, &there, 1, 0});
  }
  /// Copies until a chunk has a vmap; the memory may lie in two.
  void build_vmap(bool write = false)
  {
    const int64_t before = vmaps();
    for (int i = 0; i < 32 && vmaps() < before + 2; i++)
      ASSERT_EQ(copy(write), gives(size));
    EXPECT_GT(vmaps(), before);
    ASSERT_EQ(copy(write), gives(size));
  }
  /// The first page whose words are not what they should be; pages if there is none.
  size_t wrong(uint64_t offset = 0) const
  {
    for (size_t i = 0; i < size / 8; i++)
      if (words[i] != i * 8 / page + offset)
        return i * 8 / page;
    return pages;
  }
};

TEST_F(Vmap, ReadsAndWritesEveryPage)
{
  build_vmap();
  EXPECT_EQ(wrong(), pages);
  // It serves writes, too, where pages are writable, and no other takes its place.
  for (auto &word : words)
    word += 1000;
  const int64_t before = vmaps();
  EXPECT_EQ(copy(true, 9, 90), gives(90 * page));
  for (int i = 0; i < 8; i++)
    EXPECT_EQ(copy(true), gives(size));
  EXPECT_EQ(vmaps(), before);
  const auto sum = peer.call([at = memory]() -> long {
    long bad = 0;
    for (size_t i = 0; i < size / 8; i++)
      bad += reinterpret_cast<uint64_t *>(at)[i] != i * 8 / page + 1000;
    return bad;
  });
  EXPECT_EQ(sum, 0);
  std::fill(words.begin(), words.end(), 0);
  EXPECT_EQ(copy(false), gives(size));
  EXPECT_EQ(wrong(1000), pages);
  EXPECT_EQ(copy(false, 3, 7), gives(7 * page));
}

/// What costs less to map pays sooner.
TEST_F(Vmap, FewPagesTakeLess)
{
  constexpr size_t few = 16;
  const size_t left = chunk_pages - memory / page % chunk_pages; // in the first chunk
  const size_t first = left < few ? left : 0;
  const int64_t before = vmaps();
  for (int i = 0; i < 10; i++)
    EXPECT_EQ(copy(false, first, few), gives(few * page));
  EXPECT_EQ(vmaps(), before + 1);
  EXPECT_EQ(copy(false, first, few), gives(few * page));
  EXPECT_EQ(copy(false), gives(size));
  EXPECT_EQ(wrong(), pages);
}

TEST_F(Vmap, SeesWhatTheOwnerWritesInPlaceAndAfterFork)
{
  build_vmap();
  peer.call([at = memory]() -> long {
    for (size_t i = 0; i < size / 8; i++)
      reinterpret_cast<uint64_t *>(at)[i] += 5;
    return 0;
  });
  EXPECT_EQ(copy(false), gives(size));
  EXPECT_EQ(wrong(5), pages);
  // The child shares the pages, so that the owner's writes go to copies of them.
  const pid_t child = static_cast<pid_t>(peer.call([at = memory]() -> long {
    const pid_t pid = fork();
    if (pid == 0)
      while (true)
        pause();
    for (size_t i = 0; i < size / 8; i++)
      reinterpret_cast<uint64_t *>(at)[i] += 5;
    return pid;
  }));
  EXPECT_EQ(copy(false), gives(size));
  EXPECT_EQ(wrong(10), pages);
  kill(child, SIGKILL);
}

TEST_F(Vmap, FollowsUnmapRemapAndProtection)
{
  ASSERT_EQ(copy(false), gives(size));
  build_vmap(true);
  peer.call([at = memory]() -> long {
    return munmap(reinterpret_cast<void *>(at + 100 * page), page);
  });
  EXPECT_EQ(copy(false), gives(100 * page));
  EXPECT_EQ(copy(true, 101, pages - 101), gives((pages - 101) * page));
  peer.call([at = memory]() -> long {
    mmap(reinterpret_cast<void *>(at + 100 * page), page, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    std::fill_n(reinterpret_cast<uint64_t *>(at + 100 * page), page / 8, 100);
    return 0;
  });
  build_vmap(true);
  peer.call([at = memory]() -> long {
    return mprotect(reinterpret_cast<void *>(at + 50 * page), page, PROT_READ);
  });
  EXPECT_EQ(copy(true), gives(50 * page));
  EXPECT_EQ(copy(false), gives(size));
  EXPECT_EQ(wrong(), pages);
}

TEST_F(Vmap, EndsWithTheOwnerAndIsNotMadeWhereItIsOff)
{
  {
    const Parameter never("vmap_kb", "0");
    Peer other;
    const int64_t before = vmaps();
    const auto handle = static_cast<int>(device.open(CMA_PEER_PID, other.pid()).result);
    const iovec here = {words.data(), size};
    const iovec there = segment(reinterpret_cast<uintptr_t>(words.data()), size);
    for (int i = 0; i < 32; i++)
      EXPECT_EQ(
          run(device, Route::Handle, {0, -1, handle}, {false, &here, 1, &there, 1, 0}),
          gives(size));
    EXPECT_EQ(vmaps(), before);
  }
  build_vmap();
  peer.kill(SIGKILL);
  peer.wait();
  EXPECT_EQ(copy(false), fails(ESRCH));
}

} // namespace
} // namespace cma_test
