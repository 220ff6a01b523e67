// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The module's parameters, which are the machine's: no test leaves them changed.
 */
#pragma once

#include <fstream>
#include <string>

namespace cma_test {

/// A module parameter, for as long as the object lives; nothing if there is no such.
class Parameter {
public:
  template<class Value>
  Parameter(const char *name, const Value &value)
      : path_(std::string("/sys/module/cma/parameters/") + name)
  {
    std::ifstream(path_) >> before_;
    std::ofstream(path_) << value;
  }
  Parameter(const Parameter &) = delete;
  Parameter &operator=(const Parameter &) = delete;
  ~Parameter() { std::ofstream(path_) << before_; }

private:
  std::string path_;
  std::string before_;
};

} // namespace cma_test
