// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Copies that meet memory they may not use, by the system calls: how far they come,
// and what cma_copy() says stopped them.
#include "support.hpp"
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace {

struct Outcome {
  ssize_t moved;
  enum cma_side side;
  std::uint64_t address;
  bool operator==(const Outcome &) const = default;
};

void PrintTo(const Outcome &outcome, std::ostream *out)
{
  *out << outcome.moved << " bytes, side " << outcome.side << " at 0x" << std::hex
       << outcome.address;
}

class FaultTest : public testing::Test {
protected:
  static constexpr size_t pages = 6;

  Outcome copy(std::uint32_t flags, const std::vector<iovec> &local,
               const std::vector<iovec> &remote)
  {
    cma_request request = {};
    request.peer = cma_pid(process->pid());
    request.flags = flags;
    request.local = local.data();
    request.remote = remote.data();
    request.local_count = local.size();
    request.remote_count = remote.size();
    request.fault_side = CMA_SIDE_LOCAL;
    request.fault_addr = 4711;
    const ssize_t moved = cma_copy(context.get(), &request);
    return {moved, request.fault_side, request.fault_addr};
  }

  Outcome copy(std::uint32_t flags)
  {
    return copy(flags, {{ours.data(), ours.size()}}, {{theirs.data(), theirs.size()}});
  }

  // The peer, with its memory as run() leaves it.
  void start(const std::function<void()> &run = [] {})
  {
    process = std::make_unique<Peer>(run);
  }

  Pages theirs{pages, 1};
  Pages ours{pages, 2};
  std::unique_ptr<Peer> process;
  Context context = open_context(CMA_OPEN_SYSCALL);
};

const Outcome whole = {static_cast<ssize_t>(6 * page_size()), CMA_SIDE_NONE, 0};

TEST_F(FaultTest, NoneIsReported)
{
  start();
  EXPECT_EQ(copy(0), whole);
  EXPECT_EQ(copy(CMA_WRITE), whole);
  EXPECT_EQ(copy(0, {{ours.data(), 10}}, {{theirs.data(), 20}}),
            (Outcome{10, CMA_SIDE_NONE, 0}));
  EXPECT_EQ(copy(0, {{ours.data(), 20}}, {{theirs.data(), 10}}),
            (Outcome{10, CMA_SIDE_NONE, 0}));
  EXPECT_EQ(copy(0, {}, {{theirs.data(), 10}}), (Outcome{0, CMA_SIDE_NONE, 0}));
}

TEST_F(FaultTest, HoleInThePeer)
{
  for (size_t hole = 0; hole < pages; hole++) {
    start([&] { theirs.unmap(hole); });
    const ssize_t before = hole * page_size();
    const Outcome expected = {hole == 0 ? -EFAULT : before, CMA_SIDE_REMOTE,
                              address_of(theirs.page(hole))};
    EXPECT_EQ(copy(0), expected) << hole;
    EXPECT_EQ(copy(CMA_WRITE), expected) << hole;
  }
}

TEST_F(FaultTest, HoleInOurs)
{
  start();
  for (size_t hole = pages; hole-- > 0;) {
    ours.protect(hole, PROT_NONE);
    const ssize_t before = hole * page_size();
    const Outcome expected = {hole == 0 ? -EFAULT : before, CMA_SIDE_LOCAL,
                              address_of(ours.page(hole))};
    EXPECT_EQ(copy(0), expected) << hole;
    EXPECT_EQ(copy(CMA_WRITE), expected) << hole;
  }
}

TEST_F(FaultTest, ReadOnlyMemory)
{
  start([&] { theirs.protect(2, PROT_READ); });
  const ssize_t before = 2 * page_size();
  EXPECT_EQ(copy(0), whole);
  EXPECT_EQ(copy(CMA_WRITE),
            (Outcome{before, CMA_SIDE_REMOTE, address_of(theirs.page(2))}));
  ours.protect(2, PROT_READ);
  EXPECT_EQ(copy(0), (Outcome{before, CMA_SIDE_LOCAL, address_of(ours.page(2))}));
}

TEST_F(FaultTest, ListsThatCannotBeRead)
{
  start();
  cma_request request = {};
  const iovec good = {ours.data(), 1};
  const auto *bad = reinterpret_cast<const iovec *>(uintptr_t{16});
  request.peer = cma_pid(process->pid());
  request.local_count = request.remote_count = 1;
  for (const bool local_bad : {true, false}) {
    request.local = local_bad ? bad : &good;
    request.remote = local_bad ? &good : bad;
    request.fault_addr = 1;
    EXPECT_EQ(cma_copy(context.get(), &request), -EFAULT);
    EXPECT_EQ(request.fault_side, CMA_SIDE_NONE);
    EXPECT_EQ(request.fault_addr, 0U);
  }
  // Nobody reads the remote list if there is nothing to copy.
  request.local_count = 0;
  EXPECT_EQ(cma_copy(context.get(), &request), 0);
  EXPECT_EQ(request.fault_side, CMA_SIDE_NONE);
}

TEST_F(FaultTest, EmptySegmentsAreNotToBlame)
{
  start([&] { theirs.unmap(0); });
  EXPECT_EQ(copy(0, {{nullptr, 0}, {ours.data(), 9}}, {{nullptr, 0}, {theirs.data(), 9}}),
            (Outcome{-EFAULT, CMA_SIDE_REMOTE, address_of(theirs.data())}));
}

// Segments of eight bytes, each eight bytes from the last, so that the hole is met far
// beyond what a single system call takes.
TEST_F(FaultTest, HoleBehindManySegments)
{
  start([&] { theirs.unmap(5); });
  std::vector<iovec> remote;
  for (size_t at = 0; at < theirs.size(); at += 8)
    remote.push_back({theirs.data() + at, 8});
  ASSERT_GT(remote.size(), 3000U);
  const std::vector<iovec> local = {{ours.data(), ours.size()}};
  const ssize_t before = 5 * page_size();
  for (const std::uint32_t direction : {0U, CMA_WRITE})
    EXPECT_EQ(copy(CMA_MANY | direction, local, remote),
              (Outcome{before, CMA_SIDE_REMOTE, address_of(theirs.page(5))}));
}

// Looking for what stopped a write must not write.
TEST_F(FaultTest, LookingChangesNothing)
{
  start([&] { theirs.protect(1, PROT_READ); });
  const std::vector<char> before(ours.data(), ours.data() + ours.size());
  EXPECT_EQ(copy(CMA_WRITE).moved, static_cast<ssize_t>(page_size()));
  EXPECT_EQ(std::memcmp(ours.data(), before.data(), before.size()), 0);
  std::vector<char> back(page_size());
  ASSERT_EQ(cma_read(context.get(), cma_pid(process->pid()), back.data(),
                     address_of(theirs.page(1)), back.size()),
            static_cast<ssize_t>(back.size()));
  EXPECT_EQ(std::memcmp(back.data(), theirs.page(1), back.size()), 0);
}

} // namespace
