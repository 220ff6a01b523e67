// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Mappings with hidden pages beside what else happens to them: they are split and moved,
 * their owner changes its memory, forks and exits, other threads touch them, and they
 * are given to copies.
 */
#include "support/map_fixture.hpp"
#include "support/rounds.hpp"

#include <atomic>
#include <barrier>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

class ShowLife : public Map {
protected:
  /// The owner stores the number into each of its pages.
  void fill(size_t pages, uint8_t number)
  {
    const uintptr_t at = base;
    owner->call([=] {
      for (size_t i = 0; i < pages; i++)
        *reinterpret_cast<volatile uint8_t *>(at + i * page) = number;
      return 0L;
    });
  }
  /// How many of the pages end a load with the signal, or show the number.
  static size_t count(const Mapping &mapping, size_t first, size_t pages, int expected)
  {
    size_t found = 0;
    for (size_t i = first; i < first + pages; i++)
      found += mapping.load(i * page) == expected;
    return found;
  }
};

/* What was entered before the split is entered for the mapping as it was. */
TEST_F(ShowLife, APartOfASplitMappingIsHiddenToo)
{
  start();
  fill(8, 1);
  for (const size_t hidden : {0U, 3U, 7U})
    for (const unsigned how : {CMA_HIDE_PAGES, CMA_SHOW_ONLY}) {
      const Mapping mapping = whole();
      EXPECT_EQ(count(mapping, 0, 8, 1), 8U);
      protect(mapping.at(2 * page), 4 * page, PROT_READ); // three mappings now
      const size_t shown = how == CMA_SHOW_ONLY ? (hidden == 3 ? 4 : hidden ^ 1) : hidden;
      EXPECT_EQ(show(mapping, how, shown, 1), gives(0));
      EXPECT_EQ(mapping.load(hidden * page), Mapping::segv) << hidden << " " << how;
    }
}

/* Also where only one of the parts knows which of its pages are hidden. */
TEST_F(ShowLife, TheOwnersChangesReachAllPartsOfASplitMapping)
{
  constexpr size_t pages = 1024;
  start(Kind::Anonymous, pages * page);
  const uintptr_t at = base;
  for (const size_t border : {8U, 512U})
    for (const size_t hidden : {border - 2, border + 2})
      for (const bool lower : {true, false}) {
        fill(pages, 1);
        const Mapping mapping = whole(PROT_READ | PROT_WRITE, pages * page);
        EXPECT_EQ(count(mapping, 0, pages, 1), pages);
        protect(mapping.at(lower ? 0 : border * page),
                (lower ? border : pages - border) * page, PROT_READ);
        EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, hidden, 1), gives(0));
        owner->call([=]() -> long { // nobody gets what was there before
          mremap(reinterpret_cast<void *>(at), pages * page, pages * page,
                 MREMAP_MAYMOVE | MREMAP_FIXED,
                 reinterpret_cast<void *>(make_memory(Kind::Anonymous, pages * page)));
          return renew(at, pages * page), 0L;
        });
        fill(pages, 2);
        EXPECT_EQ(count(mapping, 0, pages, 2), pages - 1)
            << border << " " << hidden << " " << lower;
        EXPECT_EQ(mapping.load(hidden * page), Mapping::segv);
      }
}

TEST_F(ShowLife, NothingCanBeMovedOutOfWhatIsHidden)
{
  start();
  fill(8, 1);
  const Mapping mapping = whole();
  EXPECT_EQ(show(mapping, CMA_SHOW_ONLY, 0, 1), gives(0));
  auto *const from = reinterpret_cast<void *>(mapping.at(0));
  EXPECT_EQ(mremap(from, 0, size, MREMAP_MAYMOVE), MAP_FAILED) << "a second one";
  EXPECT_EQ(mremap(from, size, 2 * size, MREMAP_MAYMOVE), MAP_FAILED);
  protect(mapping.at(page), page, PROT_READ);
  protect(mapping.at(page), page, PROT_READ | PROT_WRITE);
  EXPECT_EQ(count(mapping, 0, 8, 1), 1U);
  EXPECT_EQ(count(mapping, 1, 7, Mapping::segv), 7U);
}

/* As process_vm_readv() and process_vm_writev() with memory that is not there. */
TEST_F(ShowLife, CopiesStopAtWhatIsHidden)
{
  start();
  fill(8, 1);
  const Mapping mapping = whole();
  EXPECT_EQ(count(mapping, 0, 8, 1), 8U);
  EXPECT_EQ(show(mapping, CMA_HIDE_PAGES, 2, 6), gives(0));
  const uintptr_t mine = make_memory(Kind::Anonymous, 4 * page);
  const iovec remote = segment(mine, 4 * page);
  for (const size_t first : {0U, 1U, 2U})
    for (const bool write : {false, true}) {
      const iovec local = segment(mapping.at(first * page), 4 * page);
      const auto theirs = Outcome::of((write ? process_vm_writev : process_vm_readv)(
          getpid(), &local, 1, &remote, 1, 0));
      auto copy = sized<cma_ioc_copy>();
      copy.flags = CMA_COPY_SINGLE | (write ? CMA_COPY_WRITE : 0U);
      copy.peer_type = CMA_PEER_PID;
      copy.peer = getpid();
      copy.local_iov = mapping.at(first * page);
      copy.local_cnt = 4 * page;
      copy.remote_iov = mine;
      copy.remote_cnt = 4 * page;
      Outcome ours = device.call(CMA_IOC_COPY, &copy);
      if (ours == gives(0))
        ours = gives(static_cast<int64_t>(copy.copied));
      EXPECT_EQ(ours, theirs) << first << " " << write;
    }
  unmap(mine, 4 * page);
}

