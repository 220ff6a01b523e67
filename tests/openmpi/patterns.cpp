// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * An MPI program that knows nothing of cma: allreduce, gather, and puts and gets of one
 * side, from 1 element to 8 MB, or so many elements as the argument says, every element
 * checked. An element's value depends on whose it is, in which round, and where it
 * stands.
 */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <vector>

#include <mpi.h>

namespace {

constexpr size_t counts[] = {1, 3, 500, 513, 8192, 8191, 131072, 1 << 20};
constexpr int rounds = 2;

int rank, ranks;

uint64_t element(int of, int round, size_t index)
{
  uint64_t x = (index + 1) * 0x9e3779b97f4a7c15 + (static_cast<uint64_t>(of + 1) << 48) +
               (static_cast<uint64_t>(round) << 32);
  return x ^ (x >> 31);
}

std::vector<uint64_t> elements_of(int of, int round, size_t count)
{
  std::vector<uint64_t> all(count);
  for (size_t i = 0; i < count; i++)
    all[i] = element(of, round, i);
  return all;
}

void check(const std::vector<uint64_t> &got, size_t at, size_t count, int of, int round,
           const char *what)
{
  for (size_t i = 0; i < count; i++)
    if (got[at + i] != element(of, round, i)) {
      fprintf(stderr,
              "%s: rank %d: element %zu of %zu from rank %d in round %d is wrong\n", what,
              rank, i, count, of, round);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

void allreduce(size_t count, int round)
{
  const std::vector<uint64_t> mine = elements_of(rank, round, count);
  std::vector<uint64_t> all(count);
  MPI_Allreduce(mine.data(), all.data(), static_cast<int>(count), MPI_UINT64_T, MPI_SUM,
                MPI_COMM_WORLD);
  for (size_t i = 0; i < count; i++) {
    uint64_t sum = 0;
    for (int of = 0; of < ranks; of++)
      sum += element(of, round, i);
    if (all[i] != sum) {
      fprintf(stderr, "allreduce: rank %d: element %zu of %zu is wrong\n", rank, i,
              count);
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
  }
}

void gather(size_t count, int round)
{
  const int root = round % ranks;
  const std::vector<uint64_t> mine = elements_of(rank, round, count);
  std::vector<uint64_t> all(rank == root ? count * static_cast<size_t>(ranks) : 0);
  MPI_Gather(mine.data(), static_cast<int>(count), MPI_UINT64_T, all.data(),
             static_cast<int>(count), MPI_UINT64_T, root, MPI_COMM_WORLD);
  for (int of = 0; rank == root && of < ranks; of++)
    check(all, count * static_cast<size_t>(of), count, of, round, "gather");
}

/* Half of a window is put into by the neighbour on the left, who gets the other half. */
void one_sided(size_t count, int round)
{
  const int right = (rank + 1) % ranks;
  const int left = (rank + ranks - 1) % ranks;
  const std::vector<uint64_t> mine = elements_of(rank, round, count);
  std::vector<uint64_t> shared(2 * count), got(count);
  for (size_t i = 0; i < count; i++)
    shared[count + i] = mine[i];
  MPI_Win window;
  MPI_Win_create(shared.data(), static_cast<MPI_Aint>(2 * count * sizeof(uint64_t)),
                 sizeof(uint64_t), MPI_INFO_NULL, MPI_COMM_WORLD, &window);
  MPI_Win_fence(0, window);
  const int n = static_cast<int>(count);
  MPI_Put(mine.data(), n, MPI_UINT64_T, right, 0, n, MPI_UINT64_T, window);
  MPI_Get(got.data(), n, MPI_UINT64_T, right, static_cast<MPI_Aint>(count), n,
          MPI_UINT64_T, window);
  MPI_Win_fence(0, window);
  check(shared, 0, count, left, round, "put");
  check(got, 0, count, right, round, "get");
  MPI_Win_free(&window);
}

} // namespace

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const size_t most =
      argc > 1 ? strtoul(argv[1], nullptr, 10) : counts[std::size(counts) - 1];
  for (const size_t count : counts)
    for (int round = 0; round < rounds && count <= most; round++) {
      allreduce(count, round);
      gather(count, round);
      one_sided(count, round);
    }
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0)
    printf("%d ranks: allreduce, gather, put and get are correct\n", ranks);
  MPI_Finalize();
  return 0;
}
