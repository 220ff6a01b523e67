// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The guest half of the instruction-count benchmark: counts the instructions of
// copies, of the first touch of mappings and of their end, and writes the counts
// as JSON. bench/run boots the kernel it runs on.
//
// It refuses to count where a count would mean nothing: outside the model, or
// where memory does not lie as the case says.

#include "attach.hpp"
#include "beyond.hpp"
#include "copies.hpp"
#include "library.hpp"
#include "mapped.hpp"
#include "moments.hpp"
#include "reduce.hpp"
#include "release.hpp"

#include <CLI/CLI.hpp>

#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

void list_names()
{
  for (const auto &names :
       {copy_names(), library_names(), moment_names(), touch_names(), attach_names(),
        release_names(), beyond_names(), reduce_names()})
    for (const auto &name : names)
      std::cout << name << '\n';
}

Rows count_all(const Selection &selection)
{
  Meter meter;
  auto rows = Rows::array();
  count_copies(selection, meter, rows);
  count_library(selection, meter, rows);
  count_moments(selection, meter, rows);
  count_touches(selection, meter, rows);
  count_attaching(selection, meter, rows);
  count_releases(selection, rows);
  count_beyond(selection, rows);
  count_reductions(selection, meter, rows);
  return rows;
}

int run(int argc, char **argv)
{
  std::string output;
  Selection selection;
  bool list = false;
  CLI::App app{"Counts the instructions of copies and mappings between processes."};
  app.add_option("--output", output, "write the counts to this file, as JSON");
  app.add_option("--only", selection.patterns,
                 "only the cases of this name; * and ? match any");
  app.add_flag("--list", list, "print the names of the cases, and end");
  CLI11_PARSE(app, argc, argv);

  if (list) {
    list_names();
    return 0;
  }
  prove_model();
  claim_processor();
  const auto rows = count_all(selection);
  std::ofstream(output.empty() ? "/dev/stdout" : output) << rows.dump(1) << '\n';
  return 0;
}

} // namespace
} // namespace bench

int main(int argc, char **argv)
{
  try {
    return bench::run(argc, argv);
  } catch (const std::exception &error) {
    std::cerr << "bench-model: " << error.what() << '\n';
    return 1;
  }
}
