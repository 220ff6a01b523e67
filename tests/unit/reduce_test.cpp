// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_reduce() by the system calls, and by a device that copies as they do: the same as
// one element at a time, however the lists are cut; how far it comes where memory ends or
// peers do; and that nothing is reduced twice.
#include "device.hpp"
#include "reduce_reference.hpp"
#include <algorithm>
#include <cma_reduce.hpp>
#include <csignal>
#include <numeric>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

using reference::Bytes;
using testing::HasSubstr;

namespace {

// The numbers stay: they are in programs.
static_assert(CMA_OP_SUM == 1 && CMA_OP_PRODUCT == 2 && CMA_OP_MIN == 3 &&
              CMA_OP_MAX == 4 && CMA_OP_BAND == 5 && CMA_OP_BOR == 6 &&
              CMA_OP_BXOR == 7 && CMA_OP_LAND == 8 && CMA_OP_LOR == 9 &&
              CMA_OP_LXOR == 10);
static_assert(CMA_TYPE_INT8 == 1 && CMA_TYPE_INT16 == 2 && CMA_TYPE_INT32 == 3 &&
              CMA_TYPE_INT64 == 4 && CMA_TYPE_UINT8 == 5 && CMA_TYPE_UINT16 == 6 &&
              CMA_TYPE_UINT32 == 7 && CMA_TYPE_UINT64 == 8 && CMA_TYPE_FLOAT == 9 &&
              CMA_TYPE_DOUBLE == 10 && CMA_TYPE_FLOAT16 == 11 && CMA_TYPE_BFLOAT16 == 12);

// What the device does with the memory of whom, by the kernel's own system call.
int copy_by_kernel(cma_ioc_copy &copy, pid_t pid, size_t at_most = SIZE_MAX)
{
  const auto pointer = [](std::uint64_t address) {
    return reinterpret_cast<void *>(static_cast<std::uintptr_t>(address));
  };
  const auto segments = [&](std::uint64_t address, std::uint64_t count) {
    std::vector<iovec> list;
    if ((copy.flags & CMA_COPY_SINGLE) != 0)
      return std::vector<iovec>{{pointer(address), static_cast<size_t>(count)}};
    for (std::uint64_t i = 0; i < count; i++) {
      const auto &wide = static_cast<const cma_iovec *>(pointer(address))[i];
      list.push_back({pointer(wide.base), static_cast<size_t>(wide.len)});
    }
    return list;
  };
  auto local = segments(copy.local_iov, copy.local_cnt);
  const auto remote = segments(copy.remote_iov, copy.remote_cnt);
  local[0].iov_len = std::min(local[0].iov_len, at_most);
  const ssize_t moved = ::syscall(SYS_process_vm_readv, pid, local.data(), local.size(),
                                  remote.data(), remote.size(), 0);
  copy.copied = static_cast<std::uint64_t>(moved);
  return moved < 0 ? -errno : 0;
}

// What the module does, of memory of this process's, as far as it likes to.
int reduce_by_reference(cma_ioc_reduce &reduction, size_t at_most)
{
  const auto pointer = [](std::uint64_t address) {
    return reinterpret_cast<std::uint8_t *>(static_cast<std::uintptr_t>(address));
  };
  const size_t element = reference::size_of(reduction.type);
  const size_t length = std::min<size_t>(reduction.length, at_most / 32 * 32);
  Bytes so_far(pointer(reduction.local), pointer(reduction.local) + length);
  for (std::uint32_t i = 0; i < reduction.operand_cnt; i++)
    reference::reduce(reduction.op, reduction.type, so_far.data(),
                      pointer(reduction.operand[i].address), length / element);
  std::copy(so_far.begin(), so_far.end(), pointer(reduction.out));
  reduction.reduced = length;
  return length == 0 ? -EAGAIN : 0;
}

// Elements in pieces that lie apart, wherever it happens.
class Scattered {
public:
  Scattered(std::uint32_t type, size_t count, std::mt19937_64 &random)
      : size_(reference::size_of(type)), memory_(count * size_ + 64 * size_ + 1024)
  {
    Bytes elements(count * size_);
    reference::fill(type, elements.data(), count, random);
    const size_t longest = random() % 4 == 0 ? 5 : count + 1;
    size_t at = random() % 16;
    const bool whole = random() % 3 == 0;
    for (size_t left = count; left > 0;) {
      const size_t here = whole || list.size() > 50
                              ? left
                              : std::min<size_t>(left, random() % (longest + 1));
      list.push_back({&memory_[at], here * size_});
      at += here * size_ + random() % 16;
      left -= here;
    }
    put(elements);
  }

