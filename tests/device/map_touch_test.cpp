// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Every touch of a mapping comes to an end, and does what it says: whatever
 * instruction or system call it is, whatever state the owner's pages are in. An
 * instruction that reads and then writes faults once for each; none of the two
 * faults may undo what the other needs.
 */
#include "support/map_fixture.hpp"
#include "support/rounds.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <random>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace cma_test {
namespace {

constexpr unsigned patience_s = 20;
constexpr size_t pages = 8;
const size_t from = page + 100;  // what an instruction reads
const size_t near = page + 2100; // what it writes: in the same page,
const size_t far = 5 * page + 7; // or in another one of the same mapping
const size_t many = 2 * page + 50;

using Bytes = volatile uint8_t *;

void move_bytes(Bytes to, Bytes source, size_t count)
{
#ifdef __x86_64__
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(count) : : "memory");
#else
  while (count-- > 0)
    *to++ = *source++;
#endif
}

void add_five(volatile uint32_t *to)
{
#ifdef __x86_64__
  __asm__ volatile("addl $5, %0" : "+m"(*to));
#else
  *to = *to + 5;
#endif
}

volatile uint32_t *word(Bytes at)
{
  return reinterpret_cast<volatile uint32_t *>(at);
}

void read_into(Bytes at)
{
  std::array<int, 2> ends{};
  require(pipe(ends.data()) == 0, "pipe");
  require(write(ends[1], "\5", 1) == 1, "write");
  require(read(ends[0], const_cast<uint8_t *>(at), 1) == 1, "read into a mapping");
}

