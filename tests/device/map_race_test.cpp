// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Changes of an owner's memory, and faults, that meet others. Nobody may have
 * a page back before every mapping of it is gone, whoever else is just about
 * to take it away.
 */
#include "support/map_fixture.hpp"
#include "support/rounds.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <pthread.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

constexpr uint64_t shown = 0x1111111111111111;    // the window's, when it is not zero
constexpr uint64_t hidden = 0x5ec2e75ec2e70000;   // private memory's
constexpr uint64_t intruder = 0x4141414141414141; // what is stored over a foreign word

volatile uint64_t *word_at(uintptr_t address)
{
  return reinterpret_cast<volatile uint64_t *>(address);
}

long discard(uintptr_t address, size_t length)
{
  return madvise(reinterpret_cast<void *>(address), length, MADV_DONTNEED);
}

/// Lies in memory that all processes of a test share at one address.
struct Shared {
  static Shared &make()
  {
    return *new (reinterpret_cast<void *>(make_memory(Kind::SharedAnonymous, page)))
        Shared;
  }

  std::atomic<bool> stop = false;
  std::atomic<int> busy = 0;         ///< processes that have begun
  std::atomic<uint64_t> last = 0;    ///< what the mapper saw last
  std::atomic<uint64_t> foreign = 0; ///< words it saw that never were in what it maps
};

/// Processes that map and unmap the owner's memory until they are told to stop: somebody
/// always has, or waits for, the lock of those who map it.
class Busy {
public:
  Busy(Shared &common, pid_t owner, uintptr_t base, int count) : common_(common)
  {
    Shared *const shared = &common;
    for (int i = 0; i < count; i++) {
      peers_.push_back(std::make_unique<Peer>());
      peers_.back()->post([=]() -> long {
        const Device device;
        const auto handle = static_cast<int32_t>(device.open(CMA_PEER_PID, owner).result);
        for (map_and_unmap(device.fd(), handle, base), shared->busy++; !shared->stop;)
          map_and_unmap(device.fd(), handle, base);
        return 0;
      });
    }
    while (common.busy < count)
      usleep(1000);
  }
  Busy(const Busy &) = delete;
  Busy &operator=(const Busy &) = delete;
  ~Busy() { common_.stop = true; }

private:
  static void map_and_unmap(int fd, int32_t handle, uintptr_t base)
  {
    std::array<void *, 64> at;
    for (auto *&one : at)
      one = mmap(nullptr, page, PROT_READ, MAP_SHARED, fd,
                 static_cast<off_t>(CMA_MAP_OFFSET(handle, base)));
    for (auto *one : at)
      munmap(one, page);
  }

