// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The cache within bounds: eviction, reclaim, unloading, and owners that come
 * and go by the thousand.
 */
#include "scenario.hpp"
#include "system.hpp"
#include "use.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

const Plan busy = {.pages = 4096,
                   .author = {Op::Unmap, Op::DontNeed, Op::Remap},
                   .mover = {Op::Fork},
                   .writer = true};

/// A scenario with more chunks in use than may be kept.
void run_evicting(const char *parameter, const char *value)
{
  const Setting limit = module_parameter(parameter, value);
  if (!limit)
    GTEST_SKIP() << "the module has no parameter " << parameter;
  const uint64_t before = counter("evictions").value_or(0);
  Scenario scenario(busy);
  scenario.run();
  EXPECT_GT(counter("evictions").value_or(0), before + 5);
}

TEST(Bound, FewChunks)
{
  run_evicting("max_chunks", "4");
}

TEST(Bound, FewChunksOfASpace)
{
  run_evicting("max_chunks_per_space", "2");
}

TEST(Bound, NoChunks)
{
  const Setting limit = module_parameter("max_chunks", "0");
  if (!limit)
    GTEST_SKIP() << "the module has no parameter max_chunks";
  const auto before = counter("fills");
  Plan plan = busy;
  plan.mapped = false; // what is mapped has to be cached
  plan.milliseconds = 1500;
  Scenario scenario(plan);
  scenario.start_traffic();
  scenario.start_owner();
  scenario.finish_traffic();
  scenario.finish_owner();
  EXPECT_EQ(scenario.oracle().findings(), 0U);
  EXPECT_EQ(counter("fills"), before);
}

/// 4.5 kB for 2 MB: less than 0.3 % of it.
TEST(Bound, AsManyChunksAsCoverTheMemory)
{
  struct sysinfo machine {};
  ASSERT_EQ(sysinfo(&machine), 0);
  const uint64_t cover = machine.totalram * machine.mem_unit >> 21;
  const uint64_t all = std::clamp<uint64_t>(cover, 4096, 1U << 20);
  const std::string parameters = "/sys/module/cma/parameters/";
  EXPECT_EQ(get_value(parameters + "max_chunks"), all);
  EXPECT_EQ(get_value(parameters + "max_chunks_per_space"), all / 4);
}

/// Hazard 6: filling needs memory, and getting it takes the owner's, and ours.
TEST(Bound, Reclaim)
{
  if (!has_swap())
    GTEST_SKIP() << "this guest has no swap";
  const Cgroup cgroup;
  if (!cgroup || !cgroup.set("memory.high", "10M"))
    GTEST_SKIP() << "no memory cgroups here";
  ASSERT_TRUE(cgroup.add(getpid())); // and so all peers of the scenario
  const uint64_t before = cgroup.number("memory.events", "high");
  const uint64_t swapped = vm_event("pswpout");
  {
    Plan plan = busy;
    plan.mover = {Op::Fork, Op::PageOut};
    Scenario scenario(plan);
    scenario.oracle().hungry = true;
    scenario.run();
  }
  put_value("/sys/fs/cgroup/cgroup.procs", std::to_string(getpid()));
  EXPECT_GT(cgroup.number("memory.events", "high"), before);
  EXPECT_GT(vm_event("pswpout"), swapped);
}

/// Reclaim asks again and again, as often as copies and changes go on in between.
TEST(Bound, Shrinker)
{
  const uint64_t before = counter("evictions").value_or(0);
  Scenario scenario(busy);
  Oracle &oracle = scenario.oracle();
  scenario.start_traffic();
  scenario.start_owner();
  while (oracle.running()) {
    const uint64_t copies = oracle.copies + 20;
    const uint64_t changes = oracle.changes() + 5;
    while (oracle.running() && (oracle.copies < copies || oracle.changes() < changes))
      usleep(5000);
    put_value("/proc/sys/vm/drop_caches", "2");
  }
  scenario.finish_traffic();
  scenario.finish_owner();
  scenario.expect_sound();
  EXPECT_GT(counter("evictions").value_or(0), before) << "reclaim got nothing";
}

constexpr size_t processes = 20;

/// Children that have our memory, for as long as it takes to copy that from each.
void meet_some(const Device &device, const Buffer &theirs, const Buffer &mine,
               size_t bytes)
{
  std::array<pid_t, processes> children{};
  std::array<int32_t, processes> handles{};
  for (pid_t &child : children) {
    child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
  }
  for (size_t i = 0; i < processes; i++) {
    const Fd pidfd(pidfd_open(children.at(i)));
    const Target target = names_of(device, children.at(i), pidfd);
    handles.at(i) = target.handle;
    const iovec local = segment(mine.address(), bytes);
    const iovec remote = segment(theirs.address(), bytes);
    for (const Route route : {Route::Handle, Route::Pid, Route::Handle})
      EXPECT_EQ(run(device, route, target, {false, &local, 1, &remote, 1, 0}),
                gives(static_cast<int64_t>(bytes)));
  }
  for (const pid_t child : children)
    kill(child, SIGKILL);
  for (const pid_t child : children)
    waitpid(child, nullptr, 0);
  for (const int32_t handle : handles)
    EXPECT_EQ(device.close(handle), gives(0));
}

