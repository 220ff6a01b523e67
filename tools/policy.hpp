// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The rules by which this machine lets one process look at another (ptrace(2),
 * "Ptrace access mode checking"), as far as they concern the calling process as
 * the one who looks. For people to read; nothing is decided by it.
 */
#ifndef CMA_TOOLS_POLICY_HPP
#define CMA_TOOLS_POLICY_HPP

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

struct Policy {
  unsigned uid, gid;
  std::optional<int> yama_scope; /* nothing: this kernel has no Yama */
  bool cap_sys_ptrace;           /* effective */
  bool cap_sys_ptrace_permitted;
  bool initial_user_namespace;
  int dumpable;      /* PR_GET_DUMPABLE */
  int seccomp;       /* 0, or 2: a filter is in force */
  std::string label; /* of the security modules; empty if there is none */
};

Policy current_policy();

nlohmann::ordered_json to_json(const Policy &policy);

/** Each a sentence that says what the setting means for access. */
std::string describe_ids(const Policy &policy);
std::string describe_yama(const Policy &policy);
std::string describe_capability(const Policy &policy);
std::string describe_user_namespace(const Policy &policy);
std::string describe_dumpable(const Policy &policy);
std::string describe_seccomp(const Policy &policy);

#endif
