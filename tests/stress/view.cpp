// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Loads and stores through mappings; see view.hpp.
#include "view.hpp"
#include "../device/support/guard.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sys/mman.h>

namespace cma_test {
namespace {

const size_t pages_per_chunk = huge_page / page;
constexpr int both = PROT_READ | PROT_WRITE;

/// Words one by one: a memcpy(3) may begin with the last, and tell nothing of the others.
void move_words(volatile uint64_t *to, const volatile uint64_t *from, size_t count)
{
  for (size_t i = 0; i < count; i++)
    to[i] = from[i];
}

} // namespace

Views::Views(const Field &field, const Device &device, const Target &target)
    : pages_(field.pages), device_(device),
      views_{
          {{target.handle, Field::base, PROT_READ,
            Mapping(device.fd(), target.handle, Field::base, field.bytes(), PROT_READ)},
           {target.handle, Field::base, both,
            Mapping(device.fd(), target.handle, Field::base, field.bytes(), both)},
           {target.window, 0, PROT_READ,
            Mapping(device.fd(), target.window, 0, field.bytes(), PROT_READ)},
           {target.window, 0, both,
            Mapping(device.fd(), target.window, 0, field.bytes(), both)}}}
{
  for (const View &view : views_)
    require(view.mapping.error() == 0, "a mapping of a field");
}

const Views::View &Views::view(Route route, int protection) const
{
  return views_.at((route == Route::Window ? 2 : 0) + (protection == both ? 1 : 0));
}

Outcome Views::move(Route route, bool write, size_t first, size_t count, uint64_t *local,
                    Random &random)
{
  const View &seen = view(route, write || random.percent(50) ? both : PROT_READ);
  auto *words = reinterpret_cast<uint64_t *>(seen.at(0)) + first;
  Caught caught;
  unsigned before;
  bool hidden;
  do {
    before = changed_;
    hidden = hiding_ > 0;
    caught = guarded([=] {
      if (write)
        move_words(words, local, count);
      else
        move_words(local, words, count);
    });
  } while (caught.signal == SIGSEGV && (hidden || changed_ != before));
  if (caught.signal == 0)
    return gives(static_cast<int64_t>(count * sizeof(uint64_t)));
  if (caught.signal != SIGBUS)
    return fails(ESRCH);
  const uintptr_t bytes = caught.address - reinterpret_cast<uintptr_t>(words);
  return bytes == 0 ? fails(EFAULT) : gives(static_cast<int64_t>(bytes));
}

int Views::map_again(const View &view, size_t first, size_t count)
{
  const uint64_t offset = CMA_MAP_OFFSET(view.handle, view.base + first * page);
  if (mmap(view.at(first), count * page, view.protection, MAP_SHARED | MAP_FIXED,
           device_.fd(), static_cast<off_t>(offset)) != MAP_FAILED)
    return 0;
  over_ = true;
  return errno;
}

/// What is not one mapping any more cannot be shown again: it is mapped again.
int Views::hide_for_a_while(const View &view, size_t first, size_t count)
{
  const auto show = [&](unsigned how) {
    return device_.show(how, view.mapping.at(first * page), count * page) == gives(0);
  };
  hiding_++;
  changed_++;
  const bool shown = show(CMA_HIDE_PAGES) && show(CMA_SHOW_PAGES);
  const int error = shown ? 0 : map_again(view, first, count);
  changed_++;
  hiding_--;
  return error;
}

/// Only a whole mapping, or a whole chunk, can have entries of 2 MB.
int Views::change(Random &random)
{
  const View &view = views_.at(random.below(views_.size()));
  const size_t die = random.below(100);
  size_t first = 0;
  size_t count = pages_;
  if (die < 40) {
    first = random.below(pages_ / pages_per_chunk) * pages_per_chunk;
    count = std::min(pages_per_chunk, pages_);
  } else if (die < 80) {
    count = random.between(1, 64);
    first = random.below(pages_ - count);
  }
  if (over_)
    return 0;
  if (die >= 60 && die < 80 && view.protection == PROT_READ) {
    mprotect(view.at(first), count * page, both);
    mprotect(view.at(first), count * page, PROT_READ);
    return 0;
  }
  if (random.percent(50))
    return hide_for_a_while(view, first, count);
  return map_again(view, first, count);
}

} // namespace cma_test
