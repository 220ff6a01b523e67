// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What the model's benchmark writes, and which of it is wanted. bench/run tells
// the meaning of a row's members.

#pragma once

#include <fnmatch.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace bench {

using Rows = nlohmann::ordered_json;

struct Selection {
  std::vector<std::string> patterns; ///< none: everything

  [[nodiscard]] bool wants(const std::string &name) const
  {
    return patterns.empty() || std::ranges::any_of(patterns, [&](const auto &pattern) {
             return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
           });
  }
};

} // namespace bench