  [[nodiscard]] Bytes elements() const
  {
    Bytes all;
    for (const iovec &piece : list) {
      const auto *bytes = static_cast<const std::uint8_t *>(piece.iov_base);
      all.insert(all.end(), bytes, bytes + piece.iov_len);
    }
    return all;
  }

  void put(const Bytes &elements)
  {
    size_t at = 0;
    for (const iovec &piece : list) {
      std::copy_n(elements.begin() + static_cast<long>(at), piece.iov_len,
                  static_cast<std::uint8_t *>(piece.iov_base));
      at += piece.iov_len;
    }
  }

  // With what lies between them.
  [[nodiscard]] const Bytes &memory() const { return memory_; }
  [[nodiscard]] size_t size() const { return size_; }

  std::vector<iovec> list;

private:
  size_t size_;
  Bytes memory_;
};

class ReduceTest : public testing::Test {
protected:
  static constexpr size_t block = 32 << 10; // more is made in several

  void SetUp() override { ASSERT_NE(context, nullptr); }

  // From first on, of memory of this process's.
  void compare(std::uint32_t op, std::uint32_t type, size_t count, size_t operand_count)
  {
    Scattered local(type, count, random);
    Scattered out(type, count, random);
    std::vector<Scattered> remote;
    std::vector<cma_operand> operands;
    remote.reserve(operand_count);
    for (size_t i = 0; i < operand_count; i++) {
      remote.emplace_back(type, count, random);
      operands.push_back({self, remote[i].list.data(), remote[i].list.size()});
    }
    cma_reduction reduction = {};
    reduction.op = op;
    reduction.type = type;
    reduction.first = random() % 3 == 0 ? random() % (count + 1) : 0;
    reduction.count = count;
    reduction.local = local.list.data();
    reduction.local_count = local.list.size();
    reduction.operands = operands.data();
    reduction.operand_count = operand_count;
    Scattered &result = random() % 2 == 0 ? local : out;
    if (&result == &out || random() % 2 == 0) {
      reduction.out = result.list.data();
      reduction.out_count = result.list.size();
    }

    const size_t first = reduction.first;
    Bytes expected = local.elements();
    for (const Scattered &one : remote)
      reference::reduce(op, type, expected.data() + first * one.size(),
                        one.elements().data() + first * one.size(), count - first);
    const Bytes before = result.elements();
    std::copy_n(before.begin(), first * result.size(), expected.begin());
    const Bytes untouched = result.memory();
    ASSERT_EQ(cma_reduce(context.get(), &reduction), static_cast<ssize_t>(count - first));
    EXPECT_EQ(reduction.fault_side, CMA_SIDE_NONE);
    EXPECT_EQ(reduction.fault_operand, operand_count);
    EXPECT_TRUE(result.elements() == expected);
    result.put(before);
    EXPECT_TRUE(result.memory() == untouched) << "around the elements";
  }

  void compare_all()
  {
    reference::for_each_op([&](std::uint32_t op, std::uint32_t type) {
      SCOPED_TRACE(testing::Message() << "op " << op << " type " << type);
      const size_t several = 3 * block / reference::size_of(type);
      for (const size_t operand_count : {1, 2, 3}) {
        compare(op, type, random() % 100, operand_count);
        compare(op, type, random() % several, operand_count);
      }
    });
    compare(CMA_OP_SUM, CMA_TYPE_FLOAT, 12345, CMA_MAX_OPERANDS);
  }

  std::mt19937_64 random{31};
  const cma_peer self = cma_pid(::getpid());
  Context context = open_context(CMA_OPEN_SYSCALL);
};

TEST_F(ReduceTest, OneElementAtATimeBySystemCalls)
{
  compare_all();
}

TEST_F(ReduceTest, OneElementAtATimeByTheDevice)
{
  testing::NiceMock<Device> device;
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, copy).WillRepeatedly([](cma_ioc_copy &copy) {
    return copy_by_kernel(copy, ::getpid());
  });
  compare_all();
}

