// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Ranks, contents and time; world.hpp says what each is.

#include "world.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace bench {

int rank;
int ranks;

namespace {

constexpr std::size_t kPage = 4096 / sizeof(double);
constexpr std::size_t kReceived = 4UL << 20; // bytes, of all slots
constexpr double kEnough = 0.05;             // seconds on the clock
constexpr int kLeastRounds = 8;
constexpr int kMostRounds = 30;
constexpr double kWiped = -1;

/// Seconds from when all are ready until the last one is done.
double time_round(const Pattern &pattern)
{
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = MPI_Wtime();
  for (int slot = 0; slot < pattern.slots; slot++)
    pattern.move(slot);
  const double mine = MPI_Wtime() - start;
  double longest = 0;
  MPI_Allreduce(&mine, &longest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return longest;
}

} // namespace

double value(int owner, int round, std::size_t index)
{
  const auto seed = static_cast<std::uint32_t>(owner * 7919 + round * 104729);
  const auto mixed = (static_cast<std::uint32_t>(index) + seed) * 2654435761U;
  return static_cast<double>(static_cast<std::int32_t>(mixed >> 12));
}

int slots_for(std::size_t bytes)
{
  return static_cast<int>(std::clamp<std::size_t>(kReceived / bytes, 1, 16));
}

Outgoing::Outgoing(std::size_t count, int slots) : elements_(count + first(slots))
{
}

void Outgoing::fill(int round)
{
  for (std::size_t i = 0; i < elements_.size(); i++)
    elements_[i] = value(rank, round, i);
}

std::size_t Outgoing::first(int slot)
{
  return static_cast<std::size_t>(slot) * kPage;
}

Incoming::Incoming(std::size_t count, int slots)
    : count_(count), elements_(count * static_cast<std::size_t>(slots))
{
}

void Incoming::wipe()
{
  std::ranges::fill(elements_, kWiped);
}

void check(const double *got, std::size_t count, int owner, int round, int slot,
           std::size_t from)
{
  for (std::size_t i = 0; i < count; i++)
    if (got[i] != value(owner, round, Outgoing::first(slot) + from + i))
      give_up("element " + std::to_string(i) + " of " + std::to_string(count) +
              " from rank " + std::to_string(owner) + " is wrong");
}

void give_up(const std::string &why)
{
  std::fprintf(stderr, "rank %d of %d: %s\n", rank, ranks, why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

double time_of(const Pattern &pattern)
{
  double all = 0;
  double least = std::numeric_limits<double>::max();
  // The first round is not counted.
  for (int round = 0; round <= kLeastRounds || (all < kEnough && round <= kMostRounds);
       round++) {
    pattern.fill(round);
    const double seconds = time_round(pattern);
    pattern.check(round);
    if (round == 0)
      continue;
    all += seconds;
    least = std::min(least, seconds);
  }
  return least * 1e9 / pattern.slots;
}

void report(const std::string &name, std::size_t bytes, double nanoseconds,
            const std::string &way)
{
  if (rank != 0)
    return;
  const std::string mechanism = way.empty() ? "" : R"("mechanism": ")" + way + "\", ";
  std::printf(R"({"pattern": "%s", %s"ranks": %d, "bytes": %zu, "nanoseconds": %.1f})"
              "\n",
              name.c_str(), mechanism.c_str(), ranks, bytes, nanoseconds);
  // Each by itself: of 4 KiB at once Open MPI's mpirun lost some bytes.
  std::fflush(stdout);
}

} // namespace bench
