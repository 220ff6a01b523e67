// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Where memory is short: what copies and mappings keep gives way before anybody is
 * killed, is bounded whoever made it, and what is copied from all the time is not taken
 * for cold.
 */
#include "scenario.hpp"
#include "system.hpp"
#include "use.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

/// In a process of the cgroup: copies from more chunks than it has room for, and then
/// wants that room for itself. How many copies went wrong.
long fill_room(const Cgroup &cgroup, pid_t owner, uintptr_t base, size_t chunks,
               size_t room)
{
  const Device device;
  const Buffer mine(page);
  cgroup.add(getpid());
  const int32_t handle = handle_of(device, owner);
  read_by_handle(device, handle, mine.address(), base, 64);
  cgroup.set("memory.max", std::to_string(cgroup.value("memory.current") + room));
  long wrong = 0;
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < chunks; i++)
      wrong += read_by_handle(device, handle, mine.address(), base + i * chunk, 64) == 64
                   ? 0
                   : 1;
  const Buffer more(room / 4 * 3 / page * page);
  for (size_t i = 0; i < room / 4 * 3 / page; i++)
    more.words()[i * page / sizeof(uint64_t)] = 1;
  return wrong;
}

TEST(Room, AFullCgroupKillsNobodyForTheCache)
{
  constexpr size_t chunks = 1000;
  constexpr size_t room = 2UL << 20;
  const Cgroup cgroup;
  if (!cgroup)
    GTEST_SKIP() << "no memory cgroups here";
  const uintptr_t base = make_sparse(chunks);
  const pid_t owner = getpid();
  const uint64_t before = counter("evictions").value_or(0);
  const pid_t reader = fork();
  if (reader == 0)
    _exit(fill_room(cgroup, owner, base, chunks, room) == 0 ? 0 : 1);
  int status = 0;
  waitpid(reader, &status, 0);
  EXPECT_EQ(status, 0) << "killed, or copies went wrong";
  EXPECT_EQ(cgroup.number("memory.events", "oom_kill"), 0U);
  EXPECT_GT(counter("evictions").value_or(0), before) << "the cache gave nothing back";
  unmap(base, chunks * chunk);
}

/// What a first copy may need memory for: by whom, and with how long a list.
struct First {
  Route route;
  size_t segments;
};
constexpr std::array<First, 6> firsts = {{{Route::Syscall, 1},
                                          {Route::Syscall, 512},
                                          {Route::Pid, 1},
                                          {Route::Pid, 512},
                                          {Route::PidStrict, 1},
                                          {Route::HandleStrict, 512}}};
constexpr size_t strangers = 100;

/// A process in a cgroup that has no room from a moment on, and copies then from others
/// for the first time. What it shares with the test.
struct Cramped {
  std::atomic<bool> ready;
  std::atomic<bool> full;
  std::array<std::atomic<size_t>, firsts.size()> done;
  std::array<std::atomic<std::chrono::nanoseconds>, firsts.size()> took;
};

/// Whether the kernel has KCSAN, which stops at accesses to see who else comes.
bool watches_each_access()
{
  return access("/sys/kernel/debug/kcsan", F_OK) == 0;
}

[[noreturn]] void copy_without_room(Cramped &shared, const std::vector<pid_t> &peers,
                                    uintptr_t theirs)
{
  const Device device;
  const Buffer mine(page);
  std::vector<iovec> local(512, segment(mine.address(), 8));
  std::vector<iovec> remote(512, segment(theirs, 8));
  const int32_t handle = handle_of(device, peers.back());
  mlockall(MCL_CURRENT);
  shared.ready = true;
  while (!shared.full)
    usleep(1000);
  for (size_t i = 0; i < firsts.size(); i++) {
    const auto begin = std::chrono::steady_clock::now();
    for (const pid_t peer : peers) {
      const size_t n = firsts.at(i).segments;
      const Outcome outcome = run(device, firsts.at(i).route, {peer, -1, handle},
                                  {false, local.data(), n, remote.data(), n, 0});
      shared.done.at(i) += outcome == gives(static_cast<int64_t>(n * 8)) ? 1 : 0;
    }
    shared.took.at(i) = std::chrono::steady_clock::now() - begin;
  }
  _exit(0);
}

