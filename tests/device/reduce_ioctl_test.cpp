// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * CMA_IOC_REDUCE by itself: what the module computes, how far it comes, and what it
 * leaves alone. cma_reduce(), which goes on where it ends, has tests of its own
 * (reduce_test.cpp).
 */
#include "../unit/reduce_reference.hpp"
#include "support/twin.hpp"
#include "support/window.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t pages = 24;
const size_t size = pages * page;
/// Nothing is given up but for the last vectors before what is missing.
constexpr size_t vectors = 64;

class ReduceIoctl : public testing::Test {
protected:
  void SetUp() override
  {
    if ((device.info().features & CMA_FEATURE_REDUCE) == 0)
      GTEST_SKIP() << "this kernel or processor lets the module use no vectors";
    handle = static_cast<int>(device.open(CMA_PEER_PID, twin.target().pid).result);
    ASSERT_GT(handle, 0);
    know();
  }

  /// Has the module translate the peer's memory, which it does for what comes again.
  void know() const
  {
    std::vector<uint8_t> bytes(size);
    for (int i = 0; i < 3; i++) {
      const iovec here = segment(reinterpret_cast<uintptr_t>(bytes.data()), size);
      const iovec there = segment(twin.remote().base(), size);
      cma_test::run(device, Route::Handle, {0, -1, handle}, {false, &here, 1, &there, 1});
    }
  }

  /// Of the twin's memory: sums of 64-bit integers, by handle, in place.
  cma_ioc_reduce request(size_t at, size_t length) const
  {
    auto request = sized<cma_ioc_reduce>();
    request.op = CMA_REDUCE_SUM;
    request.type = CMA_REDUCE_UINT64;
    request.local = request.out = twin.local().at(at);
    request.length = length;
    request.operand_cnt = 1;
    request.operand[0] = {CMA_PEER_HANDLE, handle, twin.remote().at(at)};
    return request;
  }
  /// The result is the bytes that were reduced.
  Outcome run(cma_ioc_reduce &request) const
  {
    const Outcome outcome = device.call(CMA_IOC_REDUCE, &request);
    return outcome.error != 0 ? outcome : gives(static_cast<int64_t>(request.reduced));
  }
  Outcome run(cma_ioc_reduce &&request) const { return run(request); }

  void fill(const Arena &arena, uint64_t value) const
  {
    std::vector<uint8_t> bytes(size);
    for (size_t i = 0; i < size; i += 8)
      std::memcpy(&bytes[i], &value, 8);
    arena.put(bytes);
  }
  /// How many of the caller's words have this value, from the one at an offset on.
  size_t run_of(uint64_t value, size_t at = 0) const
  {
    const auto *const words = reinterpret_cast<const uint64_t *>(twin.local().base());
    const auto *const end = words + size / 8;
    return static_cast<size_t>(
        std::find_if(words + at / 8, end, [&](uint64_t word) { return word != value; }) -
        (words + at / 8));
  }

  Twin twin{size, size};
  Device device;
  int handle = 0;
};

bool is_computed(uint32_t op, uint32_t type)
{
  if (type > CMA_REDUCE_DOUBLE)
    return false;
  const bool wide = type == CMA_TYPE_INT64 || type == CMA_TYPE_UINT64;
  const bool narrow = type == CMA_TYPE_INT8 || type == CMA_TYPE_UINT8;
  if (op == CMA_OP_PRODUCT)
    return !wide && !narrow;
  return op == CMA_OP_MIN || op == CMA_OP_MAX ? !wide : op <= CMA_OP_BXOR;
}

/// Elements; without a NaN where it is not sure what becomes of two.
void fill_sure(uint32_t type, uint8_t *at, size_t count, std::mt19937_64 &random)
{
  reference::fill(type, at, count, random);
  if (reference::nans_are_sure)
    return;
  reference::with_type(type, [&](auto zero) {
    for (size_t i = 0; i < count; i++) {
      auto element = zero;
      std::memcpy(&element, at + i * sizeof(zero), sizeof(zero));
      if (element != element)
        std::memcpy(at + i * sizeof(zero), &zero, sizeof(zero));
    }
  });
}

