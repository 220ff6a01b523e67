// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Reductions on the real device: the same by every way to a peer and without the device,
 * and where holes, deaths and windows' ends stop them. What each element becomes is
 * tested without a device, in tests/unit.
 */
#include "../unit/reduce_reference.hpp"
#include "support/persona.hpp"
#include "support/rounds.hpp"
#include "support/twin.hpp"
#include "support/window.hpp"

#include <algorithm>
#include <chrono>
#include <cma_reduce.h>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t pages = 20; // several blocks of the library's
const size_t size = pages * page;

/// In the owner: the open file of its windows.
const Device &owners_file()
{
  static const Device device;
  return device;
}

/// In the owner: a window over the range.
long expose(uintptr_t base, size_t length)
{
  return as_returned(create_window(owners_file(), base, length, 0600));
}

/// In the owner.
long destroy(long name)
{
  auto window = sized<cma_ioc_window_destroy>();
  window.window = static_cast<uint64_t>(name);
  return as_returned(owners_file().call(CMA_IOC_WINDOW_DESTROY, &window));
}

/// One way to the twin's peer.
struct Road {
  std::string name;
  cma_context *context;
  cma_peer peer;
  uintptr_t base; ///< of its remote addresses
};

class Reduce : public testing::Test {
protected:
  void SetUp() override
  {
    const uintptr_t base = twin.remote().base();
    const long name = twin.peer().call([=] { return expose(base, size); });
    ASSERT_GT(name, 0);
    const int window =
        cma_window_open(device.get(), static_cast<uint64_t>(name), CMA_ACCESS_READ);
    ASSERT_GT(window, 0);
    roads.push_back({"window", device.get(), cma_handle(window), 0});
    for (cma_context *context : {device.get(), syscalls.get()}) {
      const std::string of = context == device.get() ? "device, " : "system calls, ";
      const cma_peer pid = cma_pid(twin.target().pid);
      const int handle = cma_handle_open(context, pid);
      ASSERT_GT(handle, 0);
      roads.push_back({of + "pid", context, pid, base});
      roads.push_back({of + "pidfd", context, cma_pidfd(twin.target().pidfd), base});
      roads.push_back({of + "handle", context, cma_handle(handle), base});
    }
  }

  /// Sums of 64-bit integers, of these peers, from the same address on.
  ssize_t sum(cma_context *context, const std::vector<cma_peer> &peers, uintptr_t from,
              size_t length)
  {
    const iovec there = segment(from, length);
    const iovec here = segment(twin.local().base(), length);
    std::vector<cma_operand> operands;
    operands.reserve(peers.size());
    for (const cma_peer peer : peers)
      operands.push_back({peer, &there, 1});
    told.op = CMA_OP_SUM;
    told.type = CMA_TYPE_INT64;
    told.count = length / sizeof(int64_t);
    told.local = &here;
    told.operands = operands.data();
    told.local_count = 1;
    told.operand_count = operands.size();
    return cma_reduce(context, &told);
  }

  const int64_t *local() const
  {
    return reinterpret_cast<const int64_t *>(twin.local().base());
  }

  Twin twin{size, size};
  const Context device = open_context(CMA_OPEN_DEVICE);
  const Context syscalls = open_context(CMA_OPEN_SYSCALL);
  std::vector<Road> roads;
  cma_reduction told = {};
};

bool has_nans(uint32_t type, const std::vector<uint8_t> &bytes, size_t offset,
              size_t count)
{
  return reference::is_float_type(type) && reference::with_type(type, [&](auto zero) {
           for (size_t i = 0; i < count; i++) {
             std::memcpy(&zero, &bytes[offset + i * sizeof(zero)], sizeof(zero));
             if (zero != zero)
               return true;
           }
           return false;
         });
}

