// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma bench: how long copies between processes take on this machine, by every way that
 * there is, and what the processor itself needs to move the bytes. What is looked at
 * first on real hardware: bench_measure.hpp has the method.
 */
#include <algorithm>
#include <fstream>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <sys/utsname.h>

#include "bench_measure.hpp"
#include "bench_place.hpp"
#include "command.hpp"
#include "numbers.hpp"
#include "progress.hpp"

namespace bench {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> lengths = {"64",  "256",  "1K", "4K", "16K",
                                      "64K", "256K", "1M", "4M", "16M"};
  std::vector<size_t> readers = {1};
  std::vector<std::string> ways;
  std::vector<std::string> places;
  std::vector<unsigned> processors;
  std::optional<int> node;
  std::string span;
  std::string pages = "usual";
  size_t samples = 21;
  bool json = false;
  std::string chart;
};

/* What is to be measured, and where. */
struct Seats {
  std::string place, words;
  std::vector<unsigned> processors;
};

std::string first_line(const std::string &file)
{
  std::string line;
  std::getline(std::ifstream(file), line);
  return line;
}

std::string processor_name()
{
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != line.npos)
      return line.substr(line.find(": ") + 2);
  return {};
}

Json text_or_null(const std::string &text)
{
  return text.empty() ? Json() : Json(text);
}

/* Of the device no more than that it is there: why not, the ways say. */
Json machine()
{
  utsname system = {};
  uname(&system);
  const cma_limits limits = open_context().limits();
  Json json = {
      {"kernel", fmt::format("{} {}", system.release, system.machine)},
      {"processor", text_or_null(processor_name())},
      {"processors", allowed_processors().size()},
      {"module", text_or_null(limits.module_version)},
      {"governor",
       text_or_null(first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))},
      {"huge_pages",
       text_or_null(first_line("/sys/kernel/mm/transparent_hugepage/enabled"))},
  };
  return json;
}

class Bench {
public:
  explicit Bench(const Options &options) : options{options}
  {
    for (const std::string &length : options.lengths)
      lengths.push_back(number("--sizes", length));
    span = options.span.empty() ? *std::ranges::max_element(lengths)
                                : number("--span", options.span);
    if (span < *std::ranges::max_element(lengths))
      throw CLI::ValidationError("--span", "no shorter than the largest copy");
    try {
      topology.emplace();
    } catch (const std::runtime_error &failure) {
      why_no_topology = failure.what();
    }
    if (options.node && !topology)
      throw std::runtime_error("memory cannot be bound to a node: " + why_no_topology);
    result.machine = machine();
    result.machine["hwloc"] = topology ? Json("used") : Json(why_no_topology);
    result.method = {{"samples", options.samples},
                     {"least_nanoseconds_of_a_sample", sample_ns},
                     {"span", options.span.empty() ? Json() : Json(span)},
                     {"pages", options.pages},
                     {"node", options.node ? Json(*options.node) : Json()}};
  }

  const Result &run()
  {
    for (const size_t readers : options.readers)
      for (const Seats &seats : seats_for(readers))
        result.tables.push_back(measure_at(seats, readers));
    progress.clear();
    if (result.tables.empty())
      throw std::runtime_error(fmt::format("nothing can be measured: {}: {}",
                                           result.left_out[0].what,
                                           result.left_out[0].why));
    return result;
  }

private:
  static uint64_t number(const char *option, const std::string &text)
  {
    try {
      const uint64_t value = parse_number(text);
      if (value == 0 || value > uint64_t{1} << 40)
        throw std::invalid_argument("between 1 and 1T");
      return value;
    } catch (const std::invalid_argument &wrong) {
      throw CLI::ValidationError(option, wrong.what());
    }
  }

  /* Of the places asked for those that this machine has. */
  std::vector<Seats> seats_for(size_t readers)
  {
    if (!options.processors.empty())
      return given_seats(readers);
    std::vector<Seats> list;
    const bool all = std::ranges::count(options.places, "all") != 0;
    for (const auto &[name, place, words] : place_names) {
      if (!all && std::ranges::count(options.places, name) == 0)
        continue;
      if (place == Place::any)
        list.push_back({name, words, {}});
      else if (!topology)
        leave_out(name, readers, why_no_topology);
      else if (auto chosen = choose(topology->processors(), place, readers + 1))
        list.push_back({name, words, *chosen});
      else
        leave_out(name, readers, "this machine has no such place");
    }
    return options.places.empty() ? std::vector{usual_seats(readers)} : list;
  }

  void leave_out(const std::string &place, size_t readers, const std::string &why)
  {
    result.left_out.push_back(
        {fmt::format("{}, {} reader{}", place, readers, readers == 1 ? "" : "s"), why});
  }

  std::vector<Seats> given_seats(size_t readers)
  {
    if (options.processors.size() < readers + 1)
      throw CLI::ValidationError(
          "--processors", fmt::format("{} are needed for the owner and {} who read",
                                      readers + 1, readers));
    return {{"given",
             "on the processors named",
             {options.processors.begin(),
              options.processors.begin() + static_cast<long>(readers) + 1}}};
  }

  /* As near to each other as it can be, since that is where most messages go. */
  Seats usual_seats(size_t readers) const
  {
    if (topology)
      for (const auto &[name, place, words] : place_names)
        if (place == Place::complex)
          if (auto chosen = choose(topology->processors(), place, readers + 1))
            return {name, words, *chosen};
    std::vector<unsigned> numbers = allowed_processors();
    if (numbers.size() < readers + 1)
      return {"any", "left to the scheduler, since there are too few processors", {}};
    numbers.resize(readers + 1);
    return {"numbers", "processors in the order of their numbers", numbers};
  }

