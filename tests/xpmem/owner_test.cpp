// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Attachments while the owner's memory changes: holes, what is mapped later, forks and
 * copy-on-write on either side.
 */
#include "touch.hpp"

#include <cerrno>
#include <cstring>
#include <sys/wait.h>

namespace cma_test {
namespace {

constexpr size_t pages = 16;

class XpmemOwner : public testing::Test {
protected:
  XpmemOwner()
  {
    char *const theirs = memory;
    owner.call([=] { return fill(theirs, pages, 3), 0L; });
    segment = owner.call([=] { return long{share(theirs, pages)}; });
    permit = get(segment);
    mine = attach(permit, pages);
    EXPECT_NE(mine, failed) << strerror(errno);
  }
  ~XpmemOwner() override
  {
    EXPECT_EQ(xpmem_release(permit), 0);
    munmap(memory, pages * page);
  }

  char *const memory = make_memory(pages);
  Peer owner;
  xpmem_segid_t segment;
  xpmem_apid_t permit;
  char *mine;
};

TEST_F(XpmemOwner, AHoleIsABusErrorUntilItIsFilled)
{
  char *const hole = memory + 4 * page;
  EXPECT_EQ(filled(mine, pages, 3), pages);
  owner.call([=] { return long{munmap(hole, 2 * page)}; });
  EXPECT_EQ(reading(mine + 4 * page), SIGBUS);
  EXPECT_EQ(writing(mine + 5 * page), SIGBUS);
  EXPECT_EQ(reading(mine + 6 * page), 0);
  EXPECT_NE(attach(permit, pages), failed) << "holes are no reason to refuse";
  owner.call([=] {
    mmap(hole, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
         -1, 0);
    hole[0] = 'n';
    return 0L;
  });
  EXPECT_EQ(mine[4 * page], 'n');
  EXPECT_EQ(mine[5 * page], 0);
}

TEST_F(XpmemOwner, WhatItMayNotDoNobodyMay)
{
  char *const place = memory;
  EXPECT_EQ(writing(mine), 0);
  owner.call([=] { return long{mprotect(place, page, PROT_READ)}; });
  EXPECT_EQ(reading(mine), 0);
  EXPECT_EQ(writing(mine), SIGBUS);
  owner.call([=] { return long{mprotect(place, page, PROT_NONE)}; });
  EXPECT_EQ(reading(mine), SIGBUS);
  owner.call([=] { return long{mprotect(place, page, PROT_READ | PROT_WRITE)}; });
  EXPECT_EQ(writing(mine), 0);
}

/* After a fork owner and child have copies of their own; the segment is the owner's. */
TEST_F(XpmemOwner, AForkOfItDoesNotTakePartIn)
{
  char *const theirs = memory;
  EXPECT_EQ(writing(mine), 0);
  const long child = owner.call([=]() -> long {
    const pid_t forked = fork();
    if (forked == 0) {
      std::memset(theirs, 'c', pages * page);
      pause();
    }
    usleep(100000);
    return forked;
  });
  EXPECT_EQ(mine[0], 'w');
  EXPECT_EQ(filled(mine + page, pages - 1, 3 + 7), pages - 1);
  mine[0] = 'm';
  EXPECT_EQ(owner.call([=] { return long{theirs[0]}; }), 'm');
  owner.call([=] { return theirs[page] = 'o', 0L; });
  EXPECT_EQ(mine[page], 'o');
  owner.call([=]() -> long {
    kill(static_cast<pid_t>(child), SIGKILL);
    return waitpid(static_cast<pid_t>(child), nullptr, 0);
  });
  EXPECT_EQ(mine[0], 'm');
}

TEST_F(XpmemOwner, AForkOfTheReaderHasNoAttachment)
{
  EXPECT_EQ(reading(mine), 0);
  char *const place = mine;
  const auto parents = permit;
  const auto known = segment;
  Peer child;
  EXPECT_EQ(child.call([=] { return long{reading(place)}; }), SIGSEGV);
  EXPECT_EQ(
      child.call([=]() -> long { return attach(parents, 1) == failed ? errno : 0; }),
      EACCES);
  EXPECT_EQ(child.call([=]() -> long {
    return static_cast<long>(filled(attach(get(known), pages), pages, 3));
  }),
            static_cast<long>(pages));
  EXPECT_EQ(reading(mine), 0);
}

/* A write through an attachment is the owner's write: it breaks the sharing of a page. */
TEST_F(XpmemOwner, WritesBreakCopyOnWrite)
{
  char *const fresh = memory + 8 * page;
  char *const file = memory + 10 * page;
  EXPECT_EQ(reading(mine + 8 * page), 0);
  owner.call([=] { return long{madvise(fresh, page, MADV_DONTNEED)}; });
  EXPECT_EQ(owner.call([=] { return long{fresh[0]}; }), 0) << "the zero page";
  EXPECT_EQ(mine[8 * page], 0);
  mine[8 * page] = 'z';
  EXPECT_EQ(owner.call([=] { return long{fresh[0]}; }), 'z');

  const long fd = owner.call([=]() -> long {
    const int made = memfd_create("file", MFD_CLOEXEC);
    const bool written = write(made, "as it was", 10) == 10;
    void *place =
        mmap(file, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, made, 0);
    return written && place == file ? made : -1;
  });
  EXPECT_STREQ(mine + 10 * page, "as it was");
  mine[10 * page] = 'A';
  EXPECT_EQ(owner.call([=] { return long{file[0]}; }), 'A');
  EXPECT_EQ(owner.call([=]() -> long {
    char first = 0;
    return pread(static_cast<int>(fd), &first, 1, 0) == 1 ? first : -1;
  }),
            'a')
      << "the file itself is as it was";
}

} // namespace
} // namespace cma_test