/// As the system call's: it needs no memory that is charged, nor looks for some so hard
/// that it takes much longer: 35 s, where that was done for each segment. How long it
/// takes where each access is watched is a matter of chance.
TEST(Room, AFirstCopyNeedsNone)
{
  const Cgroup cgroup;
  if (!cgroup)
    GTEST_SKIP() << "no memory cgroups here";
  const Buffer theirs(page);
  auto &shared = *new (mmap(nullptr, page, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Cramped{};
  std::vector<pid_t> peers;
  for (size_t i = 0; i < strangers; i++) {
    peers.push_back(fork());
    if (peers.back() == 0) {
      pause();
      _exit(0);
    }
  }
  const pid_t reader = fork();
  if (reader == 0) {
    cgroup.add(getpid());
    copy_without_room(shared, peers, theirs.address());
  }
  while (!shared.ready)
    usleep(1000);
  cgroup.set("memory.swap.max", "0");
  cgroup.set("memory.max", std::to_string(cgroup.value("memory.current")));
  shared.full = true;
  int status = 0;
  waitpid(reader, &status, 0);
  EXPECT_EQ(status, 0) << "killed";
  EXPECT_EQ(cgroup.number("memory.events", "oom_kill"), 0U);
  for (size_t i = 0; i < firsts.size(); i++)
    EXPECT_EQ(shared.done.at(i), strangers) << i;
  if (!watches_each_access()) {
    for (const size_t list : {3, 5})
      EXPECT_LT(shared.took.at(list).load(), 20 * shared.took.at(1).load()) << list;
  }
  end_all(peers);
  munmap(&shared, page);
}

TEST(Room, MappingsHaveABoundWhereCopiesHaveNoCache)
{
  constexpr size_t bound = 1024; // of one process
  constexpr size_t chunks = bound + 200;
  const Setting limit = module_parameter("max_chunks", "0");
  const uintptr_t base = make_sparse(chunks);
  const uint64_t before = counter("evictions").value_or(0);
  Peer mapper;
  const pid_t owner = getpid();
  EXPECT_EQ(mapper.call([=]() -> long {
    const Device device;
    const Mapping mapping(device.fd(), handle_of(device, owner), base, chunks * chunk,
                          PROT_READ);
    long seen = 0;
    for (int round = 0; round < 2; round++)
      for (size_t i = 0; i < chunks; i++)
        seen += *reinterpret_cast<const volatile char *>(mapping.at(i * chunk));
    return seen;
  }),
            static_cast<long>(2 * chunks));
  EXPECT_GE(counter("evictions").value_or(0), before + chunks - bound);
  unmap(base, chunks * chunk);
}

/// Pages of a range that are swapped out.
size_t pages_out(pid_t pid, uintptr_t base, size_t size)
{
  const Fd file(open(("/proc/" + std::to_string(pid) + "/pagemap").c_str(), O_RDONLY));
  std::vector<uint64_t> entries(size / page);
  require(pread(file.get(), entries.data(), entries.size() * sizeof(uint64_t),
                static_cast<off_t>(base / page * sizeof(uint64_t))) >= 0,
          "pagemap");
  size_t out = 0;
  for (const uint64_t entry : entries)
    out += entry >> 62 & 1;
  return out;
}

struct PagedOut {
  uint64_t used; ///< Pages of the used part that had to be paged in again.
  size_t other;  ///< Pages of the other part that are out.
};

constexpr size_t hot = 8UL << 20;
constexpr size_t cold = 32UL << 20;

/// Asks a cgroup for memory back in which a part of an owner's is used all the time, by a
/// reader with what `prepare` gives it. What is taken at first does not count: where
/// reclaim keeps generations, it has none yet, and asks for each page again and again
/// within that one call, faster than anybody can use it.
PagedOut reclaim_beside(const Cgroup &cgroup, Use (*prepare)(pid_t owner))
{
  const uintptr_t base = make_memory(Kind::Anonymous, hot + cold);
  const Peer owner([&] {
    cgroup.add(getpid());
    madvise(reinterpret_cast<void *>(base), hot + cold, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < hot + cold; i += page)
      *reinterpret_cast<volatile size_t *>(base + i) = i;
  });
  auto &rounds = *new (mmap(nullptr, page, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<long>(0);
  Peer reader;
  reader.post([&rounds, prepare, base, pid = owner.pid()]() -> long {
    const Use use = prepare(pid);
    for (;; rounds++)
      use(base, hot);
  });
  const auto let_use = [&rounds] {
    const long enough = rounds + 3;
    for (int wait = 0; rounds < enough && wait < 6000; wait++)
      usleep(10000);
    require(rounds >= enough, "a reader that goes on");
  };
  let_use();
  require(put_value("/proc/" + std::to_string(owner.pid()) + "/clear_refs", "1"),
          "clear_refs");
  const auto reclaim = [&] {
    let_use();
    cgroup.set("memory.reclaim", "2M");
  };
  const auto major_faults = [&] { return cgroup.number("memory.stat", "pgmajfault"); };
  reclaim();
  let_use();
  const uint64_t before = major_faults();
  for (int i = 0; i < 8; i++)
    reclaim();
  let_use();
  const PagedOut out = {major_faults() - before,
                        pages_out(owner.pid(), base + hot, cold)};
  printf("  %lu pages in again that are used, %zu others out\n", out.used, out.other);
  reader.kill(SIGKILL);
  unmap(base, hot + cold);
  return out;
}

/// Pages in so many mappings that reclaim takes, where it takes most of a cgroup, and
/// nobody uses any of it.
size_t taken_of_mapped(const Cgroup &cgroup, unsigned mappings)
{
  constexpr size_t mapped = 2UL << 20;
  const uintptr_t base = make_memory(Kind::Anonymous, mapped + cold);
  const Peer owner([&] {
    cgroup.add(getpid());
    madvise(reinterpret_cast<void *>(base), mapped + cold, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < mapped + cold; i += page)
      *reinterpret_cast<volatile size_t *>(base + i) = i;
  });
  Peer mapper;
  mapper.call([=, pid = owner.pid()]() -> long {
    static std::vector<Use> uses; // and the mappings, until the process ends
    for (unsigned i = 0; i < mappings; i++) {
      uses.push_back(loads_through_a_mapping(pid));
      uses.back()(base, mapped);
    }
    return 0;
  });
  require(put_value("/proc/" + std::to_string(owner.pid()) + "/clear_refs", "1"),
          "clear_refs");
  for (size_t taken = 0; taken < mapped + cold; taken += mapped)
    cgroup.set("memory.reclaim", std::to_string(mapped));
  const size_t taken = pages_out(owner.pid(), base, mapped);
  printf("  %zu pages out of %zu with %u mappings, %zu others of %zu\n", taken,
         mapped / page, mappings, pages_out(owner.pid(), base + mapped, cold),
         cold / page);
  unmap(base, mapped + cold);
  return taken;
}

/// Reclaim takes what nobody uses before what is used all the time.
class RoomFor : public testing::Test {
protected:
  void SetUp() override
  {
    if (!has_swap())
      GTEST_SKIP() << "this guest has no swap";
    if (!cgroup || !cgroup.set("memory.reclaim", "0"))
      GTEST_SKIP() << "this kernel has no memory.reclaim";
  }

  void expect_stays(Use (*prepare)(pid_t owner)) const
  {
    const PagedOut out = reclaim_beside(cgroup, prepare);
    EXPECT_GT(out.other, cold / page / 4);
    EXPECT_LT(out.used, out.other / 100);
  }

  Cgroup cgroup;
};

TEST_F(RoomFor, WhatIsCopiedFrom)
{
  expect_stays(copies_by_handle);
}

TEST_F(RoomFor, WhatIsReadThroughAMapping)
{
  expect_stays(loads_through_a_mapping);
}

/// Of 64 mappings the kernel is told whether they were used; of more, that they were.
TEST_F(RoomFor, WhatMoreMappingsShowThanAreAsked)
{
  if (watches_each_access() || access("/sys/kernel/debug/kmemleak", F_OK) == 0)
    GTEST_SKIP() << "reclaim takes minutes for that in a kernel with sanitizers";
  EXPECT_GT(taken_of_mapped(cgroup, 64), 256U) << "not used, and not taken";
  EXPECT_LT(taken_of_mapped(cgroup, 65), 16U) << "passed for unused";
}

} // namespace
} // namespace cma_test
