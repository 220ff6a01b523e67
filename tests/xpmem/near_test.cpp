// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Attachments that lie near each other in a segment, which share a mapping: none shows
 * what was not attached, or not any more, and each is as it would be alone.
 */
#include "touch.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace cma_test {
namespace {

constexpr size_t pages = 64;

class XpmemNear : public testing::Test {
protected:
  XpmemNear()
  {
    char *const theirs = memory;
    segment = owner.call([=] {
      fill(theirs, pages, 3);
      return share_all();
    });
    permit = get(segment);
    EXPECT_GT(permit, 0);
    for (size_t i = 0; i < 4; i++) // so many that a mapping is shared from now on
      EXPECT_EQ(xpmem_detach(near(i)), 0);
  }
  ~XpmemNear() override
  {
    if (permit > 0) {
      EXPECT_EQ(xpmem_release(permit), 0);
    }
    munmap(memory, pages * page);
  }

  char *near(size_t first, size_t count = 1) const
  {
    return attach_at(permit, memory + first * page, count);
  }
  static bool shows(const char *place, size_t first, size_t count = 1)
  {
    return filled(place, count, static_cast<int>(3 + first * 7)) == count;
  }

  char *const memory = make_memory(pages);
  Peer owner;
  xpmem_segid_t segment;
  xpmem_apid_t permit;
};

TEST_F(XpmemNear, OnlyWhatIsAttachedCanBeTouched)
{
  char *const one = near(10, 2);
  char *const other = near(13, 2);
  ASSERT_EQ(other, one + 3 * page) << "they share a mapping";
  EXPECT_TRUE(shows(one, 10, 2));
  EXPECT_TRUE(shows(other, 13, 2));
  for (const int beside : {-1, 2, 5}) {
    EXPECT_EQ(reading(one + beside * static_cast<long>(page)), SIGSEGV) << beside;
    EXPECT_EQ(writing(one + beside * static_cast<long>(page)), SIGSEGV) << beside;
  }
  EXPECT_EQ(xpmem_detach(one + page + 5), 0);
  EXPECT_EQ(reading(one), SIGSEGV);
  EXPECT_EQ(reading(one + page), SIGSEGV);
  EXPECT_EQ(xpmem_detach(one), 0) << "nothing is there";
  EXPECT_TRUE(shows(other, 13, 2));
  EXPECT_EQ(writing(other), 0);
}

TEST_F(XpmemNear, TheSameMemoryTwiceIsTwoAttachments)
{
  char *const one = near(10, 4);
  char *const other = near(11, 2);
  EXPECT_EQ(xpmem_detach(one), 0);
  EXPECT_TRUE(shows(other, 11, 2));
  EXPECT_EQ(reading(one + page), SIGSEGV);
  EXPECT_EQ(xpmem_detach(other), 0);
  EXPECT_EQ(reading(other), SIGSEGV);
}

/* A thread that touches it all the time does not keep it. */
TEST_F(XpmemNear, ADetachedOneIsGoneForEveryThread)
{
  for (int round = 0; round < 100; round++) {
    char *const place = near(10, 2);
    std::atomic<int> signal = 0;
    std::atomic<bool> touched = false;
    std::thread toucher([&] {
      while (signal == 0) {
        signal = reading(place + page);
        touched = true;
      }
    });
    while (!touched)
      std::this_thread::yield();
    EXPECT_EQ(xpmem_detach(place), 0);
    toucher.join();
    ASSERT_EQ(signal, SIGSEGV);
  }
}

TEST_F(XpmemNear, ReleaseLeavesNothing)
{
  char *const kept = near(10);
  char *const detached = near(20);
  EXPECT_EQ(reading(kept), 0);
  EXPECT_EQ(reading(detached), 0);
  EXPECT_EQ(xpmem_detach(detached), 0);
  EXPECT_EQ(xpmem_release(permit), 0);
  for (char *const place : {kept, detached}) {
    EXPECT_EQ(reading(place), SIGSEGV);
    EXPECT_EQ(msync(place, page, MS_ASYNC), -1) << "its address space is free again";
  }
  permit = -1;
}

TEST_F(XpmemNear, TheOwnersEndIsABusErrorAndNoNewAttachment)
{
  char *const place = near(10);
  EXPECT_EQ(reading(place), 0);
  owner.kill(SIGKILL);
  owner.wait();
  EXPECT_EQ(reading(place), SIGBUS);
  EXPECT_EQ(near(20), failed);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(xpmem_detach(place), 0);
  EXPECT_EQ(reading(place), SIGSEGV);
}

TEST_F(XpmemNear, MunmapOfOneLeavesTheOthers)
{
  char *const one = near(10, 3);
  char *const other = near(13, 2);
  EXPECT_EQ(munmap(one + page, page), 0);
  EXPECT_TRUE(shows(one, 10));
  EXPECT_TRUE(shows(other, 13, 2));
  EXPECT_EQ(xpmem_detach(one), 0);
  EXPECT_EQ(reading(one), SIGSEGV);
  EXPECT_EQ(reading(one + 2 * page), SIGSEGV);
  EXPECT_TRUE(shows(other, 13, 2));
  char *const again = near(10, 3);
  ASSERT_NE(again, failed);
  EXPECT_TRUE(shows(again, 10, 3));
  EXPECT_EQ(xpmem_detach(other + page), 0);
  EXPECT_EQ(reading(other), SIGSEGV);
}

TEST_F(XpmemNear, InThreads)
{
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 300; i++) {
        const size_t first = (t * 7 + i) % (pages - 2);
        char *const place = near(first, 2);
        wrong += place == failed || !shows(place, first, 2);
        wrong += xpmem_detach(place + page) != 0;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

/// How many mappings of the device this process has.
size_t mappings_of_device()
{
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.ends_with("anon_inode:[cma]");
  return count;
}

/// Of /proc/self/status, in kB.
size_t status_of(const std::string &name)
{
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name + ":"))
      return std::stoul(line.substr(name.size() + 1));
  return 0;
}