/* Anywhere in a page, one to four operands, in place and apart. */
TEST_F(ReduceIoctl, ComputesWhatTheReferenceDoes)
{
  std::mt19937_64 random(23);
  reference::for_each_op([&](uint32_t op, uint32_t type) {
    if (!is_computed(op, type))
      return;
    for (uint32_t operands = 1; operands <= CMA_REDUCE_OPERANDS; operands++) {
      SCOPED_TRACE(testing::Message()
                   << "op " << op << " type " << type << " operands " << operands);
      const size_t element = reference::size_of(type);
      const size_t count = random() % (2 * page / element) + 1;
      const size_t length = count * element;
      auto theirs = pattern(size, 4);
      auto ours = pattern(size, 3);
      const size_t here = random() % page;
      const size_t out = operands % 2 == 0 ? here : 4 * page + random() % page;
      fill_sure(type, &ours[here], count, random);
      auto request = sized<cma_ioc_reduce>();
      std::vector<uint8_t> so_far(&ours[here], &ours[here + length]);
      for (uint32_t i = 0; i < operands; i++) {
        const size_t there = 4 * page * i + random() % page;
        fill_sure(type, &theirs[there], count, random);
        reference::reduce(op, type, so_far.data(), &theirs[there], count);
        request.operand[i] = {CMA_PEER_HANDLE, handle, twin.remote().at(there)};
      }
      twin.local().put(ours);
      twin.remote().put(theirs);
      std::copy(so_far.begin(), so_far.end(), &ours[out]);
      request.op = op;
      request.type = type;
      request.local = twin.local().at(here);
      request.out = twin.local().at(out);
      request.length = length;
      request.operand_cnt = operands;
      ASSERT_EQ(run(request), gives(static_cast<int64_t>(length)));
      ASSERT_TRUE(twin.local().bytes() == ours);
      ASSERT_TRUE(twin.remote().bytes() == theirs) << "a peer's memory is only read";
    }
  });
}

TEST_F(ReduceIoctl, RefusesWhatItDoesNotCompute)
{
  for (uint32_t op = 0; op <= CMA_REDUCE_BXOR + 1; op++)
    for (uint32_t type = 0; type <= CMA_TYPE_BFLOAT16 + 1; type++) {
      SCOPED_TRACE(testing::Message() << "op " << op << " type " << type);
      auto request = this->request(0, 64);
      request.op = op;
      request.type = type;
      const bool known = op >= CMA_REDUCE_SUM && op <= CMA_REDUCE_BXOR &&
                         type >= CMA_REDUCE_INT8 && type <= CMA_REDUCE_DOUBLE;
      const bool computed = known && is_computed(op, type) &&
                            (op < CMA_REDUCE_BAND || !reference::is_float_type(type));
      EXPECT_EQ(run(request), computed ? gives(64) : fails(known ? EOPNOTSUPP : EINVAL));
    }
}

TEST_F(ReduceIoctl, Arguments)
{
  const auto with = [&](auto change) {
    auto request = this->request(0, 64);
    change(request);
    return run(request);
  };
  EXPECT_EQ(with([](auto &) {}), gives(64));
  EXPECT_EQ(with([](auto &r) { r.flags = CMA_COPY_WRITE; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.flags = CMA_COPY_STRICT; }), gives(64));
  EXPECT_EQ(with([](auto &r) { r.reserved = 1; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.length = 0; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.length = 63; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.operand_cnt = 0; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.operand_cnt = CMA_REDUCE_OPERANDS + 1; }),
            fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.operand_cnt = UINT32_MAX; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.operand[0].peer_type = 0; }), fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.operand[0].peer_type = CMA_PEER_WINDOW; }),
            fails(EINVAL));
  EXPECT_EQ(with([](auto &r) { r.operand[0].peer = 9999; }), fails(ENOENT));
  EXPECT_EQ(with([](auto &r) { r.operand[0] = {CMA_PEER_PID, 0, 0}; }), fails(ESRCH));
  EXPECT_EQ(with([](auto &r) {
              r.operand_cnt = 2;
              r.operand[1].peer_type = CMA_PEER_HANDLE;
            }),
            fails(ENOENT))
      << "of any operand";
  EXPECT_EQ(with([](auto &r) { r.size--; }), fails(EINVAL));
  /* Places that nobody's memory is at, or ends at. */
  for (const uint64_t odd : {0UL, 1UL << 63, ~0UL - 63, 0xffffffff81000000UL}) {
    SCOPED_TRACE(testing::Message() << std::hex << odd);
    const bool kernels = odd >= 1UL << 63;
    EXPECT_EQ(with([&](auto &r) { r.local = odd; }), fails(kernels ? EFAULT : EAGAIN));
    EXPECT_EQ(with([&](auto &r) { r.out = odd; }), fails(kernels ? EFAULT : EAGAIN));
    EXPECT_EQ(with([&](auto &r) { r.operand[0].address = odd; }), fails(EAGAIN));
  }
  for (const uint64_t length : {1UL << 62, ~0UL - 7})
    EXPECT_EQ(with([&](auto &r) { r.length = length; }), fails(EFAULT));
  EXPECT_EQ(run_of(0, 64), size / 8 - 8) << "nothing but what was asked for";
}

