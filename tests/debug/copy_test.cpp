// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Memory shortage where bytes move.
#include "fail_nth.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>

namespace cma_test {
namespace {

struct Shape {
  const char *name;
  size_t segments;
  size_t length;     // of each
  unsigned contacts; // earlier copies of the same memory

  size_t size() const { return segments * length; }
};

constexpr Shape small = {"Small", 1, 64, 0};
constexpr Shape again = {"Again", 1, 64, 1};    // now it is translated
constexpr Shape warm = {"Warm", 1, 64, 3};      // and found translated
const Shape large = {"Large", 1, 40 * page, 0}; // translated at once
const Shape several = {"Several", 12, page, 0}; // a list of segments from slab
constexpr Shape many = {"Many", 2048, 16, 0};   // and one by kvmalloc

const size_t most = 40 * page;

std::vector<cma_iovec> segments(uintptr_t address, const Shape &shape)
{
  std::vector<cma_iovec> list;
  list.reserve(shape.segments);
  for (size_t i = 0; i < shape.segments; i++)
    list.push_back({address + i * shape.length, shape.length});
  return list;
}

class CopyFailNth : public FailNth {
protected:
  CopyFailNth() : local_(make_memory(Kind::Anonymous, most)) {}
  ~CopyFailNth() override { munmap(reinterpret_cast<void *>(local_), most); }

  /// A copy from, or to, memory of the peer of which nothing is known but by contacts.
  Path copying(uint32_t peer_type, uint32_t flags, const Shape &shape)
  {
    write_ = (flags & CMA_COPY_WRITE) != 0;
    shape_ = shape;
    ours_ = pattern(shape.size(), 1);
    theirs_ = pattern(shape.size(), 2);
    request_ = sized<cma_ioc_copy>();
    request_.flags = flags | (shape.segments > 1024 ? CMA_COPY_MANY : 0);
    request_.peer_type = peer_type;
    return {
        .prepare = [this] { prepare(); },
        .call = [this] { return device_->copy(request_); },
        .check = [this](Outcome copied) { check(copied); },
    };
  }

  void move_on();
  void prepare();
  void check(Outcome copied) const;
  /// Ours exclusive or theirs.
  void check_reduced(Outcome reduced) const;
  int32_t handle() const { return request_.peer; }

  uintptr_t local_;
  uintptr_t remote_ = uintptr_t{1} << 44; // and onwards: nobody's

private:
  int32_t id() const;
  void fill() const
  {
    Arena(getpid(), local_, shape_.size()).put(ours_);
    Arena(peer_->pid(), remote_, shape_.size()).put(theirs_);
  }

