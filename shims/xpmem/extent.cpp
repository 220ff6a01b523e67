// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See extent.hpp.
#include "extent.hpp"

#include <algorithm>
#include <bit>

#include <unistd.h>

namespace xpmem {
namespace {

constexpr size_t bits = 64;

const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

/* The bits from begin to end that a word has. */
uint64_t mask(size_t word, size_t begin, size_t end)
{
  const size_t low = std::max(begin, word * bits) - word * bits;
  const size_t high = std::min(end, (word + 1) * bits) - word * bits;
  return ~uint64_t{0} >> (bits - (high - low)) << low;
}

/* The first place from begin on where bit_of says so, or end. */
template<class BitsOf>
size_t find(size_t begin, size_t end, const BitsOf &bits_of)
{
  for (size_t word = begin / bits; begin < end && word * bits < end; word++) {
    const uint64_t found = bits_of(word) & mask(word, begin, end);
    if (found != 0)
      return word * bits + static_cast<size_t>(std::countr_zero(found));
  }
  return end;
}

} // namespace

Extent::Extent(Range place, uint64_t offset, bool carved) : where(place), from(offset)
{
  if (!carved)
    return;
  const size_t words = (page_of(place.end) + bits - 1) / bits;
  used.resize(words);
  first.resize(words);
}

size_t Extent::page_of(uintptr_t address) const
{
  return (address - where.begin) / page;
}

uintptr_t Extent::address_of(size_t index) const
{
  return where.begin + index * page;
}

bool Extent::is_free(Range part) const
{
  if (!is_carved())
    return attachments == 0;
  const size_t end = page_of(part.end);
  return find(page_of(part.begin), end, [&](size_t word) { return used[word]; }) == end;
}

std::optional<Range> Extent::at(uintptr_t address) const
{
  if (!where.holds(address) || attachments == 0)
    return std::nullopt;
  if (!is_carved())
    return where;
  size_t begin = page_of(address);
  if ((used[begin / bits] >> begin % bits & 1) == 0)
    return std::nullopt;
  const size_t end = find(begin + 1, page_of(where.end),
                          [&](size_t word) { return first[word] | ~used[word]; });
  for (size_t word = begin / bits;; word--) {
    const uint64_t before = first[word] & mask(word, 0, begin + 1);
    if (before != 0) {
      begin = word * bits + bits - 1 - static_cast<size_t>(std::countl_zero(before));
      return Range{address_of(begin), address_of(end)};
    }
  }
}

std::vector<Range> Extent::meeting(Range part) const
{
  std::vector<Range> found;
  const Range inside = {std::max(part.begin, where.begin), std::min(part.end, where.end)};
  for (uintptr_t address = inside.begin; address < inside.end;) {
    const auto attachment = at(address);
    if (attachment)
      found.push_back(*attachment);
    if (!is_carved())
      break;
    if (attachment)
      address = attachment->end;
    else
      address = address_of(find(page_of(address), page_of(inside.end),
                                [&](size_t word) { return used[word]; }));
  }
  return found;
}

void Extent::add(Range attachment)
{
  attachments++;
  if (!is_carved())
    return;
  const size_t begin = page_of(attachment.begin);
  const size_t end = page_of(attachment.end);
  first[begin / bits] |= uint64_t{1} << begin % bits;
  for (size_t word = begin / bits; word * bits < end; word++)
    used[word] |= mask(word, begin, end);
}

void Extent::remove(Range attachment)
{
  attachments--;
  if (!is_carved())
    return;
  const size_t begin = page_of(attachment.begin);
  const size_t end = page_of(attachment.end);
  first[begin / bits] &= ~(uint64_t{1} << begin % bits);
  for (size_t word = begin / bits; word * bits < end; word++)
    used[word] &= ~mask(word, begin, end);
}

std::vector<Extent> Extent::without(Range hole) const
{
  std::vector<Extent> rest;
  for (Range left : {Range{where.begin, std::min(hole.begin, where.end)},
                     Range{std::max(hole.end, where.begin), where.end}}) {
    if (left.begin >= left.end)
      continue;
    Extent part(left, from + (left.begin - where.begin), is_carved());
    for (Range whole : meeting(left))
      part.add({std::max(whole.begin, left.begin), std::min(whole.end, left.end)});
    rest.push_back(std::move(part));
  }
  return rest;
}

} // namespace xpmem