// A copy may end anywhere for a while: what was read in whole is reduced, and no more.
TEST_F(ReduceTest, ShortCopiesGoOn)
{
  testing::NiceMock<Device> device;
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, copy).WillRepeatedly([&](cma_ioc_copy &copy) {
    return copy_by_kernel(copy, ::getpid(), 8 + random() % 6000);
  });
  for (const size_t operand_count : {1, 2, 7})
    compare(CMA_OP_SUM, CMA_TYPE_INT64, 10000, operand_count);
}

// Wherever the module ends, copies go on, and the module goes on where they end; and the
// other way round. Many peers are asked a few at a time.
TEST_F(ReduceTest, GoesOnWhereTheModuleEnds)
{
  testing::NiceMock<Device> device;
  EXPECT_CALL(device, info).WillRepeatedly([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features |= CMA_FEATURE_REDUCE;
    return 0;
  });
  context = open_context(CMA_OPEN_DEVICE);
  size_t copies = 0;
  EXPECT_CALL(device, copy).WillRepeatedly([&](cma_ioc_copy &copy) {
    copies++;
    return copy_by_kernel(copy, ::getpid());
  });
  size_t reduced = 0;
  size_t came_to = 0;
  EXPECT_CALL(device, reduce).WillRepeatedly([&](cma_ioc_reduce &reduction) {
    EXPECT_EQ(reduction.flags, CMA_COPY_KNOWN);
    EXPECT_TRUE(reduction.length >= 4096 || reduction.length == came_to)
        << reduction.length << " is not what the peers before came to, " << came_to;
    EXPECT_LE(reduction.operand_cnt, unsigned{CMA_REDUCE_OPERANDS});
    EXPECT_LE(reduction.type, unsigned{CMA_REDUCE_DOUBLE}) << "it knows no more";
    if (random() % 9 == 0)
      return -EOPNOTSUPP;
    const int error = reduce_by_reference(reduction, random() % 60000);
    came_to = reduction.reduced;
    reduced += came_to;
    return error;
  });
  compare_all();
  for (const size_t operand_count : {1, 4, 5, 9, CMA_MAX_OPERANDS})
    compare(CMA_OP_SUM, CMA_TYPE_INT64, 40000, operand_count);
  EXPECT_GT(reduced, 1U << 20);
  EXPECT_GT(copies, 100U);
}

// Not once for all of them: 2048 + 1 is 2048 in 11 digits, and 256 + 1 is 256 in 8.
TEST_F(ReduceTest, HalvesAreRoundedForEachPeer)
{
  for (const auto &[type, large, one] : {std::tuple{CMA_TYPE_FLOAT16, 0x6800, 0x3c00},
                                         {CMA_TYPE_BFLOAT16, 0x4380, 0x3f80}})
    for (const size_t count : {size_t{1}, size_t{20000}}) {
      std::vector<std::uint16_t> ours(count, static_cast<std::uint16_t>(large));
      std::vector<std::uint16_t> ones(count, static_cast<std::uint16_t>(one));
      const auto expected = ours;
      const iovec local = {ours.data(), 2 * count};
      const iovec remote = {ones.data(), 2 * count};
      const std::vector<cma_operand> operands(4, {self, &remote, 1});
      cma_reduction reduction = {};
      reduction.op = CMA_OP_SUM;
      reduction.type = type;
      reduction.count = count;
      reduction.local = &local;
      reduction.local_count = 1;
      reduction.operands = operands.data();
      reduction.operand_count = operands.size();
      EXPECT_EQ(cma_reduce(context.get(), &reduction), static_cast<ssize_t>(count));
      EXPECT_TRUE(ours == expected) << type;
    }
}

// What is reduced here is doubles, of which the peers have as many.
class ReducePeerTest : public testing::Test {
protected:
  static constexpr size_t pages = 20; // several blocks

  size_t count() const { return theirs.size() / sizeof(double); }

  void SetUp() override
  {
    ASSERT_NE(context, nullptr);
    auto *values = reinterpret_cast<double *>(theirs.data());
    for (size_t i = 0; i < count(); i++)
      values[i] = static_cast<double>(i) + 1;
    ours.assign(count(), 0.5);
  }

  // Of these peers, who have the elements from that byte of theirs on.
  cma_reduction reduction(const std::vector<cma_peer> &peers, size_t from = 0)
  {
    here = {ours.data(), (theirs.size() - from) / 8 * 8};
    there = {theirs.data() + from, here.iov_len};
    operands.clear();
    for (const cma_peer peer : peers)
      operands.push_back({peer, &there, 1});
    cma_reduction result = {};
    result.op = CMA_OP_SUM;
    result.type = CMA_TYPE_DOUBLE;
    result.count = here.iov_len / sizeof(double);
    result.local = &here;
    result.local_count = 1;
    result.operands = operands.data();
    result.operand_count = operands.size();
    return result;
  }