/// Something that is done to a mapping, and what byte is where afterwards, if all that it
/// read was 7 in the first byte of four, as in one that no instruction has seen yet.
struct Touch {
  const char *name;
  void (*run)(Bytes mapping);
  size_t offset;
  int result;
};
const std::array touches = {
    Touch{"Add", [](Bytes m) { add_five(word(m + from)); }, from, 12},
    Touch{"AtomicAdd",
          [](Bytes m) { __atomic_fetch_add(word(m + from), 5, __ATOMIC_SEQ_CST); }, from,
          12},
    Touch{"Exchange",
          [](Bytes m) { __atomic_exchange_n(word(m + from), 9, __ATOMIC_SEQ_CST); }, from,
          9},
    Touch{"CompareAndExchange",
          [](Bytes m) {
            uint32_t expected = 7;
            __atomic_compare_exchange_n(word(m + from), &expected, 11, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
          },
          from, 11},
    Touch{"LoadThenStore", [](Bytes m) { m[from] = static_cast<uint8_t>(m[from] + 1); },
          from, 8},
    Touch{"Store", [](Bytes m) { m[from] = 13; }, from, 13},
    Touch{"MoveInOnePage", [](Bytes m) { move_bytes(m + near, m + from, 1); }, near, 7},
    Touch{"MoveToAnotherPage", [](Bytes m) { move_bytes(m + far, m + from, 1); }, far, 7},
    Touch{"MoveAcrossPages", [](Bytes m) { move_bytes(m + far, m + from, many); }, far,
          7},
    Touch{"AddAcrossAPage", [](Bytes m) { add_five(word(m + 2 * page - 2)); },
          2 * page - 2, 5},
    Touch{"SystemCall", [](Bytes m) { read_into(m + from); }, from, 5},
};

/// What the owner did with its pages.
struct State {
  const char *name;
  Kind kind;
  void (*prepare)(uintptr_t base);
};

void fork_child()
{
  const pid_t parent = getpid();
  if (fork() == 0) {
    die_with(parent);
    for (;;)
      pause();
  }
}
void store(uintptr_t base)
{
  for (size_t i = 0; i < pages; i++)
    *reinterpret_cast<Bytes>(base + i * page + (i == 1 ? 100 : 0)) = i == 1 ? 7 : 0;
}
void load(uintptr_t base)
{
  for (size_t i = 0; i < pages; i++)
    static_cast<void>(*reinterpret_cast<Bytes>(base + i * page));
}
constexpr std::array states = {
    State{"Stored", Kind::Anonymous, store},
    State{"Forked", Kind::Anonymous,
          [](uintptr_t base) {
            store(base);
            fork_child();
          }},
    State{"ForkedHuge", Kind::TransparentHuge,
          [](uintptr_t base) {
            store(base);
            fork_child();
          }},
    State{"MadeReadOnlyForAMoment", Kind::Anonymous,
          [](uintptr_t base) {
            store(base);
            protect(base, huge_page, PROT_READ);
            protect(base, huge_page, PROT_READ | PROT_WRITE);
          }},
    State{"Shared", Kind::SharedAnonymous, store},
    State{"ForkedMemfd", Kind::Memfd,
          [](uintptr_t base) {
            store(base);
            fork_child();
          }},
    State{"SharedFileClean", Kind::FileShared,
          [](uintptr_t base) {
            store(base);
            msync(reinterpret_cast<void *>(base), huge_page, MS_SYNC);
            madvise(reinterpret_cast<void *>(base), huge_page, MADV_DONTNEED);
            load(base);
          }},
    State{"PrivateFileLoaded", Kind::FilePrivate,
          [](uintptr_t base) {
            *reinterpret_cast<Bytes>(base + from) = 7;
            load(base);
          }},
    State{"PagedOut", Kind::Anonymous,
          [](uintptr_t base) {
            store(base);
            madvise(reinterpret_cast<void *>(base), huge_page, MADV_PAGEOUT);
          }},
    State{"ZerosLoadedOnly", Kind::Anonymous,
          [](uintptr_t base) {
            *reinterpret_cast<Bytes>(base + from) = 7;
            for (size_t i = 0; i < pages; i++)
              if (i != 1)
                static_cast<void>(*reinterpret_cast<Bytes>(base + i * page));
          }},
    State{"NeverTouchedElsewhere", Kind::Anonymous,
          [](uintptr_t base) { *reinterpret_cast<Bytes>(base + from) = 7; }},
};

class MapTouches : public Map, public testing::WithParamInterface<State> {};

TEST_P(MapTouches, ComeToAnEnd)
{
  const State &state = GetParam();
  for (const Touch &touch : touches) {
    SCOPED_TRACE(touch.name);
    start(state.kind, huge_page);
    if (IsSkipped())
      return;
    const uintptr_t at = base;
    const pid_t pid = owner->pid();
    const auto prepare = state.prepare;
    const auto run = touch.run;
    owner->call([=] { return prepare(at), 0L; });
    Peer mapper;
    // Should it not end, the alarm ends it, and the answer does not come.
    ASSERT_EQ(mapper.call([=]() -> long {
      alarm(patience_s);
      const OwnMapping mapping(pid, at, huge_page);
      run(mapping.at(0));
      return 0;
    }),
              0);
    EXPECT_EQ(owner_byte(touch.offset), touch.result);
  }
}
INSTANTIATE_TEST_SUITE_P(States, MapTouches, testing::ValuesIn(states),
                         [](const auto &info) { return std::string(info.param.name); });

/// One's own words of a mapping, to which nobody else stores: what each must be is known.
class Words {
public:
  Words(Bytes mapping, unsigned seed) : mapping_(mapping), random_(seed) {}

  /// How many words were not what they had to be, at their next use.
  long run(int count)
  {
    long wrong = 0;
    for (int i = 0; i < count; i++)
      wrong += step() ? 0 : 1;
    for (unsigned i = 0; i < words_.size(); i++)
      wrong += *at(i) == words_.at(i) ? 0 : 1;
    return wrong;
  }

private:
  /// Two in a page, in its first half: the second is the owner's.
  volatile uint32_t *at(unsigned i) const
  {
    return word(mapping_ + i / 2 * page + i % 2 * 1024);
  }
  bool step()
  {
    const unsigned i = random_() % words_.size();
    const unsigned j = random_() % words_.size();
    uint32_t &known = words_.at(i);
    switch (random_() % 5) {
    case 0:
      add_five(at(i));
      known += 5;
      return true;
    case 1:
      return __atomic_fetch_add(at(i), 3, __ATOMIC_SEQ_CST) ==
             std::exchange(known, known + 3);
    case 2:
      return __atomic_exchange_n(at(i), j, __ATOMIC_SEQ_CST) == std::exchange(known, j);
    case 3:
      if (i != j) {
        move_bytes(reinterpret_cast<Bytes>(at(j)), reinterpret_cast<Bytes>(at(i)), 4);
        words_.at(j) = known;
      }
      return true;
    default:
      return *at(i) == known;
    }
  }

  Bytes mapping_;
  std::minstd_rand random_;
  std::vector<uint32_t> words_ =
      std::vector<uint32_t>(2 * std::min<size_t>(500, huge_page / page));
};

TEST_F(Map, NoInstructionIsLostWhileTheOwnerForks)
{
  start(Kind::Anonymous, huge_page);
  const uintptr_t at = base;
  const pid_t pid = owner->pid();
  Peer mapper;
  mapper.post([=]() -> long {
    alarm(6 * patience_s);
    const OwnMapping mapping(pid, at, huge_page);
    return Words(mapping.at(0), 1).run(40000);
  });
  const long forks = owner->call([=]() -> long {
    constexpr int most = 400;
    long done = 0;
    for ([[maybe_unused]] const int round : Rounds(20, most, std::chrono::seconds(10))) {
      const pid_t child = fork();
      if (child == 0) {
        usleep(1000);
        _exit(0);
      }
      // A byte of its own in each page: copy-on-write, now by the owner, now by the
      // mapper.
      for (size_t i = static_cast<size_t>(done) % 3; i < huge_page / page; i += 3)
        *reinterpret_cast<Bytes>(at + i * page + page - 1) = 1;
      waitpid(child, nullptr, 0);
      done++;
    }
    return done;
  });
  EXPECT_GE(forks, 20);
  EXPECT_EQ(mapper.answer(), 0);
}

} // namespace
} // namespace cma_test
