// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Many to one: processes that all read the same peer's memory at once, each
// into memory of its own and through an open file of its own.

#pragma once

#include "mechanism.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <vector>

namespace bench {

class Readers {
public:
  /// @param from whose memory; each reader makes one buffer of @p bytes its own
  Readers(int number, const Mechanism &mechanism, const Place &from, std::size_t bytes);
  ~Readers();
  Readers(const Readers &) = delete;
  Readers(Readers &&) = delete;
  Readers &operator=(const Readers &) = delete;
  Readers &operator=(Readers &&) = delete;

  /// Has all of them copy @p times each.
  /// @return from the word to begin until the last one is done
  /// @throws std::runtime_error if one failed
  std::chrono::duration<double> round(int times);

private:
  void live(const Mechanism &mechanism, const Place &from, iovec own) const;

  std::array<int, 2> words_{};   ///< to the readers: how often to copy
  std::array<int, 2> answers_{}; ///< from them: whether it went well
  std::vector<std::unique_ptr<Peer>> peers_;
};

} // namespace bench
