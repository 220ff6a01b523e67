// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_result.hpp.
#include "bench_result.hpp"

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "bench_way.hpp"

namespace bench {

namespace {

using Json = nlohmann::ordered_json;

/* A half of the samples lies within this part of the median, on a quiet machine. */
constexpr double quiet = 0.1;

std::string size_in_words(uint64_t bytes)
{
  for (const auto &[unit, name] :
       {std::pair{30, "GiB"}, std::pair{20, "MiB"}, std::pair{10, "KiB"}})
    if (bytes >> unit != 0 && bytes % (uint64_t{1} << unit) == 0)
      return fmt::format("{} {}", bytes >> unit, name);
  return fmt::format("{} B", bytes);
}

/* Three digits that count. */
std::string time_in_words(double ns)
{
  const auto [value, unit] = ns < 999.5     ? std::pair{ns, "ns"}
                             : ns < 999.5e3 ? std::pair{ns / 1e3, "us"}
                             : ns < 999.5e6 ? std::pair{ns / 1e6, "ms"}
                                            : std::pair{ns / 1e9, "s"};
  return fmt::format("{:.{}f} {}", value,
                     value < 9.995   ? 2
                     : value < 99.95 ? 1
                                     : 0,
                     unit);
}

std::vector<uint64_t> lengths_of(const Table &table)
{
  std::vector<uint64_t> list;
  for (const Cell &cell : table.cells)
    if (std::ranges::count(list, cell.length) == 0)
      list.push_back(cell.length);
  return list;
}

const Cell *find(const Table &table, std::string_view kind, uint64_t length)
{
  for (size_t i = 0; i < kinds().size(); i++)
    if (kinds()[i].name == kind)
      return find(table, i, length);
  return nullptr;
}

/* How many times as fast as process_vm_readv a copy could be at most. */
std::string ceiling(const Table &table, uint64_t length)
{
  const Cell *now = find(table, "process_vm", length);
  const Cell *best = find(table, "memcpy", length);
  return now && best ? fmt::format("{:.2f}x", now->median / best->median) : "";
}

void print_head(const std::vector<size_t> &columns, const char *last)
{
  fmt::print("{:>8}", "");
  for (const size_t kind : columns)
    fmt::print("{:>13}", kinds()[kind].title);
  fmt::print("{:>10}\n", last);
}

void print_times(const Table &table)
{
  const auto columns = kinds_of(table);
  print_head(columns, "ceiling");
  for (const uint64_t length : lengths_of(table)) {
    fmt::print("{:>8}", size_in_words(length));
    for (const size_t kind : columns) {
      const Cell *cell = find(table, kind, length);
      fmt::print("{:>13}", cell ? time_in_words(cell->median) : "");
    }
    fmt::print("{:>10}\n", ceiling(table, length));
  }
}

void print_bandwidths(const Table &table)
{
  const auto columns = kinds_of(table);
  print_head(columns, "");
  for (const uint64_t length : lengths_of(table)) {
    const Cell *best = find(table, "memcpy", length);
    fmt::print("{:>8}", size_in_words(length));
    for (const size_t kind : columns) {
      const Cell *cell = find(table, kind, length);
      std::string text = cell ? fmt::format("{:.2f}", bandwidth(table, *cell)) : "";
      if (cell && best && cell != best)
        text += fmt::format(" {:>3.0f} %", 100 * best->median / cell->median);
      fmt::print("{:>13}", text);
    }
    fmt::print("\n");
  }
}

/* Where the figures are not to be relied on. */
void print_doubts(const Table &table)
{
  std::vector<std::string> list;
  for (const Cell &cell : table.cells)
    if (cell.three_quarters - cell.quarter > quiet * cell.median)
      list.push_back(fmt::format(
          "{} {} (by {:.0f} %)", size_in_words(cell.length), kinds()[cell.kind].title,
          100 * (cell.three_quarters - cell.quarter) / cell.median));
  if (!list.empty())
    fmt::print(
        "Samples of these differed by more than {:.0f} %, since something else ran "
        "on this machine\nor its clock changed: {}\n",
        100 * quiet, fmt::join(list, ", "));
}

std::string where(const Table &table)
{
  std::string text = fmt::format(
      "{} of one owner's memory, {}",
      table.readers == 1 ? "One reader" : fmt::format("{} readers", table.readers),
      table.words);
  if (!table.processors.empty())
    text += fmt::format(
        " (owner on processor {}, readers on {})", table.processors[0],
        fmt::join(table.processors.begin() + 1, table.processors.end(), ", "));
  return text;
}

/* Those together that have one reason. */
void print_left_out(std::vector<LeftOut> list)
{
  while (!list.empty()) {
    const std::string why = list.front().why;
    std::string what;
    std::erase_if(list, [&](const LeftOut &one) {
      if (one.why == why)
        what += (what.empty() ? "" : ", ") + one.what;
      return one.why == why;
    });
    fmt::print("Not measured: {}: {}\n", what, why);
  }
}

Json as_json(const Table &table, const Cell &cell)
{
  return {
      {"place", table.place},
      {"processors", table.processors},
      {"readers", table.readers},
      {"way", kinds()[cell.kind].name},
      {"bytes", cell.length},
      {"nanoseconds", cell.median},
      {"quarter", cell.quarter},
      {"three_quarters", cell.three_quarters},
      {"least", cell.least},
      {"copies_in_a_sample", cell.times},
      {"gigabytes_per_second", bandwidth(table, cell)},
  };
}

} // namespace

std::vector<size_t> kinds_of(const Table &table)
{
  std::vector<size_t> list;
  for (size_t i = 0; i < kinds().size(); i++)
    if (std::ranges::any_of(table.cells, [i](const Cell &one) { return one.kind == i; }))
      list.push_back(i);
  return list;
}

double bandwidth(const Table &table, const Cell &cell)
{
  return static_cast<double>(cell.length) * static_cast<double>(table.readers) /
         cell.median;
}

const Cell *find(const Table &table, size_t kind, uint64_t length)
{
  for (const Cell &cell : table.cells)
    if (cell.kind == kind && cell.length == length)
      return &cell;
  return nullptr;
}

void print(const Result &result)
{
  for (const auto &[name, value] : result.machine.items())
    if (!value.is_null())
      fmt::print("{:<12} {}\n", name + ':',
                 value.is_string() ? value.get<std::string>() : value.dump());
  print_left_out(result.left_out);
  for (const Table &table : result.tables) {
    fmt::print("\n{}\n\nTime of a copy, median of {} samples; and how much faster than "
               "process_vm_readv memcpy is\n",
               where(table), result.method["samples"].dump());
    print_times(table);
    fmt::print("\nGB/s{}, and the share of what memcpy does\n",
               table.readers == 1 ? "" : " of all readers together");
    print_bandwidths(table);
    print_doubts(table);
  }
}

Json as_json(const Result &result)
{
  Json rows = Json::array();
  for (const Table &table : result.tables)
    for (const Cell &cell : table.cells)
      rows.push_back(as_json(table, cell));
  Json left_out = Json::array();
  for (const auto &[what, why] : result.left_out)
    left_out.push_back({{"what", what}, {"why", why}});
  return {{"machine", result.machine},
          {"method", result.method},
          {"left_out", left_out},
          {"rows", rows}};
}

} // namespace bench
