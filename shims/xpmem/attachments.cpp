// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See attachments.hpp.
#include "attachments.hpp"

namespace xpmem {

Attachments::Place Attachments::first_meeting(Range range) const
{
  auto place = entries.upper_bound(range.begin);
  if (place != entries.begin() && std::prev(place)->second.end > range.begin)
    --place;
  return place;
}

void Attachments::insert(Range range, xpmem_apid_t permit)
{
  erase(range);
  beginnings.emplace(permit, range.begin);
  entries.emplace(range.begin, Entry{range.end, permit});
}

void Attachments::erase(Range range)
{
  for (Range old : meeting(range)) {
    auto place = entries.find(old.begin);
    const xpmem_apid_t permit = place->second.permit;
    entries.erase(place);
    beginnings.erase({permit, old.begin});
    for (Range rest : {Range{old.begin, range.begin}, Range{range.end, old.end}})
      if (rest.begin < rest.end)
        insert(rest, permit);
  }
}

void Attachments::clear()
{
  entries.clear();
  beginnings.clear();
}

std::optional<Range> Attachments::find(uintptr_t address) const
{
  auto found = meeting({address, address + 1});
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<Range> Attachments::meeting(Range range) const
{
  std::vector<Range> found;
  for (auto place = first_meeting(range);
       place != entries.end() && place->first < range.end; ++place)
    found.push_back({place->first, place->second.end});
  return found;
}

std::vector<Range> Attachments::of(xpmem_apid_t permit) const
{
  std::vector<Range> found;
  for (auto place = beginnings.lower_bound({permit, 0});
       place != beginnings.end() && place->first == permit; ++place)
    found.push_back({place->second, entries.at(place->second).end});
  return found;
}

} // namespace xpmem
