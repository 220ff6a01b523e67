// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See progress.hpp.
#include "progress.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/core.h>
#include <unistd.h>

#include "numbers.hpp"

namespace {

constexpr std::chrono::milliseconds interval{100};
constexpr size_t width = 30;

std::string bar(double share)
{
  auto full = static_cast<size_t>(share * width);
  return std::string(full, '#') + std::string(width - full, '.');
}

} // namespace

Progress::Progress(std::optional<uint64_t> total)
    : total{total}, terminal{isatty(STDERR_FILENO) == 1}
{
}

Progress::~Progress()
{
  clear();
}

void Progress::clear()
{
  if (shown)
    std::fputs("\r\033[K", stderr);
  shown = false;
}

void Progress::say(const std::string &words)
{
  if (!terminal)
    return;
  shown = true;
  fmt::print(stderr, "\r{}\033[K", words);
}

double Progress::seconds() const
{
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void Progress::update(uint64_t moved)
{
  auto now = Clock::now();
  if (!terminal || now - drawn < interval)
    return;
  drawn = now;
  shown = true;
  double rate = static_cast<double>(moved) / seconds();
  std::string speed = human_bytes(static_cast<uint64_t>(rate)) + "/s";
  if (!total || *total == 0) {
    fmt::print(stderr, "\r{}, {}\033[K", human_bytes(moved), speed);
    return;
  }
  uint64_t all = std::max(*total, moved);
  double share = static_cast<double>(moved) / static_cast<double>(all);
  double left = static_cast<double>(all - moved) / rate;
  fmt::print(stderr, "\r[{}] {:3.0f} % of {}, {}, {:.0f} s left\033[K", bar(share),
             100 * share, human_bytes(all), speed, left);
}
