// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See numbers.hpp.
#include "numbers.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

namespace {

/* The power of two of a suffix. */
unsigned suffix_shift(std::string_view suffix)
{
  if (suffix.empty())
    return 0;
  constexpr std::string_view letters = "KMGT";
  size_t place = letters.find(static_cast<char>(std::toupper(suffix[0])));
  if (suffix.size() != 1 || place == letters.npos)
    throw std::invalid_argument(
        fmt::format("'{}' is no suffix; known are K, M, G and T", suffix));
  return 10 * static_cast<unsigned>(place + 1);
}

} // namespace

uint64_t parse_number(const std::string &text)
{
  bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const char *first = text.data() + (hexadecimal ? 2 : 0);
  const char *end = text.data() + text.size();
  uint64_t value = 0;
  auto [rest, error] = std::from_chars(first, end, value, hexadecimal ? 16 : 10);
  if (error == std::errc::invalid_argument)
    throw std::invalid_argument(fmt::format("'{}' is no number", text));
  unsigned shift = suffix_shift({rest, static_cast<size_t>(end - rest)});
  if (error == std::errc::result_out_of_range ||
      value > std::numeric_limits<uint64_t>::max() >> shift)
    throw std::invalid_argument(fmt::format("{} does not fit in 64 bits", text));
  return value << shift;
}

CLI::Option *add_number(CLI::App &command, const std::string &name, uint64_t &value,
                        const std::string &description)
{
  return command.add_option_function<std::string>(
      name,
      [&value, name](const std::string &text) {
        try {
          value = parse_number(text);
        } catch (const std::invalid_argument &wrong) {
          throw CLI::ValidationError(name, wrong.what());
        }
      },
      description);
}

std::string human_bytes(uint64_t bytes)
{
  constexpr std::array units = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024)
    return fmt::format("{} bytes", bytes);
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); unit++)
    value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}
