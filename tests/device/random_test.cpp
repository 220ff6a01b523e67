// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Random vectors against a model. The model is what the copy means: two
 * strings of bytes, moved one by one in order, until the shorter ends or a
 * byte's page is not there. The system call is held to the same model, so
 * that the model is not the author's invention.
 *
 * CMA_TEST_SEED=n repeats a run, CMA_TEST_ROUNDS=n sets its length, which else time
 * may shorten (rounds.hpp).
 */
#include "support/helper.hpp"
#include "support/rounds.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <set>

namespace cma_test {
namespace {

constexpr size_t pages = 24;
const size_t size = pages * page;

/// One side: which pages are holes, and what the others hold.
struct Side {
  uintptr_t base;
  std::set<size_t> holes;
  std::vector<uint8_t> bytes;

  bool is_hole(uintptr_t address) const
  {
    return holes.contains((address - base) / page);
  }
  uint8_t &at(uintptr_t address) { return bytes[address - base]; }
};

/// Walks a vector byte by byte.
class Cursor {
public:
  explicit Cursor(const std::vector<iovec> &segments) : segments_(segments) { settle(); }

  bool at_end() const { return index_ == segments_.size(); }
  uintptr_t address() const
  {
    return reinterpret_cast<uintptr_t>(segments_[index_].iov_base) + offset_;
  }
  void advance()
  {
    offset_++;
    settle();
  }

private:
  void settle()
  {
    while (index_ < segments_.size() && offset_ == segments_[index_].iov_len) {
      index_++;
      offset_ = 0;
    }
  }
  const std::vector<iovec> &segments_;
  size_t index_ = 0;
  size_t offset_ = 0;
};

/// What a request gives, and what it makes of both sides.
Outcome model(const Request &request, Side &local, Side &remote)
{
  Cursor here(request.local);
  Cursor there(request.remote);
  if (here.at_end() || there.at_end())
    return gives(0);
  int64_t moved = 0;
  for (; !here.at_end() && !there.at_end(); here.advance(), there.advance(), moved++) {
    if (local.is_hole(here.address()) || remote.is_hole(there.address()))
      return moved > 0 ? gives(moved) : fails(EFAULT);
    uint8_t &mine = local.at(here.address());
    uint8_t &theirs = remote.at(there.address());
    (request.write ? theirs : mine) = request.write ? mine : theirs;
  }
  return gives(moved);
}

class Random : public testing::Test {
protected:
  const unsigned long seed = from_environment("CMA_TEST_SEED", 20260117);
  const int asked = static_cast<int>(from_environment("CMA_TEST_ROUNDS", 0));
  const int least = asked != 0 ? asked : 500;
  const int most = asked != 0 ? asked : 4000;
  std::mt19937_64 random{seed};
  Twin twin{size, size};

  size_t below(size_t limit) { return random() % limit; }
  bool one_in(size_t many) { return below(many) == 0; }

  /// Mostly small lengths, some around pages, a few long ones.
  size_t length()
  {
    switch (below(6)) {
    case 0:
      return 0;
    case 1:
      return page - 2 + below(5);
    case 2:
      return 1 + below(6 * page);
    default:
      return 1 + below(600);
    }
  }

  /// Segments anywhere in a side, overlapping as they like; often in a row.
  std::vector<iovec> segments(uintptr_t base)
  {
    const size_t count = one_in(20) ? below(200) : 1 + below(12);
    std::vector<iovec> result;
    size_t at = below(size);
    for (size_t i = 0; i < count; i++) {
      if (one_in(2))
        at = one_in(3) ? below(pages) * page : below(size);
      const size_t piece = std::min(length(), size - at);
      result.push_back(segment(base + at, piece));
      at = (at + piece) % size;
    }
    return result;
  }
  std::set<size_t> holes()
  {
    std::set<size_t> result;
    if (one_in(3))
      for (size_t i = 1 + below(3); i > 0; i--)
        result.insert(below(pages));
    return result;
  }

  Side local_side{twin.local().base(), {}, {}};
  Side remote_side{twin.remote().base(), {}, {}};

  /// New holes on both sides, and memory that both models know.
  void arrange()
  {
    local_side.holes = holes();
    remote_side.holes = holes();
    renew(local_side.base, size);
    const uintptr_t there = remote_side.base;
    uint32_t mask = 0;
    for (const size_t hole : remote_side.holes)
      mask |= 1U << hole;
    twin.peer().call([=]() -> long {
      renew(there, size);
      for (size_t i = 0; i < pages; i++)
        if ((mask >> i & 1) != 0)
          unmap(there + i * page, page);
      return 0;
    });
    for (const size_t hole : local_side.holes)
      unmap(local_side.base + hole * page, page);
    twin.local().fill(static_cast<uint32_t>(random()));
    twin.remote().fill(static_cast<uint32_t>(random()));
    local_side.bytes = twin.local().bytes();
    remote_side.bytes = twin.remote().bytes();
  }
};

TEST_F(Random, VectorsAgainstTheModel)
{
  static_assert(pages <= 32);
  std::cout << "CMA_TEST_SEED=" << seed << " CMA_TEST_ROUNDS=" << most << "\n";
  const Route routes[] = {Route::Pid,       Route::Handle, Route::Syscall,
                          Route::PidStrict, Route::Pidfd,  Route::Published,
                          Route::Handle};
  for (const int round : Rounds(least, most, std::chrono::seconds(10))) {
    if (round % 8 == 0)
      arrange();
    const Route route = routes[below(std::size(routes))];
    const Request request = {one_in(2), segments(local_side.base),
                             segments(remote_side.base), 0};
    const Outcome expected = model(request, local_side, remote_side);
    SCOPED_TRACE(testing::Message()
                 << "seed " << seed << ", round " << round << ", "
                 << (request.write ? "write" : "read") << " by " << name_of(route));
    ASSERT_EQ(run(twin.device(), route, twin.target(), request.call()), expected);
    ASSERT_TRUE(twin.local().bytes() == local_side.bytes);
    ASSERT_TRUE(twin.remote().bytes() == remote_side.bytes);
  }
}

} // namespace
} // namespace cma_test
