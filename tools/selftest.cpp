// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma selftest: moves data between this process and a child in every way there is,
 * and says item by item whether it arrived. The quick check of a new machine.
 */
#include "selftest.hpp"

#include <cstring>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

namespace {

struct Tally {
  bool json;
  int passed = 0, failed = 0, skipped = 0;
  nlohmann::ordered_json items = nlohmann::ordered_json::array();

  void add(const char *verdict, int &count, const char *name, const std::string &why)
  {
    count++;
    items.push_back({{"item", name}, {"verdict", verdict}, {"why", why}});
    if (!json) {
      fmt::print("{:<5} {}{}{}\n", verdict, name, why.empty() ? "" : ": ", why);
      std::fflush(stdout);
    }
  }
};

void run(const Item &item, Bench &bench, Tally &tally)
{
  try {
    item.run(bench);
    tally.add("pass", tally.passed, item.name, "");
  } catch (const Skipped &skipped) {
    tally.add("skip", tally.skipped, item.name, skipped.what());
  } catch (const std::exception &failure) {
    tally.add("FAIL", tally.failed, item.name, failure.what());
  }
}

/* Without this nothing else can pass: it says so once, and why. */
bool reach_child(const Bench &bench, Tally &tally)
{
  char byte;
  cma_peer peer = cma_pid(bench.peer.pid());
  ssize_t result = cma_read(bench.context.get(), peer, &byte,
                            reinterpret_cast<uintptr_t>(bench.peer.arena()), 1);
  if (result == 1) {
    tally.add("pass", tally.passed, "reach a child", "");
    return true;
  }
  tally.add("FAIL", tally.failed, "reach a child",
            result < 0 ? explain(bench.context, peer, result) : "nothing was read");
  return false;
}

void report(const Bench &bench, const Tally &tally)
{
  if (!tally.json) {
    fmt::print("{} passed, {} failed, {} skipped\n", tally.passed, tally.failed,
               tally.skipped);
    return;
  }
  nlohmann::ordered_json json = {
      {"backend", backend_name(bench.context)},
      {"items", tally.items},
      {"passed", tally.passed},
      {"failed", tally.failed},
      {"skipped", tally.skipped},
  };
  fmt::print("{}\n", json.dump(2));
}

void selftest(const std::string &backend, bool json)
{
  unsigned int flags = backend == "device"    ? CMA_OPEN_DEVICE
                       : backend == "syscall" ? CMA_OPEN_SYSCALL
                                              : 0;
  cma::Context context = open_context(flags);
  cma_limits limits = context.limits();
  Bench bench{std::move(context), limits, {}};
  utsname system = {};
  uname(&system);
  Tally tally{json};
  if (!json)
    fmt::print("{} on {} {}\n",
               limits.backend == CMA_BACKEND_DEVICE
                   ? fmt::format("device, module {}", limits.module_version)
                   : "system calls",
               system.release, system.machine);
  if (reach_child(bench, tally)) {
    for (const Item &item : data_items())
      run(item, bench, tally);
    for (const Item &item : error_items())
      run(item, bench, tally);
  }
  report(bench, tally);
  if (tally.failed)
    throw Status(1);
}

} // namespace

void Bench::need(uint64_t feature, const char *name) const
{
  if (!(limits.features & feature))
    throw Skipped(fmt::format("this backend has no {}", name));
}

void expect_result(ssize_t result, ssize_t expected, const std::string &what)
{
  auto words = [](ssize_t value) {
    return value < 0 ? std::string(strerrorname_np(static_cast<int>(-value)))
                     : std::to_string(value);
  };
  expect(result == expected, "{}: {} instead of {}", what, words(result),
         words(expected));
}

void add_selftest(CLI::App &app)
{
  auto *command = app.add_subcommand("selftest", "Move data in every way, and check it");
  auto json = std::make_shared<bool>(false);
  auto backend = std::make_shared<std::string>();
  command->add_flag("--json", *json, "Report as JSON");
  command->add_option("--backend", *backend, "device or syscall; else what there is")
      ->check(CLI::IsMember({"device", "syscall"}));
  command->callback([json, backend] { selftest(*backend, *json); });
}