  Table measure_at(const Seats &seats, size_t readers)
  {
    Setup setup = {.span = span,
                   .readers = readers,
                   .processors = seats.processors,
                   .pages = options.pages == "huge"    ? Pages::huge
                            : options.pages == "small" ? Pages::small
                                                       : Pages::as_usual};
    setup.home = home_of_owner(seats);
    Table table = {seats.place, seats.words, seats.processors, readers, {}};
    for (const uint64_t length : lengths) {
      progress.say(
          fmt::format("{} of {}, {} reader(s), {} bytes", result.tables.size() + 1,
                      std::max(options.places.size(), size_t{1}) * options.readers.size(),
                      readers, length));
      /* A walk through all of the memory is wanted only where it is asked for. */
      if (options.span.empty())
        setup.span = length;
      World world(setup);
      const auto cells = measure(world, prepared(world), length, options.samples);
      table.cells.insert(table.cells.end(), cells.begin(), cells.end());
    }
    return table;
  }

  /* Its own node, if not another one was asked for: so memcpy's source lies there, too.
   */
  Home home_of_owner(const Seats &seats) const
  {
    if (!topology || (!options.node && seats.processors.empty()))
      return {};
    if (options.node)
      return {&*topology, options.node};
    for (const Processor &processor : topology->processors())
      if (processor.number == seats.processors[0] && processor.node >= 0 &&
          nodes_differ(seats))
        return {&*topology, processor.node};
    return {};
  }

  bool nodes_differ(const Seats &seats) const
  {
    std::vector<int> nodes;
    for (const Processor &processor : topology->processors())
      if (std::ranges::count(seats.processors, processor.number) != 0)
        nodes.push_back(processor.node);
    return std::ranges::count(nodes, nodes.front()) != static_cast<long>(nodes.size());
  }

  /* Those that can be had of those that were asked for. */
  std::vector<size_t> prepared(World &world)
  {
    std::vector<size_t> list;
    for (size_t kind = 0; kind < kinds().size(); kind++) {
      const std::string name(kinds()[kind].name);
      if (!options.ways.empty() && std::ranges::count(options.ways, name) == 0)
        continue;
      const auto why = world.prepare(kind);
      if (!why)
        list.push_back(kind);
      else if (std::ranges::none_of(result.left_out, [&](const LeftOut &other) {
                 return other.what == name;
               }))
        result.left_out.push_back({name, *why});
    }
    if (list.empty())
      throw std::runtime_error(
          fmt::format("{}: {}", result.left_out.back().what, result.left_out.back().why));
    return list;
  }

  const Options &options;
  Progress progress{std::nullopt};
  std::vector<uint64_t> lengths;
  uint64_t span = 0;
  std::optional<Topology> topology;
  std::string why_no_topology;
  Result result;
};

void run(const Options &options)
{
  const bool chart = !options.chart.empty();
  if (chart && !can_draw())
    fmt::print(stderr, "cma: there will be no chart, as gnuplot is not installed\n");
  Bench bench(options);
  const Result &result = bench.run();
  if (options.json)
    fmt::print("{}\n", as_json(result).dump(2));
  else
    print(result);
  if (chart && can_draw())
    draw(result, options.chart);
}

std::vector<std::string> names_of_places()
{
  std::vector<std::string> names = {"all"};
  for (const PlaceName &place : place_names)
    names.emplace_back(place.name);
  return names;
}

std::vector<std::string> names_of_ways()
{
  std::vector<std::string> names;
  for (const Kind &kind : kinds())
    names.emplace_back(kind.name);
  return names;
}

} // namespace

} // namespace bench

void add_bench(CLI::App &app)
{
  using namespace bench;
  auto *command =
      app.add_subcommand("bench", "Time copies between processes in every way");
  auto options = std::make_shared<Options>();
  command->add_option("--sizes", options->lengths, "Bytes of a copy: 64,4K,1M")
      ->delimiter(',');
  command->add_option("--readers", options->readers, "How many read at once: 1,2,4")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  command->add_option("--ways", options->ways, "These alone, of all ways")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of_ways()));
  auto *place = command->add_option("--place", options->places,
                                    "Where they run, seen from the memory's owner");
  place->delimiter(',')->check(CLI::IsMember(names_of_places()));
  command
      ->add_option("--processors", options->processors,
                   "On these processors, the owner's first: 0,2,3")
      ->delimiter(',')
      ->excludes(place);
  command->add_option("--node", options->node, "The owner's memory, from this NUMA node");
  command->add_option("--pages", options->pages, "Of what kind: usual, small, huge")
      ->check(CLI::IsMember({"usual", "small", "huge"}));
  command->add_option("--span", options->span,
                      "Copy from one place after another in so many bytes");
  command->add_option("--samples", options->samples, "How many of each")
      ->check(CLI::Range(1, 1000000));
  command->add_flag("--json", options->json, "Report as JSON");
  command->add_option("--chart", options->chart, "Draw bandwidths into this file")
      ->check([](const std::string &file) {
        return file.ends_with(".svg") || file.ends_with(".png")
                   ? ""
                   : "its name must end in .svg or .png";
      });
  command->callback([options] { run(*options); });
}
