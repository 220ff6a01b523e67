// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The three patterns of the HPC Challenge by which the proposal of cross memory attach
// was judged, with its messages of 2,000,000 bytes: a ring in the order of the ranks,
// rings in random orders, and ping-pongs, of which the best pair counts. In a ring each
// process sends to both neighbours; of MPI_Sendrecv and of non-blocking calls the faster
// counts.

#include "world.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace bench {
namespace {

constexpr std::size_t kBytes = 2000000;
constexpr int kCount = kBytes / sizeof(double);
constexpr int kOrders = 3;
enum { kRightwards, kLeftwards };

struct Neighbours {
  int left, right;
};

Neighbours neighbours_in(const std::vector<int> &order)
{
  const auto at = std::ranges::find(order, rank) - order.begin();
  const auto place = [&order](std::ptrdiff_t i) {
    return order[static_cast<std::size_t>(i + ranks) % order.size()];
  };
  return {place(at - 1), place(at + 1)};
}

void move_blocking(const Neighbours &to, const double *sent, double *left, double *right)
{
  MPI_Sendrecv(sent, kCount, MPI_DOUBLE, to.right, kRightwards, left, kCount, MPI_DOUBLE,
               to.left, kRightwards, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(sent, kCount, MPI_DOUBLE, to.left, kLeftwards, right, kCount, MPI_DOUBLE,
               to.right, kLeftwards, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

void move_at_once(const Neighbours &to, const double *sent, double *left, double *right)
{
  MPI_Request all[4];
  MPI_Irecv(left, kCount, MPI_DOUBLE, to.left, kRightwards, MPI_COMM_WORLD, &all[0]);
  MPI_Irecv(right, kCount, MPI_DOUBLE, to.right, kLeftwards, MPI_COMM_WORLD, &all[1]);
  MPI_Isend(sent, kCount, MPI_DOUBLE, to.right, kRightwards, MPI_COMM_WORLD, &all[2]);
  MPI_Isend(sent, kCount, MPI_DOUBLE, to.left, kLeftwards, MPI_COMM_WORLD, &all[3]);
  MPI_Waitall(4, all, MPI_STATUSES_IGNORE);
}

double time_of_ring(const std::vector<int> &order)
{
  const Neighbours to = neighbours_in(order);
  const int slots = slots_for(kBytes);
  Outgoing sent(kCount, slots);
  Incoming left(kCount, slots);
  Incoming right(kCount, slots);
  Pattern ring{"ring", kBytes, slots, {}, {}, {}};
  ring.fill = [&](int round) {
    sent.fill(round);
    left.wipe();
    right.wipe();
  };
  ring.check = [&](int round) {
    for (int slot = 0; slot < slots; slot++) {
      check(left.at(slot), kCount, to.left, round, slot);
      check(right.at(slot), kCount, to.right, round, slot);
    }
  };
  ring.move = [&](int slot) {
    move_blocking(to, sent.at(slot), left.at(slot), right.at(slot));
  };
  const double blocking = time_of(ring);
  ring.move = [&](int slot) {
    move_at_once(to, sent.at(slot), left.at(slot), right.at(slot));
  };
  return std::min(blocking, time_of(ring));
}

void rings()
{
  std::vector<int> order(static_cast<std::size_t>(ranks));
  std::iota(order.begin(), order.end(), 0);
  report("ring, natural order", kBytes, time_of_ring(order));
  std::mt19937 random(1); // the same for all ranks
  double logarithms = 0;
  for (int i = 0; i < kOrders; i++) {
    for (std::size_t last = order.size() - 1; last > 0; last--)
      std::swap(order[last], order[random() % (last + 1)]);
    logarithms += std::log(time_of_ring(order));
  }
  report("ring, random order", kBytes, std::exp(logarithms / kOrders));
}

double time_of_pair(int one, int other)
{
  const int slots = slots_for(kBytes);
  const bool takes_part = rank == one || rank == other;
  const int peer = rank == one ? other : one;
  Outgoing sent(takes_part ? kCount : 0, slots);
  Incoming got(takes_part ? kCount : 0, slots);
  Pattern pair{"ping-pong", kBytes, slots, {}, {}, {}};
  pair.fill = [&](int round) {
    sent.fill(round);
    got.wipe();
  };
  pair.move = [&](int slot) {
    if (rank == one)
      MPI_Send(sent.at(slot), kCount, MPI_DOUBLE, peer, 0, MPI_COMM_WORLD);
    if (takes_part)
      MPI_Recv(got.at(slot), kCount, MPI_DOUBLE, peer, 0, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
    if (rank == other)
      MPI_Send(sent.at(slot), kCount, MPI_DOUBLE, peer, 0, MPI_COMM_WORLD);
  };
  pair.check = [&](int round) {
    for (int slot = 0; takes_part && slot < slots; slot++)
      check(got.at(slot), kCount, peer, round, slot);
  };
  return time_of(pair) / 2;
}

} // namespace

void hpcc()
{
  rings();
  double least = time_of_pair(0, 1);
  for (int one = 1; one + 1 < ranks; one++)
    least = std::min(least, time_of_pair(one, one + 1));
  report("ping-pong, best pair", kBytes, least);
}

} // namespace bench
