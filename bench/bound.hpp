// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// How many chunks the module may cache as long as this lives: a parameter of the module,
// which has its old value again in the end.
#ifndef BENCH_BOUND_HPP
#define BENCH_BOUND_HPP

#include <cstddef>
#include <fstream>
#include <stdexcept>

namespace bench {

class Bound {
public:
  explicit Bound(std::size_t chunks)
  {
    std::ifstream(kPath) >> before_;
    set(chunks);
  }
  ~Bound() { std::ofstream(kPath) << before_; }
  Bound(const Bound &) = delete;
  Bound(Bound &&) = delete;
  Bound &operator=(const Bound &) = delete;
  Bound &operator=(Bound &&) = delete;

private:
  static constexpr auto kPath = "/sys/module/cma/parameters/max_chunks";

  static void set(std::size_t chunks)
  {
    std::ofstream file(kPath);
    file << chunks << std::flush;
    if (!file)
      throw std::runtime_error("max_chunks cannot be set");
  }

  std::size_t before_ = 0;
};

} // namespace bench

#endif
