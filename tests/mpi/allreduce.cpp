// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * An MPI program that knows nothing of cma: sums and maxima over all ranks, from one
 * number to 2 MiB of them, every result checked; out of place and in place.
 *
 * On success each rank prints what its own memory map says of the transport, as long
 * as MPI has it: in how many places it has another process's memory mapped by
 * /dev/cma. Rank 0 prints what Open MPI's btl/vader says of its single-copy
 * mechanism, if that is asked for in MPI's own tools interface.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include <mpi.h>

namespace {

constexpr size_t sizes[] = {1, 2, 100, 1000, 4096, 10000, 65536, 65537, 262144};

int rank, ranks;

/* What a rank contributes; small whole numbers, so that sums are exact. */
double value(int from, size_t index, int round)
{
  return static_cast<double>(
      (index * 31 + static_cast<size_t>(from) * 7 + static_cast<size_t>(round)) % 1000);
}

void check(const std::vector<double> &result, MPI_Op operation, int round)
{
  for (size_t i = 0; i < result.size(); i++) {
    double expected = 0;
    for (int from = 0; from < ranks; from++) {
      const double one = value(from, i, round);
      expected = operation == MPI_SUM ? expected + one : std::max(expected, one);
    }
    if (result[i] == expected)
      continue;
    fprintf(stderr, "allreduce: element %zu of %zu is %g in place of %g, round %d\n", i,
            result.size(), result[i], expected, round);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

void allreduce(size_t size, int round)
{
  const int count = static_cast<int>(size);
  std::vector<double> mine(size);
  std::vector<double> result(size);
  for (size_t i = 0; i < size; i++)
    mine[i] = value(rank, i, round);
  MPI_Allreduce(mine.data(), result.data(), count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  check(result, MPI_SUM, round);
  MPI_Allreduce(MPI_IN_PLACE, mine.data(), count, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  check(mine, MPI_MAX, round);
}

int mapped_places()
{
  int places = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (maps != nullptr && fgets(line, sizeof(line), maps) != nullptr)
    places += strstr(line, "anon_inode:[cma]") != nullptr;
  if (maps != nullptr)
    fclose(maps);
  return places;
}

/* The name of the value of btl_vader_single_copy_mechanism. */
void print_vader()
{
  int provided;
  int index;
  if (MPI_T_init_thread(MPI_THREAD_SINGLE, &provided) != MPI_SUCCESS ||
      MPI_T_cvar_get_index("btl_vader_single_copy_mechanism", &index) != MPI_SUCCESS)
    return;
  char name[64];
  char words[256];
  int name_length = sizeof(name);
  int words_length = sizeof(words);
  int verbosity;
  int binding;
  int scope;
  MPI_Datatype type;
  MPI_T_enum values;
  MPI_T_cvar_get_info(index, name, &name_length, &verbosity, &type, &values, words,
                      &words_length, &binding, &scope);
  MPI_T_cvar_handle handle;
  int count;
  int current = 0;
  MPI_T_cvar_handle_alloc(index, nullptr, &handle, &count);
  MPI_T_cvar_read(handle, &current);
  MPI_T_cvar_handle_free(&handle);
  int items = 0;
  MPI_T_enum_get_info(values, &items, nullptr, nullptr);
  for (int i = 0; i < items; i++) {
    int item;
    int length = sizeof(words);
    MPI_T_enum_get_item(values, i, &item, words, &length);
    if (item == current)
      printf("vader's single-copy mechanism is %s\n", words);
  }
  MPI_T_finalize();
}

} // namespace

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  for (size_t size : sizes)
    for (int round = 0; round < 3; round++)
      allreduce(size, round);
  printf("rank %d of %d: correct, %d places mapped by /dev/cma\n", rank, ranks,
         mapped_places());
  if (rank == 0)
    print_vader();
  MPI_Finalize();
  return 0;
}
