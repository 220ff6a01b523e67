// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A permission verdict, asked for in every way. The Answers lie in memory that
 * a test, its caller and its target all share at one address: the target's
 * words are there, and what the caller was told.
 */
#pragma once

#include "twin.hpp"

#include <array>

namespace cma_test {

/// In a caller that soon can open nothing any more: the device and the target's pidfd.
void open_beforehand(pid_t target);

class Answers {
public:
  using Words = std::array<uint64_t, 8>;

  /// The only ones, wiped.
  static Answers &fresh();

  /// In the caller: asks for the pid by every route, default and strict, twice by the
  /// ones that may remember, for reading and for writing.
  void judge(pid_t pid);

  /// In the test: every answer that came by that route is as expected, and bytes moved
  /// if, and only if, it was yes.
  void expect(Route route, const Outcome &expected) const;

private:
  static constexpr size_t max_answers = 32;
  struct Answer {
    Route route;
    bool write;
    bool asked;  ///< false: there was no pidfd to ask with
    bool intact; ///< the words are what this outcome makes of them
    Outcome outcome;
  };
  void ask(const Device &device, Route route, bool write, const Target &target);

  Words words_;
  std::array<Answer, max_answers> answers_;
  size_t count_;
};

/// Yama's scope for the life of the object; scope 3 stays for ever.
class Yama {
public:
  explicit Yama(int scope);
  Yama(const Yama &) = delete;
  Yama &operator=(const Yama &) = delete;
  ~Yama();

  /// Whether the kernel now is in that scope; without Yama it always is in scope 0.
  bool in_force() const;

private:
  int scope_;
  int before_;
};

} // namespace cma_test
