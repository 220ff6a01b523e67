// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The items of cma selftest, and what they work with. An item returns if it passes,
 * and throws Failed or Skipped with the reason if it does not.
 */
#ifndef CMA_TOOLS_SELFTEST_HPP
#define CMA_TOOLS_SELFTEST_HPP

#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "command.hpp"
#include "selftest_peer.hpp"

struct Failed : std::runtime_error {
  using runtime_error::runtime_error;
};

struct Skipped : std::runtime_error {
  using runtime_error::runtime_error;
};

/** What every item gets. */
struct Bench {
  cma::Context context;
  cma_limits limits;
  Peer peer;

  /** Skips the item where the backend lacks something (CMA_CAN_*). */
  void need(uint64_t feature, const char *name) const;
};

struct Item {
  const char *name;
  void (*run)(Bench &bench);
};

/** selftest_data.cpp: bytes arrive, all of them, where they should and nowhere else. */
std::span<const Item> data_items();

/** selftest_errors.cpp: what cannot be done fails, with the right error. */
std::span<const Item> error_items();

/** selftest_window.cpp: what an owner's consent opens. */
std::span<const Item> window_items();

/** selftest_reduce.cpp: elements of peers are combined with one's own. */
std::span<const Item> reduce_items();

/** Throws Failed if a result is not what it should be. */
void expect_result(ssize_t result, ssize_t expected, const std::string &what);

/** Throws Failed if a condition does not hold. */
template<typename... Arguments>
void expect(bool condition, fmt::format_string<Arguments...> text,
            Arguments &&...arguments)
{
  if (!condition)
    throw Failed(fmt::format(text, std::forward<Arguments>(arguments)...));
}

#endif
