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

/// @return what selects each of @p cases
template<typename Cases>
std::vector<std::string> names_of(const Cases &cases)
{
  std::vector<std::string> names;
  names.reserve(std::size(cases));
  for (const auto &one : cases)
    names.push_back(one.name);
  return names;
}

} // namespace bench
