// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The chart of cma bench: bandwidth against the length of a copy, a picture for each
 * table, with what memcpy does as the ceiling above. gnuplot draws it.
 */
#include <array>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include <fmt/core.h>

#include "bench_result.hpp"
#include "bench_way.hpp"
#include "program.hpp"

namespace bench {

namespace {

/* Okabe and Ito's, which the colour-blind tell apart, too; memcpy's is the last. */
constexpr std::array colours = {"#D55E00", "#56B4E9", "#0072B2", "#009E73",
                                "#E69F00", "#CC79A7", "#666666"};

constexpr int width = 900, height = 500; /* of a picture */

std::string terminal_for(const std::string &file, size_t pictures)
{
  const std::string suffix = std::filesystem::path(file).extension();
  const char *terminal = suffix == ".svg"   ? "svg"
                         : suffix == ".png" ? "pngcairo"
                                            : nullptr;
  if (!terminal)
    throw std::runtime_error(
        fmt::format("{}: a chart's name ends in .svg or .png", file));
  return fmt::format("set terminal {} noenhanced size {},{} background '#ffffff'\n",
                     terminal, width, height * pictures);
}

/* Within single quotes, where gnuplot knows no other character than the quote. */
std::string quoted(const std::string &text)
{
  std::string all = "'";
  for (const char letter : text)
    all += letter == '\'' ? "''" : std::string(1, letter);
  return all + "'";
}

/* A block of numbers for each way that there is. */
std::string data_of(const Table &table)
{
  std::string text = "$data << END\n";
  for (const size_t kind : kinds_of(table)) {
    for (const Cell &cell : table.cells)
      if (cell.kind == kind)
        text += fmt::format("{} {}\n", cell.length, bandwidth(table, cell));
    text += "\n\n";
  }
  return text + "END\n";
}

std::string plot_of(const Table &table)
{
  std::string text;
  int block = 0;
  for (const size_t kind : kinds_of(table)) {
    const bool ceiling = kind + 1 == kinds().size();
    text += fmt::format("{} $data index {} with linespoints linewidth 2 pointtype {} "
                        "{} linecolor rgb '{}' title '{}{}'",
                        text.empty() ? "plot" : ",", block++, kind + 4,
                        ceiling ? "dashtype 2" : "", colours[kind], kinds()[kind].title,
                        ceiling ? ", the ceiling" : "");
  }
  return text + "\n";
}

std::string picture_of(const Table &table)
{
  return fmt::format("set title {}\n{}{}",
                     quoted(fmt::format("{} at once, {}", table.readers, table.words)),
                     data_of(table), plot_of(table));
}

} // namespace

bool can_draw()
{
  return find_program("gnuplot").has_value();
}

void draw(const Result &result, const std::string &file)
{
  std::string script = terminal_for(file, result.tables.size());
  script += fmt::format("set output {}\n", quoted(file));
  script += "set logscale x 2\nset xlabel 'bytes of a copy'\nset ylabel 'GB/s'\n"
            "set format x '%.0b %B'\nset yrange [0:*]\nset grid ytics\n"
            "set key outside right\n";
  script += fmt::format("set multiplot layout {},1\n", result.tables.size());
  for (const Table &table : result.tables)
    script += picture_of(table);
  script += "unset multiplot\n";
  FILE *gnuplot = popen("gnuplot", "w");
  const bool told = gnuplot && std::fputs(script.c_str(), gnuplot) >= 0;
  if (!gnuplot || pclose(gnuplot) != 0 || !told)
    throw std::runtime_error(fmt::format("gnuplot failed: no chart in {}", file));
}

} // namespace bench
