// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Histories, claims and findings; see oracle.hpp.
#include "oracle.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <ctime>
#include <new>
#include <sys/mman.h>
#include <system_error>

namespace cma_test {
namespace {

int64_t now_ns()
{
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

} // namespace

const char *name_of(Op op)
{
  constexpr std::array names = {
      "writes",         "unmappings",  "remappings",    "prohibitions", "madvised away",
      "freed",          "truncations", "holes punched", "forks",        "pages migrated",
      "pages sent out", "collapses",   "splits",        "mergings",     "shields"};
  static_assert(names.size() == static_cast<size_t>(Op::Kinds));
  return names.at(static_cast<size_t>(op));
}

bool State::may_show(uint64_t word, size_t index) const
{
  if (may_show_words() && word == first_word() + index)
    return true;
  if (may_show_zeros() && word == 0)
    return true;
  const bool newer = (word & tag_mask) == own_tag && word >> 32 > generation();
  return (bits_ & is_leaving) != 0 && newer && word % words_per_page == index;
}

Epochs History::since(uint32_t oldest) const
{
  Epochs epochs;
  const uint32_t newest = newest_.load(std::memory_order_seq_cst);
  if (newest - oldest >= readable)
    return epochs;
  for (uint32_t epoch = oldest; epoch - oldest <= newest - oldest; epoch++)
    epochs.states.at(epochs.count++) = State{slot(epoch).load()};
  // A slot may have been taken for a later state while it was read.
  if (newest_.load(std::memory_order_seq_cst) - oldest >= readable)
    epochs.count = 0;
  return epochs;
}

Oracle &Oracle::fresh(size_t pages, unsigned milliseconds)
{
  void *memory = mmap(nullptr, sizeof(Oracle), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "an oracle");
  auto *oracle = new (memory) Oracle;
  oracle->pages_ = pages;
  oracle->length_ = milliseconds * 1000000LL;
  oracle->end_ = now_ns() + oracle->length_;
  return *oracle;
}

void Oracle::release()
{
  munmap(this, sizeof(*this));
}

bool Oracle::running() const
{
  const int64_t over = now_ns() - end_;
  return !stopped_ && (over < 0 || (over < 4 * length_ && few_things_done()) ||
                       (over < 20 * length_ && wants()));
}

bool Oracle::few_things_done() const
{
  constexpr uint64_t enough_pages = 5000;
  constexpr uint64_t enough_changes = 40;
  return judged < enough_pages || changes() < enough_changes || loaded < enough_loads_ ||
         stored < enough_stores_;
}

bool Oracle::wants() const
{
  if (changes() == 0)
    return true;
  if (loaded < std::min(enough_loads_, least_loads) ||
      stored < std::min<uint64_t>(enough_stores_, 1))
    return true;
  if (stale_wanted_ && (found(Wrong::Stale) == 0 || found(Wrong::StaleLoad) == 0))
    return true;
  for (size_t i = 0; i < wanted_.size(); i++)
    if (wanted_.at(i) && done_.at(i) == 0)
      return true;
  return false;
}

uint64_t Oracle::changes() const
{
  uint64_t sum = 0;
  for (const auto &count : done_)
    sum += count;
  return sum;
}

void Oracle::found(Wrong what, const char *format, ...)
{
  wrong_.at(static_cast<size_t>(what))++;
  const size_t slot = told_++;
  if (slot >= tales_.size())
    return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(tales_.at(slot).data(), tales_.at(slot).size(), format, arguments);
  va_end(arguments);
}

uint64_t Oracle::findings() const
{
  uint64_t sum = 0;
  for (const auto &count : wrong_)
    sum += count;
  return sum;
}

void Oracle::print_findings() const
{
  for (size_t i = 0; i < std::min<size_t>(told_, tales_.size()); i++)
    printf("  %s\n", tales_.at(i).data());
}

Claim::Claim(Oracle &oracle, size_t first, size_t count)
    : oracle_(oracle), first_(first), count_(count)
{
  const size_t from = first / pages_per_plot;
  const size_t to = (first + count - 1) / pages_per_plot;
  for (size_t plot = from; plot <= to; plot++, taken_++)
    if (oracle_.claimed_.at(plot).exchange(true)) {
      give_back();
      return;
    }
}

Claim::~Claim()
{
  give_back();
}

void Claim::give_back()
{
  for (; taken_ > 0; taken_--)
    oracle_.claimed_.at(first_ / pages_per_plot + taken_ - 1) = false;
}

void Claim::begin(State state)
{
  for (size_t i = first_; i < first_ + count_; i++)
    oracle_.page(i).begin(state);
}

void Claim::begin_words(uint32_t generation)
{
  for (size_t i = first_; i < first_ + count_; i++)
    oracle_.page(i).begin(State::words(generation, i));
}

void Claim::end()
{
  for (size_t i = first_; i < first_ + count_; i++)
    oracle_.page(i).end();
}

void Claim::settle(State state)
{
  begin(state);
  end();
}

} // namespace cma_test
