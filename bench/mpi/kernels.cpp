// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Two kernels as applications have them, whose time is mostly computation. Every value
// that a rank receives goes into a result that is known, and compared to the last bit.

#include "world.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace bench {
namespace {

/// A grid in slabs of planes, periodic: each step sends the outermost plane to each
/// neighbour, and makes a plane of itself and the planes beside it. Of a grid that is a,
/// -a, a, ... plus b, the step makes one that is a, -a, a, ... plus 5 b + 1.
class Halo {
public:
  static constexpr std::size_t kCells = 131072; // of a plane: 1 MiB
  static constexpr int kPlanes = 8;
  static constexpr int kSteps = 4;

  Halo() : now_((kPlanes + 2) * kCells), next_(now_.size()) {}

  void fill(int round)
  {
    for (int p = 0; p <= kPlanes + 1; p++)
      for (std::size_t i = 0; i < kCells; i++)
        plane(now_, p)[i] = p == 0 || p == kPlanes + 1 ? -1 : start(p, round, i);
  }

  void step()
  {
    const int left = (rank + ranks - 1) % ranks;
    const int right = (rank + 1) % ranks;
    const int n = kCells;
    MPI_Request all[4];
    MPI_Irecv(plane(now_, 0), n, MPI_DOUBLE, left, 0, MPI_COMM_WORLD, &all[0]);
    MPI_Irecv(plane(now_, kPlanes + 1), n, MPI_DOUBLE, right, 1, MPI_COMM_WORLD, &all[1]);
    MPI_Isend(plane(now_, kPlanes), n, MPI_DOUBLE, right, 0, MPI_COMM_WORLD, &all[2]);
    MPI_Isend(plane(now_, 1), n, MPI_DOUBLE, left, 1, MPI_COMM_WORLD, &all[3]);
    MPI_Waitall(4, all, MPI_STATUSES_IGNORE);
    for (int p = 1; p <= kPlanes; p++) {
      const double *here = plane(now_, p);
      double *made = plane(next_, p);
      for (std::size_t i = 0; i < kCells; i++)
        made[i] = here[i - kCells] + here[i + kCells] + 3 * here[i] + 1;
    }
    now_.swap(next_);
  }

  void check(int round)
  {
    double added = 0;
    for (int step = 0; step < kSteps; step++)
      added = 5 * added + 1;
    for (int p = 1; p <= kPlanes; p++)
      for (std::size_t i = 0; i < kCells; i++)
        if (plane(now_, p)[i] != start(p, round, i) + added)
          give_up("the grid is wrong");
  }

private:
  static double *plane(std::vector<double> &grid, int p)
  {
    return &grid[static_cast<std::size_t>(p) * kCells];
  }
  static double start(int p, int round, std::size_t i)
  {
    return p % 2 == 0 ? value(0, round, i) : -value(0, round, i);
  }

  std::vector<double> now_, next_;
};

/// What a spectral code does: transforms along the rows of a matrix that lies in slabs,
/// and transposes it to transform along the columns. The transform is Walsh and
/// Hadamard's, which is exact in whole numbers, and twice which is the matrix,
/// multiplied.
class Transposed {
public:
  static constexpr std::size_t kSide = 1024;
  static constexpr std::size_t kWords = 2; // of an element: a complex number

  Transposed()
      : rows_(kSide / static_cast<std::size_t>(ranks)), matrix_(rows_ * kLine),
        packed_(matrix_.size()), got_(matrix_.size())
  {
  }

  void fill(int round)
  {
    for (std::size_t i = 0; i < matrix_.size(); i++)
      matrix_[i] = start(round, i);
    std::ranges::fill(got_, -1);
  }

  /// There and back, and a change, so that no two moves send the same.
  void move()
  {
    for (int dimension = 0; dimension < 4; dimension++) {
      for (std::size_t row = 0; row < rows_; row++)
        transform(std::span(matrix_).subspan(row * kLine, kLine));
      transpose();
    }
    for (double &word : matrix_)
      word = word / (kSide * kSide) + 1;
  }

  void check(int round)
  {
    for (std::size_t i = 0; i < matrix_.size(); i++)
      if (matrix_[i] != start(round, i) + 1)
        give_up("the matrix is wrong");
  }

private:
  static constexpr std::size_t kLine = kSide * kWords;

  /// Small enough for all sums to be exact.
  static double start(int round, std::size_t i)
  {
    return static_cast<double>(static_cast<int>(value(rank, round, i)) >> 12);
  }

  static void transform(std::span<double> line)
  {
    for (std::size_t half = kWords; half < line.size(); half *= 2)
      for (std::size_t from = 0; from < line.size(); from += 2 * half) {
        double *low = &line[from];
        double *high = &line[from + half];
        for (std::size_t i = 0; i < half; i++) {
          const double sum = low[i] + high[i];
          high[i] = low[i] - high[i];
          low[i] = sum;
        }
      }
  }

  void transpose()
  {
    const std::size_t block = rows_ * rows_ * kWords;
    for (std::size_t to = 0; to < static_cast<std::size_t>(ranks); to++)
      for (std::size_t row = 0; row < rows_; row++)
        std::copy_n(&matrix_[row * kLine + to * rows_ * kWords], rows_ * kWords,
                    &packed_[to * block + row * rows_ * kWords]);
    const int n = static_cast<int>(block);
    MPI_Alltoall(packed_.data(), n, MPI_DOUBLE, got_.data(), n, MPI_DOUBLE,
                 MPI_COMM_WORLD);
    for (std::size_t of = 0; of < static_cast<std::size_t>(ranks); of++)
      for (std::size_t row = 0; row < rows_; row++)
        for (std::size_t column = 0; column < rows_; column++)
          std::copy_n(&got_[of * block + (column * rows_ + row) * kWords], kWords,
                      &matrix_[row * kLine + (of * rows_ + column) * kWords]);
  }

  std::size_t rows_;
  std::vector<double> matrix_, packed_, got_;
};

} // namespace

void kernels()
{
  {
    Halo halo;
    const Pattern pattern{"halo exchange",
                          Halo::kCells * sizeof(double),
                          1,
                          [&](int round) { halo.fill(round); },
                          [&](int) {
                            for (int step = 0; step < Halo::kSteps; step++)
                              halo.step();
                          },
                          [&](int round) { halo.check(round); }};
    report(pattern.name, pattern.bytes, time_of(pattern) / Halo::kSteps);
  }
  Transposed matrix;
  const auto n = static_cast<std::size_t>(ranks);
  const Pattern pattern{"transposes",
                        Transposed::kSide * Transposed::kSide * Transposed::kWords *
                            sizeof(double) / (n * n),
                        1,
                        [&](int round) { matrix.fill(round); },
                        [&](int) { matrix.move(); },
                        [&](int round) { matrix.check(round); }};
  report(pattern.name, pattern.bytes, time_of(pattern));
}

} // namespace bench