  // That many were reduced that many times, and no more.
  void expect_reduced(size_t elements, double times) const
  {
    for (size_t i = 0; i < ours.size(); i++)
      ASSERT_EQ(ours[i], i < elements ? 0.5 + times * (static_cast<double>(i) + 1) : 0.5)
          << i;
  }

  Pages theirs{pages};
  std::vector<double> ours;
  iovec here = {};
  iovec there = {};
  std::vector<cma_operand> operands;
  Context context = open_context(CMA_OPEN_SYSCALL);
};

TEST_F(ReducePeerTest, PidPidfdAndHandle)
{
  const Peer process;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0));
  const int handle = cma_handle_open(context.get(), cma_pid(process.pid()));
  std::fill_n(theirs.data(), theirs.size(), 0); // the peer has its own
  auto one = reduction({cma_pid(process.pid()), cma_pidfd(pidfd), cma_handle(handle)});
  one.fault_side = CMA_SIDE_LOCAL;
  one.fault_addr = 1;
  EXPECT_EQ(cma_reduce(context.get(), &one), static_cast<ssize_t>(count()));
  EXPECT_EQ(one.fault_side, CMA_SIDE_NONE);
  EXPECT_EQ(one.fault_addr, 0U);
  EXPECT_EQ(one.fault_operand, 3U);
  expect_reduced(count(), 3);
  ::close(pidfd);
}

// Wherever it is, in the first, a middle or the last peer, and with elements that lie in
// both pages.
TEST_F(ReducePeerTest, HolesEndItBeforeAnElement)
{
  const Peer whole;
  for (const size_t hole : {0UL, 1UL, 8UL, 19UL}) {
    const Peer broken([&] { theirs.unmap(hole); });
    const auto good = cma_pid(whole.pid());
    const auto bad = cma_pid(broken.pid());
    for (const size_t from : {0UL, 3UL}) {
      size_t at = 0;
      for (const auto &peers :
           std::vector<std::vector<cma_peer>>{{bad}, {bad, good}, {good, bad}}) {
        SCOPED_TRACE(testing::Message() << "page " << hole << " from " << from);
        ours.assign(count(), 0.5);
        auto one = reduction(peers, from);
        const size_t before =
            hole == 0 ? 0 : (hole * page_size() - from) / sizeof(double);
        EXPECT_EQ(cma_reduce(context.get(), &one),
                  before == 0 ? -EFAULT : static_cast<ssize_t>(before));
        EXPECT_EQ(one.fault_side, CMA_SIDE_REMOTE);
        EXPECT_EQ(one.fault_operand, at++ / 2);
        EXPECT_EQ(one.fault_addr, hole == 0 ? address_of(theirs.data() + from)
                                            : address_of(theirs.page(hole)));
        if (from == 0)
          expect_reduced(before, static_cast<double>(peers.size()));
        EXPECT_EQ(ours[before], 0.5);
        one.first = before;
        EXPECT_EQ(cma_reduce(context.get(), &one), -EFAULT) << "again";
        EXPECT_EQ(ours[before], 0.5);
      }
    }
  }
}

TEST_F(ReducePeerTest, TheFirstHoleOfAllPeersCounts)
{
  const Peer early([&] { theirs.unmap(2); });
  const Peer late([&] { theirs.unmap(3); });
  auto one = reduction({cma_pid(late.pid()), cma_pid(early.pid())});
  const size_t before = 2 * page_size() / sizeof(double);
  EXPECT_EQ(cma_reduce(context.get(), &one), static_cast<ssize_t>(before));
  EXPECT_EQ(one.fault_operand, 1U);
  expect_reduced(before, 2);
}

TEST_F(ReducePeerTest, APeerThatIsGoneIsNamed)
{
  const Peer alive;
  Peer dead;
  dead.kill();
  dead.reap();
  auto one = reduction({cma_pid(alive.pid()), cma_pid(dead.pid())});
  EXPECT_EQ(cma_reduce(context.get(), &one), -ESRCH);
  EXPECT_EQ(one.fault_operand, 1U);
  EXPECT_EQ(one.fault_side, CMA_SIDE_NONE);
  expect_reduced(0, 0);
}

