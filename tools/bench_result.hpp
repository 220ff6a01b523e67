// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What a measurement found, and how it is shown: as tables, as JSON, as a chart.
 */
#ifndef CMA_TOOLS_BENCH_RESULT_HPP
#define CMA_TOOLS_BENCH_RESULT_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bench {

/** A way, at one length. */
struct Cell {
  size_t kind;
  uint64_t length; /* bytes of one copy */
  uint64_t times;  /* copies in a sample */
  /* Nanoseconds of one copy of each who reads: of all samples these. */
  double median, quarter, three_quarters, least;
};

/** All ways at all lengths, by these processes in these places. */
struct Table {
  std::string place;                /* as --place has it */
  std::string words;                /* the same for people */
  std::vector<unsigned> processors; /* none: not bound */
  size_t readers;
  std::vector<Cell> cells;
};

/** What could not be measured, and why. */
struct LeftOut {
  std::string what, why;
};

struct Result {
  /* What there is to know about it. */
  nlohmann::ordered_json machine = nlohmann::ordered_json::object();
  nlohmann::ordered_json method = nlohmann::ordered_json::object();
  std::vector<Table> tables;
  std::vector<LeftOut> left_out;
};

/** Bytes that all who read move in a nanosecond, which is GB/s. */
double bandwidth(const Table &table, const Cell &cell);

/** The kinds that it has cells of, in their order. */
std::vector<size_t> kinds_of(const Table &table);

/** The cell of that kind and length, or none. */
const Cell *find(const Table &table, size_t kind, uint64_t length);

void print(const Result &result);
nlohmann::ordered_json as_json(const Result &result);

/** Whether there is a gnuplot. */
bool can_draw();

/** Throws if gnuplot fails. The file's suffix, .svg or .png, tells of what kind it is. */
void draw(const Result &result, const std::string &file);

} // namespace bench

#endif