/* They take a bit or two a page, and page tables as the owner's memory does. */
TEST(XpmemMany, AHundredThousandAttachments)
{
  constexpr size_t many = 100000;
  const size_t parts = (2 * many * page >> 26) + 1; // of 64 MB, as one mapping is
  const size_t most = parts * 3 + 3;                // and two before each
  char *const memory = make_memory(2 * many);
  ASSERT_NE(memory, nullptr);
  Peer owner;
  const auto segment = owner.call([=] {
    for (size_t i = 0; i < many; i += 1000)
      memory[2 * i * page] = static_cast<char>(i / 1000 + 1);
    return share_all();
  });
  const auto permit = get(segment);
  std::vector<char *> places;
  places.reserve(many);
  const size_t before = status_of("RssAnon") + status_of("VmPTE");
  for (size_t i = 0; i < many; i++) // apart, so that each shows a page alone
    places.push_back(attach_at(permit, memory + 2 * i * page));
  EXPECT_EQ(std::ranges::count(places, failed), 0);
  EXPECT_LE(mappings_of_device(), most);
  EXPECT_LE(status_of("RssAnon") + status_of("VmPTE"), before + 4096);
  for (size_t i = 0; i < many; i += 1000) {
    EXPECT_EQ(*places[i], static_cast<char>(i / 1000 + 1));
    if (places[i + 1] == places[i] + 2 * page) { // in one mapping
      EXPECT_EQ(reading(places[i] + page), SIGSEGV) << i;
    }
  }
  std::ranges::shuffle(places, std::mt19937(1));
  for (size_t i = 0; i < many / 2; i++)
    ASSERT_EQ(xpmem_detach(places[i]), 0) << i;
  for (size_t i = 0; i < many; i += 500)
    EXPECT_EQ(reading(places[i]), i < many / 2 ? SIGSEGV : 0) << i;
  EXPECT_EQ(xpmem_release(permit), 0);
  EXPECT_EQ(mappings_of_device(), 0U);
  for (size_t i = 0; i < many; i += 500)
    EXPECT_EQ(reading(places[i]), SIGSEGV) << i;
  munmap(memory, 2 * many * page);
}

} // namespace
} // namespace cma_test
