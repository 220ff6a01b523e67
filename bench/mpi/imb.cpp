// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The patterns of the Intel MPI Benchmarks that the proposal of cross memory attach
// names: ping-pong and ping-ping between ranks 0 and 1, and among all ranks Sendrecv,
// Exchange, Gather, Scatter and Alltoall. Time is that of one move of a pattern; of a
// ping-pong, half of it. The bytes are those of one message.

#include "world.hpp"

#include <memory>
#include <vector>

namespace bench {
namespace {

constexpr std::size_t kSizes[] = {64UL << 10, 1UL << 20};
/// Bytes that a rank sends or receives in one move of a collective, at most.
constexpr std::size_t kMostOfAll = 8UL << 20;

/// Memory for a pattern of so many messages of count elements, and the sends and receives
/// in a slot of it.
class Messages {
public:
  Messages(std::size_t bytes, std::size_t sends, std::size_t receives)
      : count(static_cast<int>(bytes / sizeof(double))), slots(slots_for(bytes)),
        sent(sends * elements(), slots), got(receives * elements(), slots)
  {
  }

  [[nodiscard]] std::size_t elements() const { return static_cast<std::size_t>(count); }
  double *to(int slot) { return got.at(slot); }
  double *to(int slot, int part) { return got.at(slot) + part_at(part); }
  void check_from(int owner, int part, int round, std::size_t from = 0)
  {
    for (int slot = 0; slot < slots; slot++)
      check(to(slot, part), elements(), owner, round, slot, from);
  }
  [[nodiscard]] std::size_t part_at(int part) const
  {
    return static_cast<std::size_t>(part) * elements();
  }

  int count;
  int slots;
  Outgoing sent;
  Incoming got;
};

/// @param share of the time of a move that is told
void run(const char *name, std::size_t bytes, Messages &messages,
         const std::function<void(int)> &move, const std::function<void(int)> &check,
         double share = 1)
{
  const auto fill = [&messages](int round) {
    messages.sent.fill(round);
    messages.got.wipe();
  };
  report(name, bytes, share * time_of({name, bytes, messages.slots, fill, move, check}));
}

void ping_pong(std::size_t bytes)
{
  Messages m(bytes, 1, 1);
  const auto check = [&m](int round) {
    if (rank < 2)
      m.check_from(1 - rank, 0, round);
  };
  const auto in_turn = [&m](int slot) {
    if (rank == 0)
      MPI_Send(m.sent.at(slot), m.count, MPI_DOUBLE, 1, 0, MPI_COMM_WORLD);
    if (rank < 2)
      MPI_Recv(m.to(slot), m.count, MPI_DOUBLE, 1 - rank, 0, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
    if (rank == 1)
      MPI_Send(m.sent.at(slot), m.count, MPI_DOUBLE, 0, 0, MPI_COMM_WORLD);
  };
  const auto at_once = [&m](int slot) {
    if (rank >= 2)
      return;
    MPI_Request request;
    MPI_Isend(m.sent.at(slot), m.count, MPI_DOUBLE, 1 - rank, 0, MPI_COMM_WORLD,
              &request);
    MPI_Recv(m.to(slot), m.count, MPI_DOUBLE, 1 - rank, 0, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
  };
  run("PingPong", bytes, m, in_turn, check, 0.5);
  run("PingPing", bytes, m, at_once, check);
}

void chain(std::size_t bytes)
{
  const int left = (rank + ranks - 1) % ranks;
  const int right = (rank + 1) % ranks;
  Messages m(bytes, 1, 2);
  const auto one_way = [&](int slot) {
    MPI_Sendrecv(m.sent.at(slot), m.count, MPI_DOUBLE, right, 0, m.to(slot), m.count,
                 MPI_DOUBLE, left, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  };
  const auto both_ways = [&](int slot) {
    MPI_Request sends[2];
    MPI_Isend(m.sent.at(slot), m.count, MPI_DOUBLE, right, 0, MPI_COMM_WORLD, &sends[0]);
    MPI_Isend(m.sent.at(slot), m.count, MPI_DOUBLE, left, 1, MPI_COMM_WORLD, &sends[1]);
    MPI_Recv(m.to(slot, 0), m.count, MPI_DOUBLE, left, 0, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    MPI_Recv(m.to(slot, 1), m.count, MPI_DOUBLE, right, 1, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    MPI_Waitall(2, sends, MPI_STATUSES_IGNORE);
  };
  run("Sendrecv", bytes, m, one_way, [&](int round) { m.check_from(left, 0, round); });
  run("Exchange", bytes, m, both_ways, [&](int round) {
    m.check_from(left, 0, round);
    m.check_from(right, 1, round);
  });
}

void gather(std::size_t bytes)
{
  Messages m(bytes, 1, rank == 0 ? static_cast<std::size_t>(ranks) : 0);
  const auto move = [&m](int slot) {
    MPI_Gather(m.sent.at(slot), m.count, MPI_DOUBLE, rank == 0 ? m.to(slot) : nullptr,
               m.count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  };
  run("Gather", bytes, m, move, [&m](int round) {
    for (int of = 0; rank == 0 && of < ranks; of++)
      m.check_from(of, of, round);
  });
}

void scatter(std::size_t bytes)
{
  Messages m(bytes, rank == 0 ? static_cast<std::size_t>(ranks) : 0, 1);
  const auto move = [&m](int slot) {
    MPI_Scatter(rank == 0 ? m.sent.at(slot) : nullptr, m.count, MPI_DOUBLE, m.to(slot),
                m.count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  };
  run("Scatter", bytes, m, move,
      [&m](int round) { m.check_from(0, 0, round, m.part_at(rank)); });
}

void alltoall(std::size_t bytes)
{
  Messages m(bytes, static_cast<std::size_t>(ranks), static_cast<std::size_t>(ranks));
  const auto move = [&m](int slot) {
    MPI_Alltoall(m.sent.at(slot), m.count, MPI_DOUBLE, m.to(slot), m.count, MPI_DOUBLE,
                 MPI_COMM_WORLD);
  };
  run("Alltoall", bytes, m, move, [&m](int round) {
    for (int of = 0; of < ranks; of++)
      m.check_from(of, of, round, m.part_at(rank));
  });
}

} // namespace

void imb()
{
  for (const std::size_t bytes : kSizes) {
    ping_pong(bytes);
    chain(bytes);
    if (bytes * static_cast<std::size_t>(ranks) > kMostOfAll)
      continue;
    gather(bytes);
    scatter(bytes);
    alltoall(bytes);
  }
}

} // namespace bench
