// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Reductions come out as one element at a time does, whoever computes them: within a
 * page and over many, in place and apart, of one peer and of as many as there may be.
 */
#include <numeric>

#include <cma_reduce.hpp>

#include "selftest.hpp"

namespace {

constexpr size_t elements = 6 * 4096;

/* The same elements of the peer's, count of them, so many times. */
template<typename T>
void reduce_all(const Bench &bench, cma::Peer peer, size_t peers, size_t count)
{
  std::vector<T> theirs(elements);
  std::iota(theirs.begin(), theirs.end(), T{1});
  const iovec all = {bench.peer.arena(), elements * sizeof(T)};
  const iovec from = {theirs.data(), elements * sizeof(T)};
  expect_result(
      cma_writev(bench.context.get(), cma_pid(bench.peer.pid()), &from, 1, &all, 1, 0),
      static_cast<ssize_t>(from.iov_len), "the peer's elements");

  std::vector<T> ours(count + 1, T{3});
  const iovec local = {ours.data(), count * sizeof(T)};
  const iovec remote = {bench.peer.arena(), count * sizeof(T)};
  const std::vector<cma_operand> operands(peers, cma_operand{peer, &remote, 1});
  cma_reduction reduction = {};
  reduction.op = CMA_OP_SUM;
  reduction.type = cma::type_of<T>();
  reduction.count = count;
  reduction.local = &local;
  reduction.local_count = 1;
  reduction.operands = operands.data();
  reduction.operand_count = peers;
  const std::string what = fmt::format("{} elements of {} peers", count, peers);
  /* The module computes of what it has seen before. */
  for (const int round : {1, 2, 3}) {
    expect_result(cma_reduce(bench.context.get(), &reduction),
                  static_cast<ssize_t>(count), what);
    for (size_t i = 0; i < count; i++) {
      const T right =
          static_cast<T>(T{3} + static_cast<T>(round * peers) * static_cast<T>(i + 1));
      expect(ours[i] == right, "{}: element {} is {}, not {}", what, i, ours[i], right);
    }
  }
  expect(ours[count] == T{3}, "{}: one more was written", what);
}

template<typename T>
void reduce_by(Bench &bench)
{
  bench.need(CMA_CAN_HANDLE, "handles");
  const cma::Handle handle = bench.context.open(cma::pid(bench.peer.pid()));
  for (const size_t peers : {1, 3, 4, 9})
    for (const size_t count : {size_t{1}, size_t{100}, size_t{1537}, elements})
      for (const cma::Peer peer : {cma::Peer(handle), cma::pid(bench.peer.pid())})
        reduce_all<T>(bench, peer, peers, count);
}

constexpr Item of_reductions[] = {
    {"sums of doubles", reduce_by<double>},
    {"sums of 32-bit integers", reduce_by<uint32_t>},
};

} // namespace

std::span<const Item> reduce_items()
{
  return of_reductions;
}
