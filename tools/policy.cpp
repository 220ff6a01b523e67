// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See policy.hpp.
#include "policy.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/core.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

std::optional<int> yama_scope()
{
  std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
  int scope;
  if (file >> scope)
    return scope;
  return std::nullopt;
}

/* A field of /proc/self/status, as text; empty if it is not there. */
std::string status_field(const std::string &name)
{
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":\t"))
      return line.substr(name.size() + 2);
  return {};
}

bool has_capability(const std::string &set)
{
  uint64_t bits = 0;
  std::istringstream(status_field(set)) >> std::hex >> bits;
  return bits >> CAP_SYS_PTRACE & 1;
}

/* Every id maps to itself. So it can be in another namespace too, but there it
 * takes a root who wanted it to look so. */
bool initial_user_namespace()
{
  std::ifstream file("/proc/self/uid_map");
  uint64_t inside = 1;
  uint64_t outside = 1;
  uint64_t count = 0;
  file >> inside >> outside >> count;
  return inside == 0 && outside == 0 && count == 0xffffffff;
}

std::string security_label()
{
  std::ifstream file("/proc/self/attr/current");
  std::string label;
  std::getline(file, label, '\0');
  label.erase(std::find(label.begin(), label.end(), '\n'), label.end());
  return label;
}

} // namespace

Policy current_policy()
{
  std::string seccomp = status_field("Seccomp");
  return {
      .uid = getuid(),
      .gid = getgid(),
      .yama_scope = yama_scope(),
      .cap_sys_ptrace = has_capability("CapEff"),
      .cap_sys_ptrace_permitted = has_capability("CapPrm"),
      .initial_user_namespace = initial_user_namespace(),
      .dumpable = prctl(PR_GET_DUMPABLE),
      .seccomp = seccomp.empty() ? 0 : std::stoi(seccomp),
      .label = security_label(),
  };
}

nlohmann::ordered_json to_json(const Policy &policy)
{
  nlohmann::ordered_json json = {
      {"uid", policy.uid},
      {"gid", policy.gid},
      {"yama_ptrace_scope", nullptr},
      {"cap_sys_ptrace", policy.cap_sys_ptrace},
      {"cap_sys_ptrace_permitted", policy.cap_sys_ptrace_permitted},
      {"initial_user_namespace", policy.initial_user_namespace},
      {"dumpable", policy.dumpable},
      {"seccomp", policy.seccomp},
      {"security_label", policy.label},
  };
  if (policy.yama_scope)
    json["yama_ptrace_scope"] = *policy.yama_scope;
  return json;
}

std::string describe_ids(const Policy &policy)
{
  return fmt::format("uid {}, gid {}: a peer must have these as its real, effective and "
                     "saved ids, unless CAP_SYS_PTRACE is held",
                     policy.uid, policy.gid);
}

std::string describe_yama(const Policy &policy)
{
  if (!policy.yama_scope)
    return "absent: nothing beyond ids and capabilities is asked";
  switch (*policy.yama_scope) {
  case 0:
    return "ptrace_scope 0: nothing beyond ids and capabilities is asked";
  case 1:
    return "ptrace_scope 1: only descendants, and processes that allowed it with "
           "prctl(PR_SET_PTRACER), unless CAP_SYS_PTRACE is held";
  case 2:
    return "ptrace_scope 2: nobody without CAP_SYS_PTRACE";
  case 3:
    return "ptrace_scope 3: nobody at all, until the next boot";
  default:
    return fmt::format("ptrace_scope {}, which this program does not know",
                       *policy.yama_scope);
  }
}

std::string describe_capability(const Policy &policy)
{
  if (policy.cap_sys_ptrace)
    return "held: ids, dumpable and Yama up to 2 do not matter";
  if (policy.cap_sys_ptrace_permitted)
    return "permitted, but not in effect";
  return "not held";
}

std::string describe_user_namespace(const Policy &policy)
{
  if (policy.initial_user_namespace)
    return "the initial one";
  return "not the initial one: capabilities do not reach processes outside it";
}

std::string describe_dumpable(const Policy &policy)
{
  if (policy.dumpable == 1)
    return "1: others may look at this process";
  return fmt::format("{}: others need CAP_SYS_PTRACE to look at this process",
                     policy.dumpable);
}

std::string describe_seccomp(const Policy &policy)
{
  if (policy.seccomp == 0)
    return "no filter";
  return "a filter is in force; it can refuse process_vm_readv(2), and does not see "
         "what the device is asked";
}