  bool write_ = false;
  Shape shape_ = small;
  std::vector<uint8_t> ours_, theirs_;
  std::vector<cma_iovec> local_segments_, remote_segments_;
  cma_ioc_copy request_{};
};

/// Gives the peer memory where it never had any.
void CopyFailNth::move_on()
{
  const uintptr_t old = remote_;
  remote_ += 2 * huge_page;
  peer_->call([old, at = remote_]() -> long {
    munmap(reinterpret_cast<void *>(old), most);
    renew(at, most);
    return 0;
  });
}

void CopyFailNth::prepare()
{
  move_on();
  device_.emplace(); // which has judged nobody yet
  local_segments_ = segments(local_, shape_);
  remote_segments_ = segments(remote_, shape_);
  request_.local_iov = reinterpret_cast<uintptr_t>(local_segments_.data());
  request_.remote_iov = reinterpret_cast<uintptr_t>(remote_segments_.data());
  request_.local_cnt = local_segments_.size();
  request_.remote_cnt = remote_segments_.size();
  request_.peer = id();
  fill();
  for (unsigned i = 0; i < shape_.contacts; i++)
    ASSERT_EQ(device_->copy(request_).error, 0);
  fill();
}

int32_t CopyFailNth::id() const
{
  if (request_.peer_type == CMA_PEER_PID)
    return peer_->pid();
  if (request_.peer_type == CMA_PEER_PIDFD)
    return peer_->pidfd();
  const Outcome handle = device_->open(CMA_PEER_PID, peer_->pid());
  EXPECT_EQ(handle.error, 0) << handle;
  return static_cast<int32_t>(handle.result);
}

void CopyFailNth::check(Outcome copied) const
{
  const auto &want = write_ ? ours_ : theirs_;
  EXPECT_EQ(copied, gives(static_cast<int64_t>(want.size())));
  EXPECT_TRUE(Arena(getpid(), local_, want.size()).bytes() == want);
  EXPECT_TRUE(Arena(peer_->pid(), remote_, want.size()).bytes() == want);
}

void CopyFailNth::check_reduced(Outcome reduced) const
{
  auto want = ours_;
  std::transform(want.begin(), want.end(), theirs_.begin(), want.begin(), std::bit_xor());
  EXPECT_EQ(reduced, gives(static_cast<int64_t>(want.size())));
  EXPECT_TRUE(Arena(getpid(), local_, want.size()).bytes() == want);
}

using Combination = std::tuple<uint32_t, uint32_t, Shape>;

std::string name_of_combination(const testing::TestParamInfo<Combination> &info)
{
  constexpr std::array peers = {"", "Pid", "Pidfd", "Handle"};
  const auto &[peer_type, flags, shape] = info.param;
  return std::string(peers.at(peer_type)) + (flags != 0 ? "Write" : "Read") + shape.name;
}

/// One segment travels without memory, once its peer was judged; a verdict on a pid
/// holds for the tenth of a second in which this may or may not get there.
Without without_memory(uint32_t peer_type, const Shape &shape)
{
  using enum Without;
  if (shape.segments > 1)
    return Fails;
  if (peer_type == CMA_PEER_HANDLE)
    return Succeeds;
  return shape.contacts > 0 ? DoesEither : Fails;
}

class EveryCopyFailNth : public CopyFailNth,
                         public testing::WithParamInterface<Combination> {};

TEST_P(EveryCopyFailNth, OfAnAcquaintance)
{
  const auto [peer_type, flags, shape] = GetParam();
  meet();
  const Path path = copying(peer_type, flags, shape);
  sweep(path);
  starve(path, without_memory(peer_type, shape));
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryCopyFailNth,
    testing::Combine(testing::Values(CMA_PEER_PID, CMA_PEER_PIDFD, CMA_PEER_HANDLE),
                     testing::Values(0U, CMA_COPY_WRITE),
                     testing::Values(small, again, warm, large, several, many)),
    name_of_combination);

TEST_F(CopyFailNth, OfAStranger)
{
  // procfs has yet to make its entries, the module its space. One shortage passes
  // unnoticed: what cannot be had at once is asked for again, as the call needs it.
  Path path = copying(CMA_PEER_PID, 0, large);
  path.prepare = [this] {
    meet();
    prepare();
  };
  sweep(path);
  starve(path, Without::Fails);
}

/// The kernel judges by what the handle has; nothing is made for it.
TEST_F(CopyFailNth, StrictByHandle)
{
  meet();
  const Path path = copying(CMA_PEER_HANDLE, CMA_COPY_STRICT, small);
  EXPECT_EQ(sweep(path), 0U);
  starve(path, Without::Succeeds);
}

/// What cannot be had ends it: the caller copies.
TEST_F(CopyFailNth, Reducing)
{
  meet();
  auto request = sized<cma_ioc_reduce>();
  Path path = copying(CMA_PEER_HANDLE, 0, large);
  path.call = [&] {
    request.op = CMA_REDUCE_BXOR;
    request.type = CMA_REDUCE_UINT64;
    request.local = request.out = local_;
    request.length = large.size();
    request.operand_cnt = 1;
    request.operand[0] = {CMA_PEER_HANDLE, handle(), remote_};
    const Outcome outcome = device_->call(CMA_IOC_REDUCE, &request);
    return outcome.error != 0 ? outcome : gives(static_cast<int64_t>(request.reduced));
  };
  path.check = [&](Outcome outcome) { check_reduced(outcome); };
  path.error = EAGAIN;
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
}

TEST_F(CopyFailNth, ToPagesThatAreNotThereYet)
{
  // As with process_vm_writev(2), a page that cannot be had is EFAULT, whatever the
  // cause. One shortage may pass unnoticed: the engine asks a second time.
  meet();
  Path path = copying(CMA_PEER_HANDLE, CMA_COPY_WRITE, large);
  path.prepare = [this] {
    prepare();
    peer_->call([at = remote_]() -> long { return renew(at, most), 0; });
  };
  path.error = EFAULT;
  sweep(path);
  starve(path, Without::Fails);
}

} // namespace
} // namespace cma_test