/// What a space would leave behind: the mm_struct it holds, and its chunks' entries.
struct Footprint {
  size_t spaces = slab_objects("mm_struct");
  size_t chunks = slab_objects("kmalloc-cg-4k") + slab_objects("kmalloc-4k");

  bool exceeds(const Footprint &before, size_t spaces_more, size_t chunks_more) const
  {
    return spaces > before.spaces + spaces_more || chunks > before.chunks + chunks_more;
  }
};

/// Freeing is put off, but not for ever.
Footprint settled(const Footprint &before, size_t spaces_more, size_t chunks_more)
{
  Footprint after;
  for (int i = 0; i < 100 && after.exceeds(before, spaces_more, chunks_more); i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    after = Footprint();
  }
  printf("  %zu address spaces, %zu pages of slab; then %zu, %zu\n", before.spaces,
         before.chunks, after.spaces, after.chunks);
  return after;
}

void meet(const Device &device, size_t count)
{
  const size_t bytes = 64 * page; // enough to be translated
  const Buffer theirs(bytes);
  const Buffer mine(bytes);
  std::fill_n(theirs.words(), bytes / sizeof(uint64_t), 1);
  for (size_t met = 0; met < count; met += processes)
    meet_some(device, theirs, mine, bytes);
}

/// An open file remembers no more peers than its verdicts have room for, and the dead's
/// chunks are gone at once.
TEST(Bound, PeersThatComeAndGo)
{
  constexpr size_t verdicts = 256;
  constexpr size_t slack = 40;
  const Device device;
  meet(device, processes);
  const Footprint before;
  meet(device, verdicts + 2 * slack);
  EXPECT_FALSE(
      settled(before, verdicts + slack, slack).exceeds(before, verdicts + slack, slack));
}

TEST(Bound, PeersOfAClosedFile)
{
  meet(Device(), processes);
  const Footprint before;
  meet(Device(), 4 * processes);
  EXPECT_FALSE(settled(before, processes, 2 * processes)
                   .exceeds(before, processes, 2 * processes));
}

void load_again()
{
  ASSERT_EQ(system("modprobe -r cma"), 0) << "something still holds the module";
  ASSERT_EQ(system("modprobe cma && chmod 0666 /dev/cma"), 0);
}

TEST(Bound, UnloadsAfterUse)
{
  Plan plan = busy;
  plan.milliseconds = 1000;
  for (int round = 0; round < 2; round++) {
    {
      Scenario scenario(plan);
      scenario.run();
    }
    ASSERT_NO_FATAL_FAILURE(load_again());
  }
}

/// Reads the number of each chunk, twice, so that it is cached, while others read those
/// of all before. How many reads went wrong.
long read_more_and_more(pid_t owner, uintptr_t base, size_t chunks)
{
  const Device device;
  const int32_t handle = handle_of(device, owner);
  std::atomic<long> wrong = 0;
  std::atomic<size_t> made = 0;
  const auto read = [&](size_t i) {
    uint64_t number = ~i;
    const int64_t got =
        read_by_handle(device, handle, reinterpret_cast<uintptr_t>(&number),
                       base + i * chunk, sizeof(number));
    wrong += got == sizeof(number) && number == i ? 0 : 1;
  };
  std::vector<std::thread> others;
  for (size_t step : {1, 7})
    others.emplace_back([&, step] {
      for (size_t i = 0; made < chunks; i += step)
        if (made > 0)
          read(i % made);
    });
  while (made < chunks) {
    read(made);
    read(made);
    made++;
  }
  for (std::thread &other : others)
    other.join();
  return wrong;
}

/// It is small as the module is loaded, and twice too small for as many, where there is
/// time for them.
TEST(Bound, EveryChunkIsFoundWhileTheirTableGrows)
{
  const auto chunks = static_cast<size_t>(enough(5000, 1500));
  ASSERT_NO_FATAL_FAILURE(load_again());
  const Setting limit = module_parameter("max_chunks", std::to_string(4 * chunks));
  const Setting of_one =
      module_parameter("max_chunks_per_space", std::to_string(2 * chunks));
  const uintptr_t base = make_sparse(chunks);
  for (size_t i = 0; i < chunks; i++)
    *reinterpret_cast<volatile uint64_t *>(base + i * chunk) = i;
  Peer reader;
  const auto read_all = [=, owner = getpid()] {
    return read_more_and_more(owner, base, chunks);
  };
  const Device device; // keeps what is known between the two
  const int32_t handle = handle_of(device, getpid());
  EXPECT_EQ(reader.call(read_all), 0);
  const auto before = counter("fills");
  EXPECT_EQ(reader.call(read_all), 0);
  EXPECT_EQ(counter("fills"), before) << "a chunk was not found any more";
  device.close(handle);
  unmap(base, chunks * chunk);
}

} // namespace
} // namespace cma_test
