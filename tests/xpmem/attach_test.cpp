// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Attachments as memory of the process that has them: where they are put, how they go,
 * by xpmem_detach() or behind its back, in threads and in great number.
 */
#include "rounds.hpp"
#include "touch.hpp"

#include <atomic>
#include <cerrno>
#include <sys/uio.h>
#include <thread>
#include <vector>

namespace cma_test {
namespace {

constexpr size_t pages = 16;

class XpmemAttach : public testing::Test {
protected:
  XpmemAttach()
  {
    char *const theirs = memory;
    segment = owner.call([=] {
      fill(theirs, pages, 3);
      return share(theirs, pages);
    });
    permit = get(segment);
    EXPECT_GT(permit, 0);
  }
  ~XpmemAttach() override
  {
    EXPECT_EQ(xpmem_release(permit), 0);
    munmap(memory, pages * page);
  }

  char *const memory = make_memory(pages);
  Peer owner;
  xpmem_segid_t segment;
  xpmem_apid_t permit;
};

TEST_F(XpmemAttach, SizesAreRoundedUp)
{
  auto *const place =
      static_cast<char *>(xpmem_attach({permit, 0}, 3 * page + 1, nullptr));
  ASSERT_NE(place, failed);
  EXPECT_EQ(filled(place, 4, 3), 4U);
  EXPECT_EQ(xpmem_detach(place + 4 * page - 1), 0);
  EXPECT_EQ(reading(place), SIGSEGV);
}

TEST_F(XpmemAttach, AtAPlace)
{
  char *const room = make_memory(8);
  EXPECT_EQ(attach(permit, 4, 2, room + page), room + page);
  EXPECT_EQ(filled(room + page, 4, 3 + 2 * 7), 4U);
  EXPECT_EQ(reading(room), 0);
  EXPECT_EQ(attach(permit, 4, 0, room + 2 * page), failed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(filled(room + page, 4, 3 + 2 * 7), 4U);
  munmap(room + 2 * page, page);
  EXPECT_EQ(attach(permit, 1, 0, room + 2 * page), room + 2 * page);
  EXPECT_EQ(filled(room + 2 * page, 1, 3), 1U);
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(reading(room + page), SIGSEGV);
  EXPECT_EQ(reading(room + 2 * page), SIGSEGV);
  EXPECT_EQ(reading(room + 3 * page), SIGSEGV);
  munmap(room, 8 * page);
  permit = get(segment);
}

/* With the original this ended the process. */
TEST_F(XpmemAttach, MunmapIsAsGoodAsDetach)
{
  char *const place = attach(permit, pages);
  EXPECT_EQ(filled(place, pages, 3), pages);
  EXPECT_EQ(munmap(place, pages * page), 0);
  EXPECT_EQ(xpmem_detach(place), 0);
}

TEST_F(XpmemAttach, MunmapOfAPart)
{
  char *const place = attach(permit, 8);
  EXPECT_EQ(filled(place, 8, 3), 8U);
  EXPECT_EQ(munmap(place + 2 * page, 3 * page), 0);
  EXPECT_EQ(filled(place, 2, 3), 2U);
  EXPECT_EQ(filled(place + 5 * page, 3, 3 + 5 * 7), 3U);
  EXPECT_EQ(mprotect(place, page, PROT_READ), 0);
  EXPECT_EQ(xpmem_detach(place + 7 * page), 0);
  for (size_t i : {0, 1, 5, 6, 7})
    EXPECT_EQ(reading(place + i * page), SIGSEGV) << i;
}

/* Whatever comes to a place that the program gave up itself is not the library's. */
TEST_F(XpmemAttach, StrangersAreLeftAlone)
{
  const int file = memfd_create("stranger", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(file, static_cast<off_t>(4 * page)), 0);
  for (const int strangers_file : {-1, file}) {
    char *const place = attach(permit, 4);
    munmap(place, 4 * page);
    void *stranger =
        mmap(place, 4 * page, PROT_READ | PROT_WRITE,
             MAP_FIXED | (strangers_file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED),
             strangers_file, 0);
    ASSERT_EQ(stranger, place);
    EXPECT_EQ(xpmem_detach(place), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(xpmem_release(permit), 0);
    EXPECT_EQ(writing(place), 0);
    munmap(place, 4 * page);
    permit = get(segment);
  }
  close(file);
}

TEST_F(XpmemAttach, InThreads)
{
  constexpr int rounds = 200;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < rounds; i++) {
        const auto own = get(segment);
        const size_t first = (t + i) % (pages - 2);
        char *const place = attach(own, 2, first);
        wrong +=
            place == failed || filled(place, 2, static_cast<int>(3 + first * 7)) != 2;
        wrong += i % 2 == 0 && xpmem_detach(place) != 0;
        wrong += xpmem_release(own) != 0;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(XpmemAttach, InGreatNumber)
{
  std::vector<char *> places;
  for (const int i : Rounds(1000, 5000, std::chrono::seconds(10))) {
    places.push_back(attach(permit, 1, i % pages));
    ASSERT_NE(places.back(), failed) << i << ": " << strerror(errno);
    ASSERT_EQ(places.back()[0], static_cast<char>(3 + 1 + i % pages * 7));
  }
  for (size_t i = 0; i < places.size() / 2; i++)
    ASSERT_EQ(xpmem_detach(places[i]), 0);
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(reading(places.back()), SIGSEGV);
  permit = get(segment);
}

TEST_F(XpmemAttach, IsNoMemoryToLend)
{
  char *const place = attach(permit, 1);
  char byte;
  const iovec here = {&byte, 1};
  const iovec there = {place, 1};
  EXPECT_EQ(process_vm_readv(getpid(), &here, 1, &there, 1, 0), -1);
  EXPECT_EQ(errno, EFAULT);
}

} // namespace
} // namespace cma_test
