// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// mpi-bench patterns | reduce [WAYS]: times message patterns, or reductions in each of
// these ways, a letter each (reduce.cpp). Rank 0 prints a row of JSON for each.

#include "world.hpp"

#include <cstdio>
#include <cstring>

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &bench::rank);
  MPI_Comm_size(MPI_COMM_WORLD, &bench::ranks);
  const bool patterns = argc == 2 && std::strcmp(argv[1], "patterns") == 0;
  const bool reduce = argc == 3 && std::strcmp(argv[1], "reduce") == 0;
  if (patterns) {
    bench::hpcc();
    bench::imb();
    bench::kernels();
  } else if (reduce) {
    bench::reductions(argv[2]);
  } else {
    std::fputs("usage: mpi-bench patterns | reduce WAYS\n", stderr);
  }
  MPI_Finalize();
  return patterns || reduce ? 0 : 2;
}