  Shared &common_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

class MapRace : public Map {
protected:
  Shared &common = Shared::make();
};

struct Range {
  size_t offset;
  size_t length;
};
constexpr size_t some = huge_page / 4;
constexpr Range low = {0, some};
constexpr size_t watched = huge_page / 2;
constexpr Range high = {3 * some, some};

/// A page is discarded while another discard is under way, of pages before or behind it
/// that are shown so often that it takes its time.
struct Meeting {
  const char *name;
  Range before;    ///< what is discarded first, if anything
  Range other;     ///< and a little later
  useconds_t step; ///< by so much later still comes the page, in each round more
  int others;      ///< processes that map and unmap meanwhile
  int rounds;
};
// Pages are unmapped in their order. In the first two cases the page is the last one of
// the other discard, and in the last one it is none of that.
const std::array meetings = {
    Meeting{"OfTheSame", {}, {0, watched + page}, 500, 0, 20},
    Meeting{"OfTheSameAmongOthers", {}, {0, watched + page}, 500, 2, 20},
    Meeting{"OfAnotherAmongOthers",
            {high.offset + some / 2, some / 2},
            {high.offset, some / 2},
            1000,
            4,
            50},
};

/// Shows what is before and behind the page very often, and watches the page.
long watch(Shared &common, pid_t owner, uintptr_t base)
{
  constexpr int many = 1500;
  const OwnMapping mapping(owner, base + watched, page);
  for (int i = 0; i < 2 * many; i++) {
    const Range &range = i < many ? low : high;
    const uint64_t offset = CMA_MAP_OFFSET(mapping.handle(), base + range.offset);
    void *at = mmap(nullptr, range.length, PROT_READ, MAP_SHARED, mapping.device().fd(),
                    static_cast<off_t>(offset));
    require(at != MAP_FAILED, "mmap of pages, often");
    static_cast<void>(*static_cast<volatile char *>(at));
  }
  const OwnMapping below(owner, base + low.offset, low.length, PROT_READ);
  const OwnMapping behind(owner, base + high.offset, high.length, PROT_READ);
  volatile uint64_t *word = word_at(reinterpret_cast<uintptr_t>(mapping.at(0)));
  while (!common.stop) {
    // Or nothing would be known of them any more, and nothing to be hidden.
    static_cast<void>(*below.at(0) + *behind.at(0) + *behind.at(some / 2));
    const uint64_t now = *word;
    common.last = now;
    if (now == 0 || now == shown)
      continue;
    common.foreign++;
    *word = intruder;
  }
  return 0;
}

/// As soon as the discard of the page is through it may be anybody's. How many words were
/// stored to in memory that nobody maps.
long discard_together(Shared &common, uintptr_t base, const Meeting &meeting)
{
  const uintptr_t own = make_memory(Kind::Anonymous, some);
  const auto discard_range = [=](Range range) {
    discard(base + range.offset, range.length);
  };
  madvise(reinterpret_cast<void *>(own), some, MADV_NOHUGEPAGE);
  long overwritten = 0;
  for (const int round : Rounds(4, meeting.rounds, std::chrono::seconds(10))) {
    for (size_t i = 0; i < huge_page; i += page)
      *word_at(base + i) = shown;
    for (int wait = 0; common.last != shown && wait < 1000; wait++)
      usleep(100);
    std::thread before(discard_range, meeting.before);
    usleep(2000);
    std::thread other(discard_range, meeting.other);
    usleep(static_cast<useconds_t>(1 + round % 10) * meeting.step);
    discard(base + watched, page);
    for (size_t i = 0; i < some; i += page)
      *word_at(own + i) = hidden + i;
    usleep(2000); // the mapper's turn
    for (size_t i = 0; i < some; i += page)
      overwritten += *word_at(own + i) == intruder;
    discard(own, some);
    before.join();
    other.join();
  }
  return overwritten;
}

class MapMeeting : public MapRace, public testing::WithParamInterface<Meeting> {};

TEST_P(MapMeeting, NobodyHasAPageBackThatIsStillShown)
{
  start(Kind::Anonymous, huge_page);
  Shared *const shared = &common;
  const pid_t pid = owner->pid();
  const uintptr_t from = base;
  const Meeting meeting = GetParam();
  owner->call([=]() -> long {
    return madvise(reinterpret_cast<void *>(from), huge_page, MADV_NOHUGEPAGE);
  });
  Peer mapper;
  const Busy busy(common, pid, base, meeting.others);
  mapper.post([=] { return watch(*shared, pid, from); });
  EXPECT_EQ(owner->call([=] { return discard_together(*shared, from, meeting); }), 0);
  common.stop = true;
  EXPECT_EQ(mapper.answer(), 0);
  EXPECT_EQ(common.foreign, 0);
}
INSTANTIATE_TEST_SUITE_P(Discards, MapMeeting, testing::ValuesIn(meetings),
                         [](const auto &info) { return std::string(info.param.name); });

/// Threads that touch one mapping after the other, all at the same time: one byte each.
class Touchers {
public:
  explicit Touchers(unsigned count)
  {
    pthread_barrier_init(&barrier_, nullptr, count + 1);
    for (unsigned i = 0; i < count; i++)
      threads_.emplace_back([=, this] { run(i); });
  }
  Touchers(const Touchers &) = delete;
  Touchers &operator=(const Touchers &) = delete;
  ~Touchers()
  {
    mapping_ = nullptr;
    pthread_barrier_wait(&barrier_);
    for (auto &thread : threads_)
      thread.join();
    pthread_barrier_destroy(&barrier_);
  }