TEST_F(Reduce, GivesTheSameByAllRoads)
{
  std::mt19937_64 random(17);
  reference::for_each_op([&](uint32_t op, uint32_t type) {
    SCOPED_TRACE(testing::Message() << "op " << op << " type " << type);
    const size_t element = reference::size_of(type);
    const size_t count = (size - 64) / element - random() % 200;
    const size_t here = random() % 33;
    const size_t there = random() % 33;
    auto ours = pattern(size, 3);
    auto theirs = pattern(size, 4);
    reference::fill(type, &ours[here], count, random);
    reference::fill(type, &theirs[there], count, random);
    twin.remote().put(theirs);
    auto expected = ours;
    reference::reduce(op, type, &expected[here], &theirs[there], count);
    bool sure = reference::nans_are_sure || !has_nans(type, theirs, there, count);
    for (const Road &road : roads) {
      SCOPED_TRACE(road.name);
      twin.local().put(ours);
      const iovec to = segment(twin.local().at(here), count * element);
      const size_t first = random() % count * element;
      const std::vector<iovec> from = {
          segment(road.base + there, first),
          segment(road.base + there + first, count * element - first)};
      const cma_operand operand = {road.peer, from.data(), from.size()};
      cma_reduction reduction{};
      reduction.op = op;
      reduction.type = type;
      reduction.count = count;
      reduction.local = &to;
      reduction.operands = &operand;
      reduction.local_count = reduction.operand_count = 1;
      ASSERT_EQ(cma_reduce(road.context, &reduction), static_cast<ssize_t>(count));
      EXPECT_EQ(reduction.fault_side, CMA_SIDE_NONE);
      if (!sure)
        expected = twin.local().bytes();
      sure = true;
      ASSERT_TRUE(twin.local().bytes() == expected);
    }
  });
}

TEST_F(Reduce, StopsBeforeAHole)
{
  const uintptr_t base = twin.remote().base();
  for (const size_t hole : {0UL, 1UL, 9UL, pages - 1})
    for (const bool hidden : {false, true}) {
      twin.peer().call([=] {
        renew(base, size);
        if (hidden)
          protect(base + hole * page, page, PROT_NONE);
        else
          unmap(base + hole * page, page);
        return 0L;
      });
      for (const Road &road : roads)
        for (const size_t from : {0UL, 5UL}) {
          SCOPED_TRACE(road.name + ", page " + std::to_string(hole));
          twin.local().fill(1);
          const auto before = twin.local().bytes();
          const size_t whole = hole == 0 ? 0 : (hole * page - from) / 8;
          EXPECT_EQ(sum(road.context, {road.peer}, road.base + from, size - 8),
                    whole == 0 ? -EFAULT : static_cast<ssize_t>(whole));
          EXPECT_EQ(told.fault_side, CMA_SIDE_REMOTE);
          EXPECT_EQ(told.fault_operand, 0U);
          EXPECT_EQ(told.fault_addr, road.base + std::max(from, hole * page));
          /* The peer's memory is new: zeros. */
          EXPECT_TRUE(twin.local().bytes() == before);
        }
    }
}

TEST_F(Reduce, APeerThatDiesIsNamed)
{
  for (const size_t victim : {0UL, 1UL, 2UL})
    for (const Context *context : {&device, &syscalls}) {
      std::vector<std::unique_ptr<Peer>> peers;
      std::vector<cma_peer> names;
      for (int i = 0; i < 3; i++) {
        peers.push_back(std::make_unique<Peer>());
        names.push_back(
            cma_handle(cma_handle_open(context->get(), cma_pid(peers.back()->pid()))));
      }
      twin.local().put(std::vector<uint8_t>(size));
      ASSERT_EQ(sum(context->get(), names, twin.local().base(), 64), 8);
      peers[victim]->kill(SIGKILL);
      peers[victim]->wait_exited();
      EXPECT_EQ(sum(context->get(), names, twin.local().base(), 64), -ESRCH);
      EXPECT_EQ(told.fault_operand, victim);
      EXPECT_EQ(told.fault_side, CMA_SIDE_NONE);
    }
}

