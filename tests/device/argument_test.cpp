// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Arguments that are wrong, alone and together: addresses that are nobody's,
 * lengths and counts that overflow, and the order in which the kernel notices.
 */
#include "support/persona.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <climits>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>

namespace cma_test {
namespace {

const size_t size = 4 * page;
constexpr size_t ssize_max = SSIZE_MAX;

class Argument : public testing::Test {
protected:
  Twin twin{size, size};
  Peer stranger; ///< root's, for a caller who has given up root

  std::vector<iovec> here() const { return {segment(twin.local().at(8), 100)}; }
  std::vector<iovec> there() const { return {segment(twin.remote().at(8), 100)}; }
};

/// Addresses that no process can have, or that sit at the edge of what it can have.
const uintptr_t odd_addresses[] = {
    0,
    1,
    page,
    0x00007fffffffefff, // the last byte of a process
    0x00007ffffffff000,
    0x0000800000000000, // not canonical
    0x8000000000000000,
    0xffff800000000000, // the kernel's half
    0xffffffff81000000,
    0xffffffffff600000, // the vsyscall page
    0xfffffffffffff000,
    0xffffffffffffffff,
};

TEST_F(Argument, OddAddressesOnEitherSide)
{
  for (const uintptr_t address : odd_addresses)
    for (const size_t length : {0UL, 1UL, 8UL, 2 * page})
      for (const bool write : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << std::hex << "0x" << address << ", length " << length);
        const iovec odd = segment(address, length);
        const iovec mine = here().front();
        const iovec theirs = there().front();
        const Outcome remote = twin.same({write, here(), {odd}, 0});
        // Some kernels let the vsyscall page be read.
        const bool known = length == 0 || address != 0xffffffffff600000;
        if (known) {
          EXPECT_EQ(remote, length == 0 ? gives(0) : fails(EFAULT));
        }
        const Outcome second =
            twin.same({write, {segment(twin.local().at(8), 500)}, {theirs, odd}, 0});
        if (known) {
          EXPECT_EQ(second, gives(100)) << "progress comes before the fault";
        }
        twin.same({write, {odd}, there(), 0});
        twin.same({write, {odd, mine}, there(), 0});
        twin.same({write, {segment(twin.local().at(8), 50), odd}, there(), 0});
      }
}

TEST_F(Argument, LengthsThatOverflow)
{
  const std::initializer_list<size_t> lengths = {
      0x7fffe000, 0x7ffff000, 0x7ffff001,    0x80000000,       UINT_MAX,
      1UL << 32,  ssize_max,  ssize_max + 1, ULONG_MAX - page, ULONG_MAX};
  for (const size_t length : lengths)
    for (const bool write : {false, true}) {
      SCOPED_TRACE(testing::Message() << std::hex << "length 0x" << length);
      const bool negative = length > ssize_max;
      const iovec mine = segment(twin.local().at(page), length);
      const iovec theirs = segment(twin.remote().at(page), length);
      const iovec nothing = segment(twin.remote().at(0), 0);
      // A long segment on one side only: the other side ends the copy.
      EXPECT_EQ(twin.same({write, here(), {theirs}, 0}),
                negative ? fails(EINVAL) : gives(100));
      EXPECT_EQ(twin.same({write, here(), {nothing, theirs}, 0}),
                negative ? fails(EINVAL) : gives(100));
      twin.same({write, {mine}, there(), 0});
      twin.same({write, {here().front(), mine}, there(), 0});
      // Sums that pass what 63 and 64 bits hold.
      twin.same({write, here(), {theirs, theirs, theirs}, 0});
      twin.same({write, {mine, mine, mine}, there(), 0});
      // On both sides the memory ends first.
      twin.same({write, {mine}, {theirs}, 0});
    }
}

TEST_F(Argument, OneBadLengthAmongMany)
{
  for (const size_t count : {8UL, 9UL, 100UL, 1024UL})
    for (const size_t bad : {size_t{0}, size_t{7}, count - 1})
      for (const bool write : {false, true}) {
        SCOPED_TRACE(testing::Message() << "segment " << bad << " of " << count);
        auto local = cut(twin.local().base(), 2 * page, count);
        auto remote = cut(twin.remote().base(), 2 * page, count);
        local[bad].iov_len = ssize_max + 1;
        EXPECT_EQ(twin.same({write, local, there(), 0}), fails(EINVAL));
        remote[bad].iov_len = ssize_max + 1;
        EXPECT_EQ(twin.same({write, here(), remote, 0}), fails(EINVAL));
      }
}

TEST_F(Argument, CountsThatOverflow)
{
  const auto local = here();
  const auto remote = there();
  for (const uint64_t count : {1025UL, 65537UL, 1UL << 31, 1UL << 32, 1UL << 63, ~0UL})
    for (const bool write : {false, true}) {
      SCOPED_TRACE(testing::Message() << count << " segments");
      EXPECT_EQ(twin.same({write, local.data(), 1, remote.data(), count, 0}),
                fails(EINVAL));
      // The system call loses the upper half of the local count; the device must not.
      for (const uint32_t flags : {0U, CMA_COPY_MANY}) {
        const Call call = {write, local.data(), count, remote.data(), 1, flags};
        const bool fits = flags != 0 && count <= twin.device().info().max_iov_many;
        if (!fits) {
          EXPECT_EQ(run(twin.device(), Route::Pid, twin.target(), call), fails(EINVAL));
        }
      }
    }
}

/// A page for lists of segments, with none behind it.
class EdgeOfMemory {
public:
  EdgeOfMemory() = default;
  EdgeOfMemory(const EdgeOfMemory &) = delete;
  EdgeOfMemory &operator=(const EdgeOfMemory &) = delete;
  ~EdgeOfMemory() { unmap(memory_, page); }