/* By pid the module must know the peer, or be let find out. */
TEST_F(ReduceIoctl, ByEveryName)
{
  fill(twin.remote(), 5);
  const std::initializer_list<cma_ioc_operand> names = {
      {CMA_PEER_PID, twin.target().pid, twin.remote().base()},
      {CMA_PEER_PIDFD, twin.target().pidfd, twin.remote().base()},
      {CMA_PEER_HANDLE, handle, twin.remote().base()}};
  for (const cma_ioc_operand &name : names)
    for (const uint32_t flags : {0U, CMA_COPY_STRICT}) {
      fill(twin.local(), 1);
      auto request = this->request(0, size);
      request.operand[0] = name;
      request.flags = flags;
      EXPECT_EQ(run(request), gives(static_cast<int64_t>(size)));
      EXPECT_EQ(run_of(6), size / 8);
    }
  const Device fresh;
  auto request = this->request(0, size);
  request.operand[0] = *names.begin();
  request.flags = CMA_COPY_KNOWN;
  EXPECT_EQ(fresh.call(CMA_IOC_REDUCE, &request), fails(EAGAIN));
}

TEST_F(ReduceIoctl, EndsBeforeAHoleInAnyOperand)
{
  for (const size_t hole : {0UL, 1UL, 7UL, pages - 1})
    for (const uint32_t victim : {0U, 3U})
      for (const size_t skew : {0UL, 20UL}) {
        SCOPED_TRACE(testing::Message()
                     << "page " << hole << " operand " << victim << " skew " << skew);
        Peer other;
        const uintptr_t base = twin.remote().base();
        const uintptr_t theirs = other.call(
            [] { return static_cast<long>(make_memory(Kind::Anonymous, size)); });
        other.call([=] {
          std::fill_n(reinterpret_cast<uint64_t *>(theirs), size / 8, 1);
          protect(theirs + hole * page, page, PROT_NONE);
          return 0L;
        });
        fill(twin.remote(), 1);
        fill(twin.local(), 0);
        const auto holed =
            static_cast<int>(device.open(CMA_PEER_PID, other.pid()).result);
        auto request = this->request(0, size - 64);
        request.operand_cnt = CMA_REDUCE_OPERANDS;
        for (uint32_t i = 0; i < CMA_REDUCE_OPERANDS; i++)
          request.operand[i] =
              i == victim ? cma_ioc_operand{CMA_PEER_HANDLE, holed, theirs + skew / 8 * 8}
                          : cma_ioc_operand{CMA_PEER_HANDLE, handle, base};
        const size_t there = hole * page > skew / 8 * 8 ? hole * page - skew / 8 * 8 : 0;
        const Outcome outcome = run(request);
        if (there < vectors) {
          EXPECT_TRUE(outcome == fails(EAGAIN) ||
                      (outcome.error == 0 && outcome.result <= int64_t(there)))
              << outcome;
        } else {
          ASSERT_EQ(outcome.error, 0);
          EXPECT_LE(outcome.result, static_cast<int64_t>(std::min(there, size - 64)));
          EXPECT_GT(outcome.result,
                    static_cast<int64_t>(std::min(there, size - 64) - vectors));
        }
        const auto done = static_cast<size_t>(std::max<int64_t>(outcome.result, 0));
        EXPECT_EQ(run_of(4), done / 8);
        EXPECT_EQ(run_of(0, done), (size - done) / 8) << "what comes behind is as it was";
        ASSERT_EQ(device.close(holed), gives(0));
      }
}