TEST_F(Reduce, AWindowThatEndsIsNamed)
{
  const uintptr_t base = twin.local().base(); // the owner has memory there, too
  Peer owner;
  const long name = owner.call([=] { return expose(base, size); });
  ASSERT_GT(name, 0);
  const cma_peer window =
      cma_handle(cma_window_open(device.get(), static_cast<uint64_t>(name), 0));
  const std::vector<cma_peer> peers = {roads[0].peer, window};
  EXPECT_EQ(sum(device.get(), peers, 0, size), static_cast<ssize_t>(size / 8));
  EXPECT_EQ(sum(device.get(), peers, size - 16, 64), 2) << "its end is a hole";
  EXPECT_EQ(told.fault_side, CMA_SIDE_REMOTE);
  EXPECT_EQ(told.fault_operand, 0U);
  EXPECT_EQ(told.fault_addr, size);
  ASSERT_EQ(owner.call([=] { return destroy(name); }), 0);
  EXPECT_EQ(sum(device.get(), peers, 0, 64), -EIDRM);
  EXPECT_EQ(told.fault_operand, 1U);
  EXPECT_EQ(told.fault_side, CMA_SIDE_NONE);
}

TEST_F(Reduce, WhoMayNotReadIsRefused)
{
  const Persona other(bob, bob);
  for (const Context *context : {&device, &syscalls}) {
    EXPECT_EQ(sum(context->get(), {cma_pid(getpid()), cma_pid(twin.target().pid)},
                  twin.remote().base(), 64),
              -EPERM);
    EXPECT_EQ(told.fault_operand, 1U);
  }
}

TEST_F(Reduce, SixtyFourPeers)
{
  std::vector<std::unique_ptr<Peer>> processes;
  const uintptr_t base = twin.local().base();
  for (int64_t i = 0; i < CMA_MAX_OPERANDS; i++) {
    processes.push_back(std::make_unique<Peer>());
    processes.back()->call([=] {
      std::fill_n(reinterpret_cast<int64_t *>(base), size / 8, (i + 1) << (i % 40));
      return 0L;
    });
  }
  int64_t total = 0;
  for (int64_t i = 0; i < CMA_MAX_OPERANDS; i++)
    total += (i + 1) << (i % 40);
  for (const Context *context : {&device, &syscalls}) {
    std::vector<cma_peer> peers;
    peers.reserve(processes.size());
    for (const auto &peer : processes)
      peers.push_back(cma_handle(cma_handle_open(context->get(), cma_pid(peer->pid()))));
    twin.local().put(std::vector<uint8_t>(size));
    ASSERT_EQ(sum(context->get(), peers, base, size), static_cast<ssize_t>(size / 8));
    EXPECT_TRUE(std::all_of(local(), local() + size / 8,
                            [&](int64_t value) { return value == total; }));
  }
}

/* Whatever becomes of the peer's pages meanwhile: each element is old, or has been added
 * to once, and going on from the count adds to none again. */
TEST_F(Reduce, GoesOnAsPeersComeAndGo)
{
  const uintptr_t base = twin.remote().base();
  twin.peer().call([=] {
    std::fill_n(reinterpret_cast<int64_t *>(base), size / 8, 1);
    return 0L;
  });
  twin.peer().post([=] {
    for (size_t i = 0;; i++) {
      protect(base + i % pages * page, page, PROT_NONE);
      for (int rest = 0; rest < 200; rest++)
        sched_yield();
      protect(base + i % pages * page, page, PROT_READ);
      sched_yield();
    }
    return 0L;
  });
  size_t stopped = 0;
  for ([[maybe_unused]] const int round : Rounds(10, 40, std::chrono::seconds(10)))
    for (const Road &road : roads) {
      twin.local().put(std::vector<uint8_t>(size));
      told.first = 0;
      while (told.first < size / 8) {
        const ssize_t reduced =
            sum(road.context, {road.peer, road.peer}, road.base, size);
        stopped += told.fault_side == CMA_SIDE_REMOTE;
        ASSERT_TRUE(reduced > 0 || reduced == -EFAULT) << road.name << " " << reduced;
        told.first += static_cast<size_t>(std::max<ssize_t>(reduced, 0));
        ASSERT_TRUE(std::all_of(local(), local() + told.first,
                                [](int64_t value) { return value == 2; }));
        ASSERT_TRUE(std::all_of(local() + told.first, local() + size / 8,
                                [](int64_t value) { return value == 0; }))
            << road.name;
      }
    }
  EXPECT_GT(stopped, 10U) << "nothing was tried";
}

} // namespace
} // namespace cma_test