  /// Where the last count segments of the page are.
  iovec *last(size_t count) const
  {
    return reinterpret_cast<iovec *>(memory_ + page) - count;
  }

private:
  uintptr_t memory_ = make_memory(Kind::Anonymous, page);
};

TEST_F(Argument, SegmentListsThatEndWithTheMemory)
{
  // The list is whole; a segment further it is not. Few segments and many are read apart.
  const EdgeOfMemory edge;
  for (const size_t count : {2UL, 8UL, 9UL, 100UL})
    for (const bool write : {false, true}) {
      SCOPED_TRACE(count);
      iovec *list = edge.last(count);
      const auto local = here();
      const auto remote = there();
      std::fill_n(list, count, local.front());
      EXPECT_EQ(twin.same({write, list, count, remote.data(), 1, 0}), gives(100));
      EXPECT_EQ(twin.same({write, list, count + 1, remote.data(), 1, 0}), fails(EFAULT));
      std::fill_n(list, count, remote.front());
      EXPECT_EQ(twin.same({write, local.data(), 1, list, count, 0}), gives(100));
      EXPECT_EQ(twin.same({write, local.data(), 1, list, count + 1, 0}), fails(EFAULT));
      // A bad length in front of the end: kernels differ in which they see first.
      for (const size_t bad : {size_t{0}, count - 1}) {
        std::fill_n(list, count, local.front());
        list[bad].iov_len = ssize_max + 1;
        twin.same({write, list, count + 1, remote.data(), 1, 0});
        twin.same({write, local.data(), 1, list, count + 1, 0});
      }
    }
}

TEST_F(Argument, SegmentListsThatAreNowhere)
{
  const auto local = here();
  const auto remote = there();
  for (const uintptr_t address : odd_addresses)
    for (const uint64_t count : {0UL, 1UL, 9UL, 1024UL, 1025UL})
      for (const bool write : {false, true}) {
        SCOPED_TRACE(testing::Message() << std::hex << count << " at 0x" << address);
        const auto *nowhere = reinterpret_cast<const iovec *>(address);
        twin.same({write, nowhere, count, remote.data(), 1, 0}, {Route::Pid});
        twin.same({write, local.data(), 1, nowhere, count, 0}, {Route::Pid});
      }
}

TEST_F(Argument, MappingsOfTheKernel)
{
  // vvar is a mapping without pages, vdso one with pages that are nobody's own. From 7.3
  // on both can be read: where there is no clock, which would tell the copies apart.
  std::ifstream maps("/proc/self/maps"); // the peer was forked: the same there
  for (std::string line; std::getline(maps, line);) {
    if (line.find("[v") == std::string::npos)
      continue;
    SCOPED_TRACE(line);
    const uintptr_t start = std::stoul(line, nullptr, 16);
    for (const bool write : {false, true})
      twin.same({write, here(), {segment(start + page - 100, 100)}, 0});
  }
}

/// One of the two vectors of a request, in every way it can be wrong.
struct Vector {
  const char *name;
  std::vector<iovec> segments;
  uint64_t count;
  bool readable = true;
};

std::vector<Vector> vectors(const Arena &arena)
{
  const iovec good = segment(arena.at(16), 64);
  const iovec negative = segment(arena.at(16), ssize_max + 1);
  const iovec nowhere = segment(0xffff800000000000, 64);
  const iovec hole = segment(arena.at(size), 64);
  const iovec nothing = segment(arena.at(0), 0);
  return {
      {"good", {good}, 1},
      {"none", {}, 0},
      {"empty", {nothing, nothing}, 2},
      {"too many", {good}, 1025},
      {"list unreadable", {good}, 1, false},
      {"too many, list unreadable", {good}, 1025, false},
      {"negative length", {negative}, 1},
      {"negative length second", {good, negative}, 2},
      {"the kernel's address", {nowhere}, 1},
      {"the kernel's address, then negative", {nowhere, negative}, 2},
      {"a hole", {hole}, 1},
  };
}

TEST_F(Argument, OrderOfChecks)
{
  const auto *unreadable = reinterpret_cast<const iovec *>(8);
  const Arena &arena = twin.local();
  for (const Vector &local : vectors(arena))
    for (const Vector &remote : vectors(twin.remote()))
      for (const bool write : {false, true}) {
        const Call call = {
            write,        local.readable ? local.segments.data() : unreadable,
            local.count,  remote.readable ? remote.segments.data() : unreadable,
            remote.count, 0};
        for (const pid_t pid : {twin.target().pid, 0, -1, INT_MAX, stranger.pid()}) {
          SCOPED_TRACE(testing::Message() << "local " << local.name << ", remote "
                                          << remote.name << ", pid " << pid);
          // Without root: the peer and the stranger are refused.
          const Persona alice(1000, 1000);
          const Target target = {pid, -1, 0};
          const Outcome reference = run(twin.device(), Route::Syscall, target, call);
          EXPECT_EQ(run(twin.device(), Route::Pid, target, call), reference);
          EXPECT_EQ(run(twin.device(), Route::PidStrict, target, call), reference);
          if (std::string_view(local.name) == "good" &&
              std::string_view(remote.name) == "good") {
            EXPECT_EQ(reference, fails(pid > 0 && pid < INT_MAX ? EPERM : ESRCH));
          }
        }
        twin.same(call, {Route::Pid, Route::Handle});
      }
}

TEST_F(Argument, OrderOfChecksWithAPeerThatIsNone)
{
  // Where the system call says ESRCH of a pid, the device says EBADF or ENOENT.
  const auto *unreadable = reinterpret_cast<const iovec *>(8);
  const Target target = {-1, -1, 12345};
  for (const Vector &local : vectors(twin.local()))
    for (const Vector &remote : vectors(twin.remote())) {
      SCOPED_TRACE(testing::Message()
                   << "local " << local.name << ", remote " << remote.name);
      const Call call = {
          false,        local.readable ? local.segments.data() : unreadable,
          local.count,  remote.readable ? remote.segments.data() : unreadable,
          remote.count, 0};
      const Outcome reference = run(twin.device(), Route::Syscall, target, call);
      const bool judged = reference == fails(ESRCH);
      EXPECT_EQ(run(twin.device(), Route::Pid, target, call), reference);
      EXPECT_EQ(run(twin.device(), Route::Pidfd, target, call),
                judged ? fails(EBADF) : reference);
      EXPECT_EQ(run(twin.device(), Route::Handle, target, call),
                judged ? fails(ENOENT) : reference);
    }
}

} // namespace
} // namespace cma_test