  static size_t offset_of(unsigned i) { return i * 73 * page % huge_page; }
  void touch(const Mapping &mapping, bool write)
  {
    mapping_ = &mapping;
    write_ = write;
    pthread_barrier_wait(&barrier_);
    pthread_barrier_wait(&barrier_);
  }

private:
  void run(unsigned i)
  {
    for (unsigned round = 0;; round++) {
      pthread_barrier_wait(&barrier_);
      if (mapping_ == nullptr)
        return;
      auto *at = reinterpret_cast<volatile uint8_t *>(mapping_->at(offset_of(i)));
      for (volatile unsigned delay = i * (round % 37); delay > 0;)
        delay = delay - 1;
      if (write_)
        *at = 2;
      else
        static_cast<void>(*at);
      pthread_barrier_wait(&barrier_);
    }
  }

  pthread_barrier_t barrier_;
  const Mapping *mapping_ = nullptr;
  bool write_ = false;
  std::vector<std::thread> threads_;
};

TEST_F(MapRace, HugeEntriesAndPageTablesExcludeEachOther)
{
  constexpr unsigned count = 4;
  start(Kind::TransparentHuge, huge_page);
  if (IsSkipped())
    return;
  const uintptr_t at = base;
  // Nothing is known of the page afterwards, and it still is one.
  const auto forget = [=]() -> long {
    protect(at, huge_page, PROT_READ);
    protect(at, huge_page, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < huge_page; i += page)
      *reinterpret_cast<volatile uint8_t *>(at + i) = 1;
    return 0;
  };
  Touchers touchers(count);
  for (const int round : Rounds(100, 1500, std::chrono::seconds(15))) {
    const bool write = round % 2 != 0;
    owner->call(forget);
    const Mapping mapping = whole(PROT_READ | PROT_WRITE, huge_page);
    ASSERT_EQ(mapping.error(), 0);
    touchers.touch(mapping, write);
    for (unsigned i = 0; i < count; i++)
      ASSERT_EQ(mapping.load(Touchers::offset_of(i)), write ? 2 : 1) << round;
  }
}

/// Memory that the system could give to somebody, in kB.
int64_t available()
{
  std::ofstream("/proc/sys/vm/drop_caches") << 3;
  std::ifstream meminfo("/proc/meminfo");
  for (std::string word; meminfo >> word;) {
    int64_t value = 0;
    if (word == "MemAvailable:" && meminfo >> value)
      return value;
  }
  return -1;
}

/// Eight processes map and unmap the owner's memory all the time, so that its changes
/// meet theirs. What a change takes away is gone when it returns, each time.
class MapBusy : public MapRace {
protected:
  static constexpr int processes = 8;

