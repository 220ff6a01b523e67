// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "input.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>

namespace cma_fuzz {
namespace {

constexpr std::array<const char *, static_cast<size_t>(Verb::Count)> names = {
    "open",  "close",  "expose", "withdraw", "read",     "write",    "garbage",
    "map",   "unmap",  "move",   "protect",  "populate", "show",     "load",
    "store", "kernel", "touch",  "renew",    "drop",     "advise",   "fork",
    "exec",  "exit",   "signal", "kill",     "reopen",   "pressure", "reduce"};

size_t below(Random &random, size_t limit)
{
  return random() % limit;
}

/// Small ones name things, so they come most.
uint8_t number(Random &random)
{
  return static_cast<uint8_t>(below(random, 3) == 0 ? random() : below(random, 8));
}

Step step(Random &random)
{
  Step made;
  made.verb = static_cast<Verb>(below(random, names.size()));
  // Who ends takes no more steps, and pressure takes seconds: not too often.
  const bool rare = made.verb == Verb::Exec || made.verb == Verb::Exit ||
                    made.verb == Verb::Kill || made.verb == Verb::Pressure;
  if (rare && below(random, 4) != 0)
    made.verb = Verb::Load;
  made.actor = static_cast<uint8_t>(below(random, actors));
  made.ahead = below(random, 4) == 0;
  for (uint8_t &each : made.number)
    each = number(random);
  return made;
}

} // namespace

std::string text_of(const Input &input)
{
  std::ostringstream out;
  for (const Step &each : input) {
    out << (each.ahead ? "&" : "") << char('a' + each.actor) << '.'
        << names.at(static_cast<size_t>(each.verb));
    for (const uint8_t value : each.number)
      out << ' ' << unsigned{value};
    out << ';';
  }
  return out.str();
}

std::optional<Input> input_of(const std::string &text)
{
  Input input;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ';');) {
    Step made;
    made.ahead = part.starts_with('&');
    std::array<char, 16> name{};
    char actor = 0;
    std::array<unsigned, 3> values{};
    if (sscanf(part.c_str() + (made.ahead ? 1 : 0), "%c.%15s %u %u %u", &actor,
               name.data(), &values[0], &values[1], &values[2]) != 5)
      return {};
    const auto *found = std::find_if(names.begin(), names.end(), [&](const char *each) {
      return strcmp(each, name.data()) == 0;
    });
    if (found == names.end() || actor < 'a' || actor >= char('a' + actors))
      return {};
    made.actor = static_cast<uint8_t>(actor - 'a');
    made.verb = static_cast<Verb>(found - names.begin());
    std::transform(values.begin(), values.end(), made.number.begin(),
                   [](unsigned value) { return static_cast<uint8_t>(value); });
    input.push_back(made);
  }
  return input;
}

Input invent(Random &random)
{
  Input input(4 + below(random, longest - 4));
  std::generate(input.begin(), input.end(), [&] { return step(random); });
  return input;
}

Input vary(Random &random, Input input, const Input &other)
{
  for (size_t times = 1 + below(random, 4); times > 0; times--) {
    const size_t at = below(random, input.size() + 1);
    const auto here = input.begin() + static_cast<ptrdiff_t>(at);
    switch (below(random, 6)) {
    case 0:
      input.insert(here, step(random));
      break;
    case 1:
      if (here != input.end() && input.size() > 2)
        input.erase(here);
      break;
    case 2:
      if (here != input.end())
        here->number.at(below(random, 3)) = number(random);
      break;
    case 3:
      if (here != input.end())
        here->ahead = !here->ahead;
      break;
    case 4:
      if (here != input.end())
        *here = step(random);
      break;
    default:
      input.resize(at);
      input.insert(input.end(),
                   other.begin() + static_cast<ptrdiff_t>(below(random, other.size())),
                   other.end());
    }
  }
  if (input.empty())
    input.push_back(step(random));
  input.resize(std::min(input.size(), longest));
  return input;
}

} // namespace cma_fuzz
