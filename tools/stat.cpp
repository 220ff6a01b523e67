// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma stat: what the module counts, and what there is of each kind now. The kernel lets
 * root alone read it, since the counters tell of everybody's requests.
 */
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "command.hpp"

namespace {

using Json = nlohmann::ordered_json;

constexpr const char *directory = "/sys/class/misc/cma/";

struct Number {
  const char *name;
  bool counter; /* else a gauge, which goes down, too */
  const char *meaning;
};

constexpr std::array<Number, 15> numbers = {{
    {"copies", true, "copies done, in whole or in part"},
    {"bytes", true, "bytes they moved"},
    {"faults", true, "copies that stopped at unusable memory"},
    {"denials", true, "requests that the rules of ptrace refused"},
    {"fills", true, "translations entered into the cache"},
    {"collisions", true, "attempts at that which a change of the memory undid"},
    {"invalidations", true, "changes of an owner's memory that reached the cache"},
    {"evictions", true, "chunks of the cache given up for want of room"},
    {"vmaps", true, "chunks mapped into the kernel in one piece"},
    {"files", false, "open files of /dev/cma"},
    {"handles", false, "handles of processes and windows"},
    {"windows", false, "windows"},
    {"mappings", false, "mappings of others' memory"},
    {"spaces", false, "address spaces that something is kept of"},
    {"chunks", false, "chunks of the cache, each of 2 MB"},
}};

struct StatOptions {
  double watch = 0; /* seconds; 0: once */
  uint64_t count = 0;
  bool json = false;
  bool prometheus = false;
};

using Values = std::array<uint64_t, numbers.size()>;

[[noreturn]] void cannot_read(int error)
{
  if (error == ENOENT)
    throw std::runtime_error("the module is not loaded: modprobe cma");
  if (error == EACCES)
    throw std::runtime_error("root alone may read the module's counters, since they tell "
                             "of everybody's requests; cma ps shows your own processes");
  throw std::runtime_error(fmt::format("{}: {}", directory, strerror(error)));
}

/* A module that is older, or newer, does not have them all: that one is left out. */
constexpr uint64_t absent = ~uint64_t{0};

Values read_values()
{
  if (access(directory, F_OK) != 0)
    cannot_read(errno);
  Values values = {};
  for (size_t i = 0; i < numbers.size(); i++) {
    errno = 0;
    std::ifstream file(std::string(directory) + numbers[i].name);
    if (!(file >> values[i])) {
      if (errno != ENOENT)
        cannot_read(errno ? errno : EIO);
      values[i] = absent;
    }
  }
  return values;
}

Json as_json(const Values &values)
{
  Json json = Json::object();
  for (size_t i = 0; i < numbers.size(); i++)
    if (values[i] != absent)
      json[numbers[i].name] = values[i];
  return json;
}

/* The text format that Prometheus scrapes, and node_exporter takes from a file. */
void print_prometheus(const Values &values)
{
  for (size_t i = 0; i < numbers.size(); i++) {
    if (values[i] == absent)
      continue;
    const Number &number = numbers[i];
    const std::string name =
        fmt::format("cma_{}{}", number.name, number.counter ? "_total" : "");
    fmt::print("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, number.meaning,
               number.counter ? "counter" : "gauge", values[i]);
  }
}

void print(const Values &values)
{
  for (size_t i = 0; i < numbers.size(); i++)
    if (values[i] != absent)
      fmt::print("{:<14} {:>20}  {}\n", numbers[i].name, values[i], numbers[i].meaning);
}

/* What came to the counters in so many seconds, for each of them, and the gauges. */
void print_change(const Values &before, const Values &now, double seconds)
{
  for (size_t i = 0; i < numbers.size(); i++) {
    if (now[i] == absent)
      continue;
    /* It was not there before, or begins anew, where the module was loaded between. */
    const uint64_t since = before[i] > now[i] ? 0 : before[i];
    if (numbers[i].counter)
      fmt::print("{:<14} {:>18.0f}/s\n", numbers[i].name,
                 static_cast<double>(now[i] - since) / seconds);
    else
      fmt::print("{:<14} {:>20}\n", numbers[i].name, now[i]);
  }
}

void flush()
{
  if (std::fflush(stdout) != 0)
    throw std::system_error(errno, std::generic_category(), "standard output");
}

/* On a terminal each report takes the place of the last; JSON is a line each. */
void watch(const StatOptions &options)
{
  using Clock = std::chrono::steady_clock;
  const bool terminal = isatty(STDOUT_FILENO) == 1 && !options.json;
  const auto pause = std::chrono::duration<double>(options.watch);
  Values before = read_values();
  auto then = Clock::now();
  for (uint64_t nr = 0; options.count == 0 || nr < options.count; nr++) {
    std::this_thread::sleep_for(pause);
    const Values now = read_values();
    const auto moment = Clock::now();
    if (terminal)
      fmt::print("\033[H\033[J");
    else if (nr != 0 && !options.json)
      fmt::print("\n");
    if (options.json)
      fmt::print("{}\n", as_json(now).dump());
    else
      print_change(before, now, std::chrono::duration<double>(moment - then).count());
    flush();
    before = now;
    then = moment;
  }
}

void stat(const StatOptions &options)
{
  if (options.watch > 0)
    return watch(options);
  const Values values = read_values();
  if (options.json)
    fmt::print("{}\n", as_json(values).dump(2));
  else if (options.prometheus)
    print_prometheus(values);
  else
    print(values);
}

} // namespace

void add_stat(CLI::App &app)
{
  auto *command = app.add_subcommand("stat", "Show what the module counts");
  auto options = std::make_shared<StatOptions>();
  auto *again = command->add_option("--watch", options->watch,
                                    "Show what comes to it, every so many seconds");
  again->check(CLI::Range(0.1, 86400.0));
  command->add_option("--count", options->count, "End after so many times")->needs(again);
  auto *json = command->add_flag("--json", options->json, "Show it as JSON");
  command->add_flag("--prometheus", options->prometheus, "Show it for Prometheus")
      ->excludes(json)
      ->excludes(again);
  command->callback([options] { stat(*options); });
}