/* What the caller may not read or write: nothing behind it is reduced, nor any element
 * in part. */
TEST_F(ReduceIoctl, EndsBeforeLocalMemoryThatIsNotThere)
{
  fill(twin.remote(), 1);
  for (const bool apart : {false, true})
    for (const int protection : {PROT_NONE, PROT_READ})
      for (const size_t skew : {0UL, 4UL}) {
        SCOPED_TRACE(testing::Message()
                     << (apart ? "apart " : "in place ") << protection << ' ' << skew);
        const uintptr_t out = make_memory(Kind::Anonymous, size);
        auto *const words = reinterpret_cast<uint8_t *>(out);
        std::fill_n(words, size, 0);
        fill(twin.local(), 0);
        protect(out + 5 * page, page, protection);
        auto request = this->request(0, size - 64);
        request.out = out + skew;
        if (!apart)
          request.local = request.out;
        const Outcome outcome = run(request);
        protect(out + 5 * page, page, PROT_READ | PROT_WRITE);
        ASSERT_EQ(outcome.error, 0);
        EXPECT_LE(outcome.result, static_cast<int64_t>(5 * page - skew));
        EXPECT_GT(outcome.result, static_cast<int64_t>(5 * page - skew - vectors));
        const auto done = static_cast<size_t>(outcome.result);
        for (size_t i = 0; i < size - skew - 8; i += 8) {
          uint64_t word = 0;
          std::memcpy(&word, words + skew + i, 8);
          ASSERT_EQ(word, i < done ? 1U : 0U) << "byte " << i;
        }
        munmap(words, size);
      }
}

/* New memory of the caller's, swapped or never touched, is brought in on the way, also
 * where a block of vectors begins in one page and ends in the next. */
TEST_F(ReduceIoctl, BringsTheCallersMemoryIn)
{
  fill(twin.remote(), 3);
  for (const size_t skew : {size_t{0}, size_t{160}}) {
    SCOPED_TRACE(testing::Message() << "skew " << skew);
    auto *const fresh = static_cast<uint8_t *>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(fresh, MAP_FAILED);
    const size_t length = size - skew;
    auto request = this->request(0, length);
    request.local = request.out = reinterpret_cast<uintptr_t>(fresh) + skew;
    EXPECT_EQ(run(request), gives(static_cast<int64_t>(length)));
    EXPECT_EQ(madvise(fresh, size, MADV_PAGEOUT), 0);
    EXPECT_EQ(run(request), gives(static_cast<int64_t>(length)));
    for (size_t i = skew; i < size; i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, fresh + i, 8);
      ASSERT_EQ(word, 6U) << i;
    }
    munmap(fresh, size);
  }
}