// In the middle of a block, and again: what is reduced then was not before.
TEST_F(ReducePeerTest, GoesOnFromTheCount)
{
  const Peer process;
  const auto peer = cma_pid(process.pid());
  auto one = reduction({peer, peer, peer});
  size_t calls = 0;
  hooks::process_vm = [&](bool, pid_t) {
    return ++calls % 5 == 0 ? hooks::Result(-ESRCH) : std::nullopt;
  };
  size_t rounds = 0;
  while (one.first < one.count && rounds++ < 20) {
    const ssize_t reduced = cma_reduce(context.get(), &one);
    if (reduced < 0) {
      EXPECT_EQ(reduced, -ESRCH);
    } else {
      one.first += static_cast<size_t>(reduced);
      expect_reduced(one.first, 3);
    }
  }
  EXPECT_GE(rounds, 3U);
  EXPECT_EQ(one.first, one.count);
  expect_reduced(count(), 3);
}

TEST_F(ReducePeerTest, WithoutElementsNobodyIsAsked)
{
  auto one = reduction({cma_pid(0)});
  one.first = one.count;
  EXPECT_EQ(cma_reduce(context.get(), &one), 0);
  one.first = one.count = 0;
  one.local = one.operands[0].remote;
  one.local_count = operands[0].remote_count = 0;
  EXPECT_EQ(cma_reduce(context.get(), &one), 0);
}

TEST_F(ReducePeerTest, ListsMayHoldMore)
{
  const Peer process;
  auto one = reduction({cma_pid(process.pid())});
  one.count = 5;
  EXPECT_EQ(cma_reduce(context.get(), &one), 5);
  expect_reduced(5, 1);
}

TEST_F(ReducePeerTest, RefusesWhatIsWrong)
{
  const auto refused = [&](const auto &spoil) {
    auto one = reduction({cma_pid(::getpid())});
    spoil(one);
    return cma_reduce(context.get(), &one);
  };
  const auto each = [&](auto cma_reduction::*field, auto value) {
    return refused([=](cma_reduction &one) {
      one.*field = static_cast<std::remove_reference_t<decltype(one.*field)>>(value);
    });
  };
  EXPECT_EQ(each(&cma_reduction::op, CMA_OP_LXOR + 1), -EINVAL);
  for (const std::uint32_t none : {0U, CMA_TYPE_BFLOAT16 + 1U, ~0U}) {
    EXPECT_EQ(each(&cma_reduction::op, none), -EINVAL);
    EXPECT_EQ(each(&cma_reduction::type, none), -EINVAL);
  }
  for (const std::uint32_t flags : {CMA_WRITE, CMA_MANY, CMA_LARGE, CMA_INTERRUPTIBLE})
    EXPECT_EQ(each(&cma_reduction::flags, flags), -EINVAL);
  EXPECT_EQ(each(&cma_reduction::first, count() + 1), -EINVAL);
  for (const size_t many : {count() + 1, SIZE_MAX / 8, SIZE_MAX / 8 + 2, SIZE_MAX})
    EXPECT_EQ(each(&cma_reduction::count, many), -EINVAL) << many;
  EXPECT_EQ(each(&cma_reduction::operand_count, 0), -EINVAL);
  EXPECT_EQ(each(&cma_reduction::operand_count, CMA_MAX_OPERANDS + 1), -EINVAL);
  EXPECT_EQ(each(&cma_reduction::local_count, 0), -EINVAL);
  EXPECT_EQ(refused([&](auto &) { there.iov_len -= 8; }), -EINVAL);
  EXPECT_EQ(refused([&](auto &) { here.iov_len -= 1; }), -EINVAL);
  EXPECT_EQ(refused([&](auto &) { there.iov_len += 4; }), -EINVAL);
  const iovec few = {ours.data(), 8};
  EXPECT_EQ(refused([&](auto &one) { one.out = &few, one.out_count = 1; }), -EINVAL);
  EXPECT_EQ(refused([&](auto &) { operands[0].peer.type = 77; }), -EINVAL);
  for (std::uint32_t op = CMA_OP_BAND; op <= CMA_OP_LXOR; op++)
    for (const auto type : {CMA_TYPE_FLOAT16, CMA_TYPE_BFLOAT16, CMA_TYPE_DOUBLE})
      EXPECT_EQ(refused([=](auto &one) { one.op = op, one.type = type; }), -EOPNOTSUPP);
  expect_reduced(0, 0);
}