  template<class Round>
  static void repeat(const Round &round, int least = 10)
  {
    for (const int i : Rounds(least, 300, std::chrono::seconds(10))) {
      if (HasFailure())
        break;
      round(static_cast<uint8_t>(i % 100 + 1));
    }
  }
};

TEST_F(MapBusy, UnmappedPagesAreGoneAtOnce)
{
  start();
  const Mapping mapping = whole();
  const Busy busy(common, owner->pid(), base, processes);
  const uintptr_t at = base;
  repeat([&](uint8_t value) {
    owner_byte(page, value);
    EXPECT_EQ(mapping.load(page), value); // it showed a page of zeros
    owner->call([=] { return unmap(at + page, page), 0L; });
    EXPECT_EQ(mapping.load(page), Mapping::bus);
    owner->call([=] { return renew(at + page, page), 0L; });
    EXPECT_EQ(mapping.load(page), 0);
  });
}

TEST_F(MapBusy, ProtectedPagesAreNotStoredToAnyMore)
{
  start();
  const Mapping mapping = whole();
  const Busy busy(common, owner->pid(), base, processes);
  const uintptr_t at = base;
  repeat([&](uint8_t value) {
    EXPECT_TRUE(mapping.store(page, value));
    owner->call([=] { return protect(at + page, page, PROT_READ), 0L; });
    EXPECT_FALSE(mapping.store(page, 0));
    EXPECT_EQ(owner_byte(page), value);
    owner->call([=] { return protect(at + page, page, PROT_READ | PROT_WRITE), 0L; });
  });
}

TEST_F(MapBusy, DiscardedPagesGoAndNoneIsKept)
{
  const size_t length = 256 * page;
  constexpr int rounds = 20; // at least, each with all of it
  start(Kind::Anonymous, length);
  const Mapping mapping = whole(PROT_READ | PROT_WRITE, length);
  const uintptr_t at = base;
  const int64_t before = available();
  {
    const Busy busy(common, owner->pid(), base, processes);
    const auto discard_all = [&](uint8_t value) {
      owner->call([=]() -> long {
        for (size_t i = 0; i < length; i += page)
          *reinterpret_cast<volatile uint8_t *>(at + i) = value;
        return 0;
      });
      for (size_t i = 0; i < length; i += page)
        ASSERT_EQ(mapping.load(i), value);
      EXPECT_EQ(owner->call([=] { return discard(at, length); }), 0);
      for (const size_t i : {size_t{0}, length - page})
        ASSERT_EQ(mapping.load(i), 0);
    };
    repeat(discard_all, rounds);
  }
  // Not at once: the kernel has yet to free what the others used.
  const int64_t half = before - static_cast<int64_t>(rounds * length >> 11);
  int64_t now = available();
  for (int wait = 0; now < half && wait < 20; wait++, now = available())
    sleep(1);
  EXPECT_GT(now, half) << "kB";
}

TEST_F(MapBusy, StoresToPagesOfAFileAreKept)
{
  start(Kind::Memfd);
  if (IsSkipped())
    return;
  const Mapping mapping = whole();
  const Busy busy(common, owner->pid(), base, processes);
  const uintptr_t at = base;
  repeat([&](uint8_t value) {
    // The mapper never stops to store, whatever becomes of the owner's page tables.
    std::atomic<bool> enough = false;
    std::thread storing([&] {
      for (uint8_t more = 0; !enough; more++)
        *reinterpret_cast<volatile uint8_t *>(mapping.at(page)) = more;
      *reinterpret_cast<volatile uint8_t *>(mapping.at(page)) = value;
    });
    EXPECT_EQ(owner->call([=] { return discard(at, size); }), 0);
    enough = true;
    storing.join();
    EXPECT_EQ(owner_byte(page), value);
    // Out of memory, where there is swap.
    EXPECT_EQ(owner->call([=]() -> long {
      return madvise(reinterpret_cast<void *>(at), size, MADV_PAGEOUT);
    }),
              0);
    EXPECT_EQ(owner_byte(page), value);
    EXPECT_EQ(mapping.load(page), value);
  });
}

TEST_F(MapBusy, AnOwnerThatEndsShowsNothing)
{
  for ([[maybe_unused]] const int round : Rounds(3, 10, std::chrono::seconds(10))) {
    start();
    common.stop = false;
    common.busy = 0;
    const Mapping mapping = whole();
    const Busy busy(common, owner->pid(), base, processes / 2);
    for (size_t i = 0; i < size; i += page)
      ASSERT_TRUE(mapping.store(i, 7));
    owner->kill(SIGKILL);
    owner->wait();
    EXPECT_EQ(mapping.load(0), Mapping::bus);
    EXPECT_EQ(mapping.load(size - page), Mapping::bus);
  }
}

} // namespace
} // namespace cma_test