TEST_F(ReduceIoctl, AWindowIsReachedWithinItsBoundsUntilItEnds)
{
  fill(twin.remote(), 2);
  const uintptr_t base = twin.remote().base();
  const long name = twin.peer().call([=]() -> long {
    static const Device file;
    return as_returned(create_window(file, base + 8, 2 * page, 0600, CMA_ACCESS_READ));
  });
  ASSERT_GT(name, 0);
  const auto window = static_cast<int>(open_window(device, name).result);
  ASSERT_GT(window, 0);
  fill(twin.local(), 0);
  auto request = this->request(0, size);
  request.operand[0] = {CMA_PEER_HANDLE, window, page};
  EXPECT_EQ(run(request), gives(static_cast<int64_t>(page)));
  EXPECT_EQ(run_of(2), page / 8);
  request.operand[0].address = 2 * page;
  EXPECT_EQ(run(request), fails(EAGAIN));
  request.operand[0].address = ~0ULL - 7;
  EXPECT_EQ(run(request), fails(EAGAIN));

  const long writable = twin.peer().call([=]() -> long {
    static const Device file;
    return as_returned(create_window(file, base, page, 0600, CMA_ACCESS_WRITE));
  });
  const auto closed = static_cast<int>(open_window(device, writable).result);
  ASSERT_GT(closed, 0);
  request.operand[0] = {CMA_PEER_HANDLE, closed, 0};
  EXPECT_EQ(run(request), fails(EACCES));

  const Device write_only(Fd(::open("/dev/cma", O_WRONLY | O_CLOEXEC)));
  EXPECT_EQ(write_only.call(CMA_IOC_REDUCE, &request), fails(EBADF));

  twin.peer().kill(SIGKILL);
  twin.peer().wait_exited();
  request.operand[0] = {CMA_PEER_HANDLE, window, 0};
  const Outcome after = run(request);
  EXPECT_TRUE(after == fails(ESRCH) || after == fails(EIDRM)) << after;
  EXPECT_EQ(run(this->request(0, size)), fails(ESRCH));
}

/* What the peer writes is seen, and what it has no more is not. */
TEST_F(ReduceIoctl, FollowsThePeer)
{
  const uintptr_t base = twin.remote().base();
  for (uint64_t round = 1; round < 30; round++) {
    twin.peer().call([=] {
      if (round % 3 == 0)
        renew(base, size);
      std::fill_n(reinterpret_cast<uint64_t *>(base), size / 8, round);
      return 0L;
    });
    fill(twin.local(), 0);
    ASSERT_EQ(run(this->request(0, size)), gives(static_cast<int64_t>(size)));
    ASSERT_EQ(run_of(round), size / 8) << round;
  }
}

/* A fork write-protects the caller's memory, between any two stores, and of any two
 * pages. Where an element straddles these, in place, none is reduced twice by that. */
TEST_F(ReduceIoctl, TheCallerForksMeanwhile)
{
  constexpr size_t count = 8;
  fill(twin.remote(), 1);
  fill(twin.local(), 0);
  std::atomic<bool> ends = false;
  std::atomic<uint64_t> forks = 0;
  std::thread forker([&] {
    for (; !ends; forks++) {
      const pid_t child = fork();
      if (child == 0)
        _exit(0);
      waitpid(child, nullptr, 0);
    }
  });
  uint64_t rounds = 0;
  const uintptr_t at = twin.local().at(page - 36);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  Outcome outcome = gives(count * 8);
  while (outcome == gives(count * 8) && std::chrono::steady_clock::now() < end) {
    auto request = this->request(0, count * 8);
    request.local = request.out = at;
    outcome = run(request);
    rounds++;
  }
  ends = true;
  forker.join();
  EXPECT_EQ(outcome, gives(count * 8));
  EXPECT_GT(forks, 0U);
  for (size_t i = 0; i < count; i++) {
    uint64_t word = 0;
    std::memcpy(&word, reinterpret_cast<const uint8_t *>(at) + i * 8, 8);
    EXPECT_EQ(word, rounds) << "element " << i << " after " << forks << " forks";
  }
}

/* Stores through the caller's own mappings, and of itself. */
TEST_F(ReduceIoctl, OfOneself)
{
  const auto self = static_cast<int>(device.open(CMA_PEER_PID, getpid()).result);
  ASSERT_GT(self, 0);
  const uintptr_t mine = make_memory(Kind::Anonymous, size);
  std::fill_n(reinterpret_cast<uint64_t *>(mine), size / 8, 4);
  fill(twin.local(), 3);
  auto request = this->request(0, size);
  request.operand_cnt = 2;
  request.operand[0] = request.operand[1] = {CMA_PEER_HANDLE, self, mine};
  EXPECT_EQ(run(request), gives(static_cast<int64_t>(size)));
  EXPECT_EQ(run_of(11), size / 8);
  munmap(reinterpret_cast<void *>(mine), size);
}

} // namespace
} // namespace cma_test