TEST_F(ReducePeerTest, AChildDoesNotActInItsParentsName)
{
  auto one = reduction({cma_pid(::getpid())});
  EXPECT_EQ(in_child([&] { return cma_reduce(context.get(), &one) == -ESTALE; }), 1);
}

// Nor is the module asked, whatever the size.
TEST_F(ReducePeerTest, AChildDoesNotHaveTheModuleActEither)
{
  testing::NiceMock<Device> device;
  EXPECT_CALL(device, info).WillRepeatedly([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features |= CMA_FEATURE_REDUCE;
    return 0;
  });
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, reduce).WillRepeatedly([](cma_ioc_reduce &reduction) {
    reduction.reduced = reduction.length;
    return 0;
  });
  auto one = reduction({cma_pid(::getpid())});
  for (const size_t count : {size_t{8}, 4096 / sizeof(double), one.count}) {
    one.count = count;
    EXPECT_EQ(in_child([&] { return cma_reduce(context.get(), &one) == -ESTALE; }), 1)
        << count;
  }
}

// As memcpy(3) does.
TEST_F(ReducePeerTest, WhatTheProgramItselfDoesNotHaveIsASignal)
{
  const Pages memory(1);
  memory.protect(0, PROT_READ);
  auto one = reduction({cma_pid(::getpid())});
  here.iov_base = memory.data();
  here.iov_len = page_size();
  one.count = 1;
  EXPECT_EXIT(::_exit(cma_reduce(open_context(CMA_OPEN_SYSCALL).get(), &one) != 0),
              testing::KilledBySignal(SIGSEGV), "");
}

// Of one segment and block, it is one plain copy, which costs the least.
TEST_F(ReducePeerTest, ASmallOneIsOneCopy)
{
  testing::StrictMock<Device> device;
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    EXPECT_EQ(copy.flags, CMA_COPY_SINGLE);
    EXPECT_EQ(copy.peer, 7);
    return copy_by_kernel(copy, ::getpid());
  });
  auto one = reduction({cma_handle(7)});
  one.count = 8;
  EXPECT_EQ(cma_reduce(context.get(), &one), 8);
  expect_reduced(8, 1);

  EXPECT_CALL(device, copy).WillOnce([](cma_ioc_copy &copy) {
    EXPECT_EQ(copy.flags, CMA_COPY_STRICT);
    return -EPERM;
  });
  one.flags = CMA_STRICT;
  EXPECT_EQ(cma_reduce(context.get(), &one), -EPERM);
}

TEST_F(ReducePeerTest, InCpp)
{
  const Peer process;
  const cma::Context cpp(CMA_OPEN_SYSCALL);
  const auto peer = cma::pid(process.pid());
  const auto there_is = address_of(theirs.data());
  EXPECT_EQ(cma::reduce(cpp, CMA_OP_SUM, peer, ours.data(), count(), there_is), count());
  expect_reduced(count(), 1);
  std::error_code error(EDOM, std::generic_category());
  EXPECT_EQ(cma::reduce(cpp, CMA_OP_SUM, peer, ours.data(), 1, there_is, error), 1U);
  EXPECT_FALSE(error);
  EXPECT_EQ(cma::reduce(cpp, CMA_OP_SUM, peer, ours.data(), 1, 8, error), 0U);
  EXPECT_EQ(error, std::errc::bad_address);
  try {
    cma::reduce(cpp, CMA_OP_SUM, cma::pid(0), ours.data(), 1, there_is);
    FAIL() << "no exception";
  } catch (const cma::Error &caught) {
    EXPECT_EQ(caught.code(), std::errc::no_such_process);
    EXPECT_THAT(caught.what(), HasSubstr("cma_reduce: There is no process 0"));
  }
  EXPECT_THROW(cma::reduce(cpp, CMA_OP_BAND, peer, ours.data(), 1, there_is),
               std::system_error);
  static_assert(cma::type_of<signed char>() == CMA_TYPE_INT8);
  static_assert(cma::type_of<unsigned short>() == CMA_TYPE_UINT16);
  static_assert(cma::type_of<long long>() == CMA_TYPE_INT64);
  static_assert(cma::type_of<float>() == CMA_TYPE_FLOAT);
  static_assert(cma::type_of<reference::Float16>() == CMA_TYPE_FLOAT16);
  static_assert(cma::type_of<reference::Bfloat16>() == CMA_TYPE_BFLOAT16);
}

} // namespace
