// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What all patterns share: the ranks, memory whose every element tells whose it is, and
// how a pattern is timed. A pattern moves into another slot of memory each time, so that
// all that was received can be looked at once the clock has stopped.
#ifndef BENCH_MPI_WORLD_HPP
#define BENCH_MPI_WORLD_HPP

#include <mpi.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

extern int rank;
extern int ranks;

/// Element i of what a rank sends in a round: a whole number below 2^20, so that sums are
/// exact.
double value(int owner, int round, std::size_t index);

/// How many slots a pattern of such messages has; each slot's elements are others.
int slots_for(std::size_t bytes);

/// What a rank sends: a slot of it begins a page behind the last one.
class Outgoing {
public:
  Outgoing(std::size_t count, int slots);
  void fill(int round);
  [[nodiscard]] double *at(int slot) { return &elements_[first(slot)]; }
  /// The index of a slot's first element, as value() has it.
  static std::size_t first(int slot);

private:
  std::vector<double> elements_;
};

/// Where a rank receives.
class Incoming {
public:
  Incoming(std::size_t count, int slots);
  void wipe();
  [[nodiscard]] double *at(int slot)
  {
    return &elements_[static_cast<std::size_t>(slot) * count_];
  }

private:
  std::size_t count_;
  std::vector<double> elements_;
};

/// Ends the program unless this is what the owner sent, from that element of its slot on.
void check(const double *got, std::size_t count, int owner, int round, int slot,
           std::size_t from = 0);

/// Ends the program, of all ranks.
[[noreturn]] void give_up(const std::string &why);

struct Pattern {
  std::string name;
  std::size_t bytes; ///< of a message, or of what is reduced
  int slots;
  std::function<void(int round)> fill; ///< what is sent; wipes what is received
  std::function<void(int slot)> move;
  std::function<void(int round)> check;
};

/// Nanoseconds that one move takes until all ranks are done: the fastest round's.
double time_of(const Pattern &pattern);

/// Rank 0 prints a row of JSON.
void report(const std::string &name, std::size_t bytes, double nanoseconds,
            const std::string &way = "");

void hpcc();
void imb();
void kernels();
void reductions(const std::string &ways);

} // namespace bench

#endif
