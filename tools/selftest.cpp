// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma selftest: moves data between this process and a child in every way there is,
 * and says item by item whether it arrived. The quick check of a new machine.
 */
#include "selftest.hpp"

#include <cstring>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <vector>

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

/*
 * Without this nothing else can pass: it says so once, and why. Of a copy as long as this
 * the device makes the first by pid, and then all: see cma_copy(3).
 */
bool reach_child(const Bench &bench, Tally &tally)
{
  std::vector<char> memory(1 << 20);
  cma_peer peer = cma_pid(bench.peer.pid());
  ssize_t result =
      cma_read(bench.context.get(), peer, memory.data(),
               reinterpret_cast<uintptr_t>(bench.peer.arena()), memory.size());
  if (result == static_cast<ssize_t>(memory.size())) {
    tally.add("pass", tally.passed, "reach a child", "");
    return true;
  }
  tally.add("FAIL", tally.failed, "reach a child",
            result < 0 ? explain(bench.context, peer, result)
                       : fmt::format("{} bytes were read", result));
  return false;
}

/* backend: nothing where none could be had. */
void report(const char *backend, const Tally &tally)
{
  if (!tally.json) {
    fmt::print("{} passed, {} failed, {} skipped\n", tally.passed, tally.failed,
               tally.skipped);
    return;
  }
  nlohmann::ordered_json json = {
      {"backend", nullptr},     {"items", tally.items},     {"passed", tally.passed},
      {"failed", tally.failed}, {"skipped", tally.skipped},
  };
  if (backend)
    json["backend"] = backend;
  fmt::print("{}\n", json.dump(2));
}

/* All of it. What it throws is no item's failure. */
const char *run_all(const std::string &backend, Tally &tally)
{
  unsigned int flags = backend == "device"    ? CMA_OPEN_DEVICE
                       : backend == "syscall" ? CMA_OPEN_SYSCALL
                                              : 0;
  cma::Context context = open_context(flags);
  cma_limits limits = context.limits();
  Bench bench{std::move(context), limits, {}};
  utsname system = {};
  uname(&system);
  if (!tally.json)
    fmt::print("{} on {} {}\n",
               limits.backend == CMA_BACKEND_DEVICE
                   ? fmt::format("device, module {}", limits.module_version)
                   : "system calls",
               system.release, system.machine);
  if (reach_child(bench, tally)) {
    for (const auto items : {data_items(), error_items(), window_items(), reduce_items()})
      for (const Item &item : items)
        run(item, bench, tally);
  }
  return backend_name(bench.context);
}

/* As JSON it reports whatever happens. */
void selftest(const std::string &backend, bool json)
{
  Tally tally{json};
  const char *used = nullptr;
  try {
    used = run_all(backend, tally);
  } catch (const std::exception &failure) {
    if (!json)
      throw;
    tally.add("FAIL", tally.failed, "open a context", failure.what());
  }
  report(used, tally);
  if (tally.failed)
    throw Status{1};
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
