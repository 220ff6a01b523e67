// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * How sharing ends: the segment removed, its owner gone, in every order with what is
 * attached; no call hangs, and no touch shows what was.
 */
#include "touch.hpp"

#include <cerrno>
#include <cstring>
#include <optional>

namespace cma_test {
namespace {

constexpr size_t pages = 4;

class XpmemEnd : public testing::Test {
protected:
  XpmemEnd()
  {
    owner.emplace();
    char *const theirs = memory;
    segment = owner->call([=] {
      fill(theirs, pages, 3);
      return share(theirs, pages);
    });
    permit = get(segment);
    mine = attach(permit, pages);
    EXPECT_EQ(filled(mine, pages, 3), pages);
  }
  ~XpmemEnd() override { munmap(memory, pages * page); }

  void expect_ended()
  {
    EXPECT_EQ(reading(mine), SIGBUS);
    EXPECT_EQ(writing(mine + page), SIGBUS);
    EXPECT_EQ(get(segment), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(attach(permit, 1), failed);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(xpmem_detach(mine), 0);
    EXPECT_EQ(xpmem_release(permit), 0);
    EXPECT_EQ(reading(mine), SIGSEGV);
  }

  char *const memory = make_memory(pages);
  std::optional<Peer> owner;
  xpmem_segid_t segment;
  xpmem_apid_t permit;
  char *mine;
};

TEST_F(XpmemEnd, ByRemoval)
{
  const auto known = segment;
  EXPECT_EQ(owner->call([=] { return long{xpmem_remove(known)}; }), 0);
  EXPECT_EQ(owner->call([=]() -> long { return xpmem_remove(known) < 0 ? errno : 0; }),
            ENOENT);
  expect_ended();
}

TEST_F(XpmemEnd, ByTheOwnersExit)
{
  owner->kill(SIGKILL);
  owner->wait();
  expect_ended();
}

TEST_F(XpmemEnd, ByTheOwnersExec)
{
  owner->post([] { return long{execlp("sleep", "sleep", "100", nullptr)}; });
  owner->wait_closed();
  expect_ended();
}

TEST_F(XpmemEnd, OfTheReaderIsNothingToTheOwner)
{
  const auto known = segment;
  Peer reader([=] { require(reading(attach(get(known), pages)) == 0, "attach"); });
  reader.kill(SIGKILL);
  reader.wait();
  char *const theirs = memory;
  EXPECT_EQ(owner->call([=] { return static_cast<long>(filled(theirs, pages, 3)); }),
            static_cast<long>(pages));
  EXPECT_EQ(owner->call([=] { return long{xpmem_remove(known)}; }), 0);
  expect_ended();
}

/* Two processes that map each other and die at once: the original's worst. */
TEST_F(XpmemEnd, OfTwoThatMapEachOther)
{
  for (int round = 0; round < 20; round++) {
    char *const theirs = memory;
    Peer one([=] { fill(theirs, pages, 1); });
    Peer other([=] { fill(theirs, pages, 2); });
    const auto first = one.call([=] { return long{share(theirs, pages)}; });
    const auto second = other.call([=] { return long{share(theirs, pages)}; });
    EXPECT_EQ(one.call([=] {
      return static_cast<long>(filled(attach(get(second), pages), pages, 2));
    }),
              static_cast<long>(pages));
    EXPECT_EQ(other.call([=] {
      return static_cast<long>(filled(attach(get(first), pages), pages, 1));
    }),
              static_cast<long>(pages));
    one.kill(SIGKILL);
    other.kill(SIGKILL);
    one.wait();
    other.wait();
  }
  owner.reset();
  expect_ended();
}

} // namespace
} // namespace cma_test