/* A thread that saw that the page is hidden cannot load it, whatever its TLB holds. */
TEST_F(ShowLife, NoOtherThreadLoadsWhatIsHidden)
{
  start();
  fill(8, 1);
  const Mapping mapping = whole();
  std::atomic<unsigned> turn = 0; // odd: hidden
  std::atomic<bool> done = false;
  std::atomic<long> loaded = 0;
  std::atomic<long> wrong = 0;
  std::vector<std::thread> readers;
  readers.reserve(2);
  for (int i = 0; i < 2; i++)
    readers.emplace_back([&] {
      while (!done) {
        const unsigned before = turn;
        const bool seen = mapping.load(3 * page) != Mapping::segv;
        loaded += seen;
        wrong += seen && before % 2 == 1 && turn == before;
      }
    });
  for ([[maybe_unused]] const int round : Rounds(100, 20000, std::chrono::seconds(8))) {
    ASSERT_EQ(show(mapping, CMA_HIDE_PAGES, 3, 1), gives(0));
    turn++;
    std::this_thread::yield();
    turn++;
    ASSERT_EQ(show(mapping, CMA_SHOW_PAGES, 3, 1), gives(0));
    ASSERT_EQ(mapping.load(3 * page), 1);
  }
  done = true;
  for (std::thread &reader : readers)
    reader.join();
  EXPECT_GT(loaded, 0);
  EXPECT_EQ(wrong, 0);
}

/* Who hides what another one is hiding does not return before it is. */
TEST_F(ShowLife, PagesThatTwoHideAreHiddenForBoth)
{
  constexpr size_t pages = 512;
  start(Kind::Anonymous, pages * page);
  fill(pages, 1);
  const Mapping mapping = whole(PROT_READ, pages * page);
  std::barrier turns(2);
  std::atomic<bool> done = false;
  std::atomic<long> wrong = 0;
  const auto hide = [&](size_t first, size_t count) {
    turns.arrive_and_wait();
    if (done)
      return;
    wrong += show(mapping, CMA_HIDE_PAGES, first, count) != gives(0);
    wrong += mapping.load((pages - 1) * page) != Mapping::segv;
    turns.arrive_and_wait();
  };
  std::thread other([&] {
    while (!done)
      hide(pages - 1, 1);
  });
  for ([[maybe_unused]] const int round : Rounds(100, 5000, std::chrono::seconds(6))) {
    wrong += show(mapping, CMA_SHOW_PAGES, 0, pages) != gives(0);
    wrong += count(mapping, 0, pages, 1) != pages;
    hide(0, pages);
  }
  done = true;
  turns.arrive_and_drop();
  other.join();
  EXPECT_EQ(wrong, 0);
}

/* The owner's new memory is seen, or nothing is: never what it had before. */
TEST_F(ShowLife, TheOwnersChangesAreSeenWhilePagesComeAndGo)
{
  start();
  const Mapping mapping = whole();
  std::atomic<bool> done = false;
  std::vector<std::thread> others;
  for (const unsigned how : {CMA_HIDE_PAGES, CMA_SHOW_ONLY})
    others.emplace_back([&, how] {
      for (size_t i = 0; !done; i = (i + 1) % 7) {
        show(mapping, how, i, 2);
        mapping.load(i * page);
        show(mapping, CMA_SHOW_PAGES, 0, 8);
      }
    });
  const uintptr_t at = base;
  for (const int round : Rounds(100, 3000, std::chrono::seconds(8))) {
    const auto number = static_cast<uint8_t>(round % 250 + 1);
    owner->call([=]() -> long {
      // A child that shares the pages makes the owner's stores go elsewhere.
      const pid_t child = round % 3 == 0 ? fork() : 0;
      if (round % 3 == 0 && child == 0)
        _exit(0);
      if (round % 3 == 1)
        madvise(reinterpret_cast<void *>(at), size, MADV_DONTNEED);
      for (size_t i = 0; i < size / page; i++)
        *reinterpret_cast<volatile uint8_t *>(at + i * page) = number;
      if (child > 0)
        waitpid(child, nullptr, 0);
      return 0L;
    });
    for (size_t i = 0; i < 8; i++) {
      const int byte = mapping.load(i * page);
      ASSERT_TRUE(byte == number || byte == Mapping::segv) << byte << " " << round;
    }
  }
  owner->kill(SIGKILL);
  owner->wait();
  done = true;
  for (std::thread &other : others)
    other.join(); // whose faults may have kept the owner's memory for a moment
  for (size_t i = 0; i < 8; i++) {
    const int byte = mapping.load(i * page);
    EXPECT_TRUE(byte == Mapping::bus || byte == Mapping::segv) << byte;
  }
}

} // namespace
} // namespace cma_test
