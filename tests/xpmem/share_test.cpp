// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Sharing in the terms of XPMEM: two processes, two segments, two attachments, all of
 * an address space, many peers, and who may have what.
 */
#include "touch.hpp"

#include <cerrno>
#include <deque>
#include <functional>
#include <sched.h>
#include <sys/wait.h>
#include <vector>

namespace cma_test {
namespace {

constexpr size_t pages = 16;
constexpr uid_t nobody = 65534;

class XpmemShare : public testing::Test {
protected:
  char *const memory = make_memory(pages);
  Peer owner;

  ~XpmemShare() override { munmap(memory, pages * page); }

  /// The owner fills its memory and shares pages of it.
  xpmem_segid_t shared(int who, uintptr_t mode = 0600, size_t first = 0,
                       size_t count = pages)
  {
    char *const from = memory + first * page;
    return owner.call([=] {
      fill(from, count, who);
      return share(from, count, mode);
    });
  }
};

TEST_F(XpmemShare, TwoProcesses)
{
  const auto segment = shared(3);
  ASSERT_GT(segment, 0);
  const auto permit = get(segment);
  ASSERT_GT(permit, 0) << strerror(errno);
  char *const mine = attach(permit, pages);
  ASSERT_NE(mine, failed) << strerror(errno);
  EXPECT_EQ(filled(mine, pages, 3), pages);
  fill(mine, pages, 4);
  char *const theirs = memory;
  EXPECT_EQ(owner.call([=] { return static_cast<long>(filled(theirs, pages, 4)); }),
            static_cast<long>(pages));
  owner.call([=] { return fill(theirs, pages, 5), 0L; });
  EXPECT_EQ(filled(mine, pages, 5), pages);
  EXPECT_EQ(xpmem_detach(mine), 0);
  EXPECT_EQ(reading(mine), SIGSEGV);
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(owner.call([=] { return long{xpmem_remove(segment)}; }), 0);
}

TEST_F(XpmemShare, TwoSegments)
{
  const auto low = shared(3, 0600, 0, 4);
  const auto high = shared(9, 0600, 8, 4);
  const auto to_low = get(low);
  const auto to_high = get(high);
  char *const first = attach(to_low, 4);
  char *const second = attach(to_high, 3, 1);
  EXPECT_EQ(filled(first, 4, 3), 4U);
  EXPECT_EQ(filled(second, 3, 9 + 7), 3U);
  EXPECT_EQ(attach(to_low, 5), failed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(attach(to_low, 1, 4), failed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(xpmem_release(to_low), 0);
  EXPECT_EQ(reading(first), SIGSEGV);
  EXPECT_EQ(reading(second), 0);
  EXPECT_EQ(xpmem_release(to_high), 0);
}

TEST_F(XpmemShare, TwoAttachments)
{
  const auto permit = get(shared(3));
  char *const one = attach(permit, pages);
  char *const other = attach(permit, 2, 5);
  ASSERT_NE(one, failed);
  ASSERT_NE(other, failed);
  one[5 * page] = 'a';
  EXPECT_EQ(other[0], 'a');
  other[page] = 'b';
  EXPECT_EQ(one[6 * page], 'b');
  EXPECT_EQ(xpmem_detach(one + 7), 0);
  EXPECT_EQ(other[page], 'b');
  EXPECT_EQ(xpmem_release(permit), 0);
}

/* What runtimes do: everything is one segment, offsets are the owner's addresses. */
TEST_F(XpmemShare, AllOfAnAddressSpace)
{
  static char in_data[] = "data";
  owner.call([] { return in_data[0] = 'D', 0L; });
  const auto permit = get(owner.call([] { return long{share_all()}; }));
  ASSERT_GT(permit, 0);
  const long on_heap = owner.call([] { return reinterpret_cast<long>(new int(4711)); });
  static thread_local long kept;
  const long on_stack =
      owner.call([] { return kept = 815, reinterpret_cast<long>(&kept); });

  char *const data = attach_at(permit, in_data);
  ASSERT_NE(data, failed) << strerror(errno);
  EXPECT_STREQ(data + reinterpret_cast<uintptr_t>(in_data) % page, "Data");
  const auto value = [&](long address) {
    char *const place = attach_at(permit, reinterpret_cast<void *>(address));
    return *reinterpret_cast<int *>(place + static_cast<size_t>(address) % page);
  };
  EXPECT_EQ(value(on_heap), 4711);
  EXPECT_EQ(value(on_stack), 815);
  const auto beyond = attach(permit, 1, (uintptr_t{1} << 47) / page - 1);
  EXPECT_TRUE(beyond == failed || reading(beyond) == SIGBUS);
  EXPECT_EQ(xpmem_release(permit), 0);
}

TEST_F(XpmemShare, ManyOwnersAndManyReaders)
{
  constexpr int many = 8;
  std::deque<Peer> peers(many);
  std::array<xpmem_segid_t, many> segments = {};
  char *const theirs = memory;
  for (size_t i = 0; i < many; i++)
    segments[i] = peers[i].call([=] {
      fill(theirs, pages, static_cast<int>(i));
      return share(theirs, pages);
    });
  for (Peer &reader : peers) {
    reader.post([=] {
      for (size_t i = 0; i < many; i++) {
        const auto permit = get(segments[i]);
        char *const mapped = attach(permit, pages);
        if (mapped == failed || filled(mapped, pages, static_cast<int>(i)) != pages)
          return 1L;
      }
      return 0L;
    });
  }
  for (Peer &reader : peers)
    EXPECT_EQ(reader.answer(), 0);
}

TEST_F(XpmemShare, TheModeDecides)
{
  Peer stranger([] {
    require(setresgid(nobody, nobody, nobody) == 0 &&
                setresuid(nobody, nobody, nobody) == 0,
            "another user");
  });
  const auto error_of = [&](xpmem_segid_t segment, int flags) {
    return stranger.call([=]() -> long { return get(segment, flags) > 0 ? 0 : errno; });
  };
  const auto closed = shared(1, 0600);
  EXPECT_EQ(error_of(closed, XPMEM_RDONLY), EACCES);
  EXPECT_EQ(error_of(closed, XPMEM_RDWR), EACCES);
  const auto readable = shared(1, 0644);
  EXPECT_EQ(error_of(readable, XPMEM_RDONLY), 0);
  EXPECT_EQ(error_of(readable, XPMEM_RDWR), EACCES);
  const auto open = shared(1, 0666);
  EXPECT_EQ(error_of(open, XPMEM_RDWR), 0);
  EXPECT_EQ(stranger.call([=]() -> long { return xpmem_remove(open) < 0 ? errno : 0; }),
            EACCES);
}

TEST_F(XpmemShare, ReadOnlyIsForReading)
{
  const auto permit = get(shared(3, 0400), XPMEM_RDONLY);
  ASSERT_GT(permit, 0);
  char *const mapped = attach(permit, pages);
  ASSERT_NE(mapped, failed) << strerror(errno);
  EXPECT_EQ(filled(mapped, pages, 3), pages);
  EXPECT_EQ(writing(mapped), SIGSEGV);
  EXPECT_NE(mprotect(mapped, page, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(xpmem_release(permit), 0);
}

TEST_F(XpmemShare, UnknownNumbers)
{
  EXPECT_EQ(get(0x123456789), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(xpmem_remove(0x123456789), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(attach(0x123456789, 1), failed);
  const auto theirs = get(shared(1));
  EXPECT_EQ(owner.call([=]() -> long { return xpmem_release(theirs) < 0 ? errno : 0; }),
            EACCES);
  EXPECT_EQ(xpmem_release(theirs), 0);
}

TEST_F(XpmemShare, OneProcessWithItself)
{
  fill(memory, pages, 6);
  const auto segment = share(memory, pages);
  const auto permit = get(segment);
  char *const again = attach(permit, pages);
  ASSERT_NE(again, failed) << strerror(errno);
  EXPECT_EQ(filled(again, pages, 6), pages);
  again[3] = 'x';
  EXPECT_EQ(memory[3], 'x');
  EXPECT_EQ(attach(permit, 1, 0, memory), failed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(xpmem_remove(segment), 0);
  munmap(again, pages * page);
}

/* A child that lives in its parent's memory acts for its parent. */
TEST_F(XpmemShare, AProgramsTwoProcessesInOneMemory)
{
  EXPECT_GT(xpmem_version(), 0);
  const auto segment = shared(3);
  static xpmem_apid_t permit;
  const pid_t child = vfork();
  if (child == 0) {
    permit = get(segment);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  char *const mine = attach(permit, pages);
  ASSERT_NE(mine, failed) << strerror(errno);
  EXPECT_EQ(filled(mine, pages, 3), pages);
  EXPECT_EQ(xpmem_release(permit), 0);
}

/// Runs a closure in the first process of a new namespace: number 1, like any other such.
bool first_of_a_namespace(const std::function<bool()> &work)
{
  const pid_t maker = fork();
  if (maker == 0) {
    const pid_t child = unshare(CLONE_NEWPID) == 0 ? fork() : -1;
    if (child == 0)
      _exit(getpid() == 1 && work() ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    _exit(status == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(maker, &status, 0);
  return status == 0;
}

/* The number of a process does not tell that it is another one. */
TEST_F(XpmemShare, AForkOfItsParentsNumber)
{
  const auto segment = shared(3);
  EXPECT_TRUE(first_of_a_namespace([&] {
    const auto permit = get(segment);
    char *const mine = attach(permit, pages);
    return first_of_a_namespace([&] {
             const bool parents = xpmem_release(permit) == -1 && errno == ENOENT;
             const auto own = get(segment);
             return parents && own > 0 && attach(own, pages) != failed;
           }) &&
           filled(mine, pages, 3) == pages && xpmem_release(permit) == 0;
  }));
}

/* But not where it would open the device for itself alone. */
TEST_F(XpmemShare, TheFirstCallInAnothersMemoryIsRefused)
{
  const pid_t child = fork();
  if (child == 0) {
    static long result;
    const pid_t grandchild = vfork();
    if (grandchild == 0) {
      result = xpmem_version() < 0 ? errno : 0;
      _exit(0);
    }
    waitpid(grandchild, nullptr, 0);
    _exit(result == XPMEM_ERRNO_NOPROC && xpmem_version() > 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

} // namespace
} // namespace cma_test
