// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma ps: which processes use /dev/cma, whom they have handles of, and what they
 * let others reach.
 */
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "holders.hpp"
#include "numbers.hpp"

namespace {

using Json = nlohmann::ordered_json;

struct PsOptions {
  pid_t pid = 0;
  bool json = false;
  bool details = false;
};

Json as_json(const HeldFile &file)
{
  Json json = {{"fd", file.fd},
               {"access", file.access},
               {"copies", file.copies},
               {"bytes", file.bytes},
               {"verdicts", file.verdicts},
               {"handle_count", file.handle_count},
               {"window_count", file.window_count},
               {"handles", Json::array()},
               {"windows", Json::array()}};
  for (const HeldHandle &handle : file.handles) {
    Json one = {{"handle", handle.number}, {"window", handle.window}};
    if (!handle.window)
      one["pid"] = handle.pid;
    one["access"] = handle.access;
    json["handles"].push_back(std::move(one));
  }
  for (const HeldWindow &window : file.windows)
    json["windows"].push_back(
        {{"length", window.length}, {"access", window.access}, {"mode", window.mode}});
  return json;
}

Json as_json(const Holders &holders)
{
  Json json = {{"processes", Json::array()}, {"hidden", holders.hidden}};
  for (const Holder &holder : holders.known) {
    Json one = {{"pid", holder.pid},
                {"user", holder.user},
                {"command", holder.command},
                {"mappings", holder.mappings},
                {"mapped_bytes", holder.mapped},
                {"files", Json::array()}};
    for (const HeldFile &file : holder.files)
      one["files"].push_back(as_json(file));
    json["processes"].push_back(std::move(one));
  }
  return json;
}

std::string whom(const HeldHandle &handle)
{
  if (handle.window)
    return "a window";
  if (handle.pid < 0)
    return "a process that is gone";
  if (handle.pid == 0)
    return "a process outside of this pid namespace";
  return fmt::format("process {}", handle.pid);
}

void print_details(const HeldFile &file)
{
  for (const HeldHandle &handle : file.handles)
    fmt::print("{:>8}  handle {}: {}, {}\n", "", handle.number, whom(handle),
               handle.access);
  for (const HeldWindow &window : file.windows)
    fmt::print("{:>8}  window: {}, {}, mode {}\n", "", human_bytes(window.length),
               window.access, window.mode);
  const auto missing = [](uint64_t count, size_t told, const char *what) {
    if (count > told)
      fmt::print("{:>8}  and {} more {}\n", "", count - told, what);
  };
  missing(file.handle_count, file.handles.size(), "handles");
  missing(file.window_count, file.windows.size(), "windows");
}

/* A line each: the process, and what all of its open files hold. */
void print(const Holders &holders, pid_t only, bool details)
{
  if (!holders.known.empty())
    fmt::print("{:>8} {:<10} {:<16} {:>5} {:>8} {:>8} {:>8} {:>10} {:>10}\n", "PID",
               "USER", "COMMAND", "FILES", "HANDLES", "WINDOWS", "MAPPINGS", "COPIES",
               "BYTES");
  for (const Holder &holder : holders.known) {
    size_t handles = 0;
    size_t windows = 0;
    uint64_t copies = 0;
    uint64_t bytes = 0;
    for (const HeldFile &file : holder.files) {
      handles += file.handle_count;
      windows += file.window_count;
      copies += file.copies;
      bytes += file.bytes;
    }
    fmt::print("{:>8} {:<10} {:<16} {:>5} {:>8} {:>8} {:>8} {:>10} {:>10}\n", holder.pid,
               holder.user, holder.command, holder.files.size(), handles, windows,
               holder.mappings, copies, human_bytes(bytes));
    if (details)
      for (const HeldFile &file : holder.files)
        print_details(file);
  }
  if (holders.known.empty() && only != 0 && !holders.hidden)
    fmt::print(stderr, "process {} does not use /dev/cma\n", only);
  else if (holders.known.empty() && only == 0)
    fmt::print(stderr, "no process {}uses /dev/cma\n",
               holders.hidden ? "that can be looked into " : "");
  if (holders.hidden)
    fmt::print(stderr, "{} process{} of others not looked into: root sees all\n",
               holders.hidden, holders.hidden == 1 ? " was" : "es were");
}

} // namespace

void add_ps(CLI::App &app)
{
  auto *command = app.add_subcommand("ps", "Show which processes use /dev/cma, and how");
  auto options = std::make_shared<PsOptions>();
  command->add_option("PID", options->pid, "This process alone")
      ->check(CLI::PositiveNumber);
  command->add_flag("--details", options->details, "Show each handle and window");
  command->add_flag("--json", options->json, "Show it as JSON, with all details");
  command->callback([options] {
    const Holders holders = find_holders(options->pid);
    if (options->json)
      fmt::print("{}\n", as_json(holders).dump(2));
    else
      print(holders, options->pid, options->details);
  });
}
