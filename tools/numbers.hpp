// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Addresses and lengths as people write them: decimal or 0x hexadecimal, with an
 * optional suffix K, M, G or T (powers of 1024).
 */
#ifndef CMA_TOOLS_NUMBERS_HPP
#define CMA_TOOLS_NUMBERS_HPP

#include <cstdint>
#include <string>

namespace CLI {
class App;
class Option;
} // namespace CLI

/** Throws std::invalid_argument, saying what is wrong with the text. */
uint64_t parse_number(const std::string &text);

/** A positional argument or option that takes a number. */
CLI::Option *add_number(CLI::App &command, const std::string &name, uint64_t &value,
                        const std::string &description);

/** "1.5 MiB" */
std::string human_bytes(uint64_t bytes);

#endif
