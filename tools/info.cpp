// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma info: by what means data moves here, what it can do, and which rules
 * decide on access.
 */
#include <array>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <unistd.h>

#include "command.hpp"
#include "numbers.hpp"
#include "policy.hpp"

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<uint64_t, std::string_view>, 13> features = {{
    {CMA_CAN_PID, "pid"},
    {CMA_CAN_PIDFD, "pidfd"},
    {CMA_CAN_HANDLE, "handle"},
    {CMA_CAN_MANY, "many"},
    {CMA_CAN_LARGE, "large"},
    {CMA_CAN_REPORT, "report"},
    {CMA_CAN_STRICT, "strict"},
    {CMA_CAN_WINDOW, "window"},
    {CMA_CAN_MAP, "map"},
    {CMA_CAN_POPULATE, "populate"},
    {CMA_CAN_SHOW, "show"},
    {CMA_CAN_LENGTH, "length"},
    {CMA_CAN_PUBLISH, "publish"},
}};

std::string kernel_name()
{
  utsname name = {};
  uname(&name);
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

Json as_json(const char *backend, const cma_limits &limits, const Policy &policy)
{
  Json json = {
      {"backend", backend},
      {"library_version", cma_version()},
      {"module_version", nullptr},
      {"abi_version", nullptr},
      {"device_error", nullptr},
      {"features", Json::array()},
      {"limits",
       {{"iov", limits.max_iov},
        {"iov_many", limits.max_iov_many},
        {"bytes", limits.max_bytes},
        {"bytes_large", limits.max_bytes_large},
        {"handles", limits.max_handles},
        {"verdict_ms", limits.verdict_ms}}},
      {"kernel", kernel_name()},
      {"page_size", sysconf(_SC_PAGESIZE)},
      {"policy", to_json(policy)},
  };
  if (limits.backend == CMA_BACKEND_DEVICE) {
    json["module_version"] = limits.module_version;
    json["abi_version"] = limits.abi_version;
  } else {
    json["device_error"] = explain_device(limits.device_error);
  }
  for (auto [bit, name] : features)
    if (limits.features & bit)
      json["features"].push_back(name);
  return json;
}

void line(std::string_view name, std::string_view value)
{
  fmt::print("{:<16}{}\n", name, value);
}

void print(const cma_limits &limits, const Policy &policy)
{
  if (limits.backend == CMA_BACKEND_DEVICE) {
    line("backend", "device: /dev/cma");
    line("module", fmt::format("{}, ABI {}", limits.module_version, limits.abi_version));
  } else {
    line("backend", "system calls: process_vm_readv(2), process_vm_writev(2)");
    line("device", "not used: " + explain_device(limits.device_error));
  }
  line("library", cma_version());
  std::string names;
  for (auto [bit, name] : features)
    if (limits.features & bit)
      names += fmt::format("{}{}", names.empty() ? "" : " ", name);
  line("features", names);
  line("limits",
       fmt::format("{} segments a side (many: {}), {} a copy (large: {}), {} "
                   "handles",
                   limits.max_iov, limits.max_iov_many, human_bytes(limits.max_bytes),
                   human_bytes(limits.max_bytes_large), limits.max_handles));
  line("verdicts", limits.verdict_ms ? fmt::format("on access by pid, reused for up to "
                                                   "{} ms",
                                                   limits.verdict_ms)
                                     : "on access by pid, asked for every copy");
  line("kernel",
       fmt::format("{}, pages of {}", kernel_name(), human_bytes(getpagesize())));
  fmt::print("\nwhose memory this process may use\n");
  line("ids", describe_ids(policy));
  line("CAP_SYS_PTRACE", describe_capability(policy));
  line("Yama", describe_yama(policy));
  line("user namespace", describe_user_namespace(policy));
  line("dumpable", describe_dumpable(policy));
  line("seccomp", describe_seccomp(policy));
  if (!policy.label.empty())
    line("security label", policy.label);
}

void info(bool json)
{
  cma::Context context = open_context();
  cma_limits limits = context.limits();
  if (json)
    fmt::print("{}\n", as_json(backend_name(context), limits, current_policy()).dump(2));
  else
    print(limits, current_policy());
}

} // namespace

void add_info(CLI::App &app)
{
  auto *command =
      app.add_subcommand("info", "Tell by what means data moves, and who is let");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Tell it as JSON");
  command->callback([json] { info(*json); });
}
