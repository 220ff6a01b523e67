// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What the module tells of its work: the counters in /sys/class/misc/cma, and
 * the trace events. Nobody else uses the device meanwhile.
 */
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace cma_test {
namespace {

struct Counters {
  int64_t copies = 0;
  int64_t bytes = 0;
  int64_t faults = 0;
  int64_t denials = 0;

  bool operator==(const Counters &) const = default;
};

std::ostream &operator<<(std::ostream &out, const Counters &counters)
{
  return out << counters.copies << " copies, " << counters.bytes << " bytes, "
             << counters.faults << " faults, " << counters.denials << " denials";
}

std::string counter_path(const char *name)
{
  return std::string("/sys/class/misc/cma/") + name;
}

Counters read_counters()
{
  return {module_counter("copies"), module_counter("bytes"), module_counter("faults"),
          module_counter("denials")};
}

class Observed : public testing::Test {
protected:
  static inline const size_t size = 4 * page;
  Twin twin{size, size};

  Outcome copy(Route route, uintptr_t remote, size_t length, bool write = false)
  {
    const iovec here = segment(twin.local().base(), length);
    const iovec there = segment(remote, length);
    return run(twin.device(), route, twin.target(), {write, &here, 1, &there, 1, 0});
  }
  template<class Action>
  Counters change(const Action &action)
  {
    const Counters before = read_counters();
    action();
    const Counters after = read_counters();
    return {after.copies - before.copies, after.bytes - before.bytes,
            after.faults - before.faults, after.denials - before.denials};
  }
};

/// Who reads them before and after learns of each request of others.
TEST_F(Observed, CountersAreReadableByRootAlone)
{
  for (const char *name : {"copies", "bytes", "faults", "denials", "fills", "collisions",
                           "invalidations", "evictions", "vmaps"}) {
    struct stat status {};
    ASSERT_EQ(stat(counter_path(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0400) << name;
    Peer user([] { become(alice); });
    EXPECT_EQ(user.call([=] {
      return Outcome::of(open(counter_path(name).c_str(), O_RDONLY)).error;
    }),
              EACCES)
        << name;
  }
  const Counters now = read_counters();
  EXPECT_GE(now.copies, 0);
  EXPECT_GE(now.bytes, 0);
}

TEST_F(Observed, CopiesAndTheirBytes)
{
  const uintptr_t there = twin.remote().base();
  for (const Route route : {Route::Pid, Route::PidStrict, Route::Pidfd, Route::Handle})
    for (const bool write : {false, true}) {
      SCOPED_TRACE(name_of(route));
      const auto once =
          change([&] { EXPECT_EQ(copy(route, there, 1234, write), gives(1234)); });
      EXPECT_EQ(once, (Counters{1, 1234, 0, 0}));
    }
  const auto often = change([&] {
    for (int i = 0; i < 100; i++)
      copy(Route::Handle, there, page);
  });
  EXPECT_EQ(often, (Counters{100, 100 * static_cast<int64_t>(page), 0, 0}));
}

TEST_F(Observed, Faults)
{
  const uintptr_t end = twin.remote().at(size);
  const auto partly =
      change([&] { EXPECT_EQ(copy(Route::Pid, end - 100, 200), gives(100)); });
  EXPECT_EQ(partly, (Counters{1, 100, 1, 0}));
  const auto wholly =
      change([&] { EXPECT_EQ(copy(Route::Pid, end, 200), fails(EFAULT)); });
  EXPECT_EQ(wholly, (Counters{1, 0, 1, 0}));
}

TEST_F(Observed, Denials)
{
  const uintptr_t there = twin.remote().base();
  const auto denied = change([&] {
    const Persona other(bob, bob);
    for (const Route route : {Route::Pid, Route::PidStrict, Route::Pidfd})
      EXPECT_EQ(copy(route, there, 8), fails(EPERM));
    EXPECT_EQ(copy(Route::HandleStrict, there, 8), fails(EPERM));
    EXPECT_EQ(twin.device().open(CMA_PEER_PID, twin.target().pid), fails(EPERM));
  });
  EXPECT_EQ(denied, (Counters{0, 0, 0, 5}));
}

TEST_F(Observed, WhatIsNoCopyIsNotCounted)
{
  const uintptr_t there = twin.remote().base();
  const auto nothing = change([&] {
    EXPECT_EQ(copy(Route::Pid, there, 0), gives(0));
    EXPECT_EQ(copy(Route::Pid, there, ~0UL), fails(EINVAL));
    const iovec segment_here = segment(twin.local().base(), 8);
    const Call call = {false, &segment_here, 1, &segment_here, 1, 0};
    EXPECT_EQ(run(twin.device(), Route::Pid, {-1, -1, 0}, call), fails(ESRCH));
    EXPECT_EQ(run(twin.device(), Route::Handle, {-1, -1, 999}, call), fails(ENOENT));
    twin.device().info();
  });
  EXPECT_EQ(nothing, Counters{});
}

/// Pages pinned and not yet unpinned, by the kernel's own count; -1 where it does not
/// count.
int64_t pinned_pages()
{
  std::ofstream("/proc/sys/vm/stat_refresh") << 1; // or the CPUs' shares are missing
  int64_t acquired = -1;
  int64_t released = 0;
  std::ifstream vmstat("/proc/vmstat");
  for (std::string word; vmstat >> word;) {
    if (word == "nr_foll_pin_acquired")
      vmstat >> acquired;
    else if (word == "nr_foll_pin_released")
      vmstat >> released;
  }
  return acquired < 0 ? -1 : acquired - released;
}

TEST_F(Observed, NoPageStaysPinned)
{
  const int64_t before = pinned_pages();
  if (before < 0)
    GTEST_SKIP() << "this kernel does not count pinned pages";
  const uintptr_t there = twin.remote().base();
  const uintptr_t end = there + size;
  const uintptr_t hole = twin.local().at(size) - 5; // five bytes before a local hole
  for (const bool write : {false, true})
    for (const Route route : {Route::Pid, Route::Handle}) {
      EXPECT_EQ(copy(route, there, 1, write), gives(1));
      EXPECT_EQ(copy(route, there + 9, 3 * page, write), gives(3 * page));
      EXPECT_EQ(copy(route, end - 9, page, write), gives(9));
      EXPECT_EQ(copy(route, end, page, write), fails(EFAULT));
      const iovec here = segment(hole, page);
      const iovec peers = segment(there, 2 * page);
      EXPECT_EQ(run(twin.device(), route, twin.target(), {write, &here, 1, &peers, 1, 0}),
                gives(5));
    }
  EXPECT_EQ(pinned_pages(), before);
}

/// The trace while it is on, and empty before.
class Trace {
public:
  Trace()
  {
    write("trace", "");
    write("events/cmad/enable", "1");
  }
  Trace(const Trace &) = delete;
  Trace &operator=(const Trace &) = delete;
  ~Trace() { write("events/cmad/enable", "0"); }

  static bool exists() { return access("/sys/kernel/tracing/events", F_OK) == 0; }
  /// What an event of that name says, line by line.
  std::vector<std::string> lines(const std::string &event) const
  {
    std::vector<std::string> found;
    std::ifstream trace("/sys/kernel/tracing/trace");
    for (std::string line; std::getline(trace, line);) {
      const size_t at = line.find(event + ": ");
      if (at != std::string::npos)
        found.push_back(line.substr(at + event.size() + 2));
    }
    return found;
  }

private:
  static void write(const std::string &name, const char *text)
  {
    std::ofstream("/sys/kernel/tracing/" + name) << text;
  }
};

bool says(const std::string &line, const std::string &words)
{
  return (" " + line + " ").find(" " + words + " ") != std::string::npos;
}

TEST_F(Observed, TraceEvents)
{
  if (!Trace::exists())
    GTEST_SKIP() << "no tracefs at /sys/kernel/tracing";
  const Trace trace;
  EXPECT_EQ(copy(Route::Pid, twin.remote().base(), 1234), gives(1234));
  EXPECT_EQ(copy(Route::Handle, twin.remote().at(size - 100), 300, true), gives(100));
  const auto begin = trace.lines("cmad_copy_begin");
  const auto end = trace.lines("cmad_copy_end");
  ASSERT_EQ(begin.size(), 2);
  ASSERT_EQ(end.size(), 2);
  EXPECT_TRUE(says(begin[0], "read bytes=1234 segments=1:1")) << begin[0];
  EXPECT_TRUE(says(begin[1], "write bytes=300 segments=1:1")) << begin[1];
  EXPECT_TRUE(says(end[0], "copied=1234 error=0 fault=none")) << end[0];
  std::ostringstream address;
  address << "0x" << std::hex << twin.remote().at(size);
  EXPECT_TRUE(says(end[1], "copied=100")) << end[1];
  EXPECT_TRUE(says(end[1], "fault=remote addr=" + address.str())) << end[1];
  // The two events of a copy name the same memory, and all four here the same peer.
  const auto memory = [](const std::string &line) {
    return line.substr(0, line.find(' '));
  };
  for (const auto &line : {begin[1], end[0], end[1]})
    EXPECT_EQ(memory(line), memory(begin[0]));
}

} // namespace
} // namespace cma_test
