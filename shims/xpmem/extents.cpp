// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See extents.hpp.
#include "extents.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <new>

#include <sys/mman.h>

#include <cma.h>

#include "mappings.hpp"

namespace xpmem {
namespace {

/* False if something of it stays: a part in the middle of a mapping makes two of one,
 * of which a process may have too many. */
bool munmap_all(const std::vector<Range> &parts)
{
  bool done = true;
  for (Range part : parts)
    done &= munmap(reinterpret_cast<void *>(part.begin), part.end - part.begin) == 0;
  return done;
}

/* The peer or the segment is gone: what is kept of it is of no use. */
bool is_end(int result)
{
  return result == -EIDRM || result == -ESRCH;
}

/* Not an answer, but that another way is to be tried. */
constexpr intptr_t nothing = 0;

} // namespace

Mapping *Extents::last_meeting(Range range)
{
  const auto next = mappings.lower_bound(range.end);
  if (next == mappings.begin())
    return nullptr;
  Mapping &mapping = std::prev(next)->second;
  return mapping.extent.place().meets(range) ? &mapping : nullptr;
}

Mapping *Extents::find(uintptr_t address)
{
  return last_meeting({address, address + 1});
}

Mapping &Extents::enter(Permit &permit, Extent extent, bool closed)
{
  const uintptr_t begin = extent.place().begin;
  permit.live.push_front(nullptr);
  try {
    const auto made =
        mappings.try_emplace(begin, Mapping{std::move(extent), &permit, closed});
    made.first->second.node = permit.live.begin();
    return *(permit.live.front() = &made.first->second);
  } catch (const std::bad_alloc &) {
    permit.live.pop_front();
    throw;
  }
}

/* Nothing new is attached in it any more. */
void Extents::close(Mapping &mapping)
{
  auto &arenas = mapping.permit->arenas;
  auto &spare = mapping.permit->spare;
  const Extent &extent = mapping.extent;
  if (mapping.closed)
    return;
  mapping.closed = true;
  if (extent.is_carved()) {
    arenas.erase(extent.offset() / arena_size);
    return;
  }
  const Range place = extent.place();
  const auto [begin, end] = spare.equal_range({extent.offset(), place.end - place.begin});
  for (auto at = begin; at != end; ++at)
    if (at->second == &mapping) {
      spare.erase(at);
      return;
    }
}

/* It is in the table no more; what is mapped stays so. */
void Extents::forget(Mapping &mapping)
{
  close(mapping);
  if (mapping.kept)
    kept.erase(mapping.node);
  else
    mapping.permit->live.erase(mapping.node);
  mappings.erase(mapping.extent.place().begin);
}

/* Whether all of it is the device's still, which the device looks at first. */
bool Extents::is_whole(const Mapping &mapping)
{
  const int result = device.show(mapping.hides ? CMA_HIDE_PAGES : CMA_SHOW_PAGES,
                                 mapping.extent.place());
  return result == 0 || is_end(result);
}

void Extents::drop(Mapping &mapping)
{
  const Range place = mapping.extent.place();
  const auto parts = is_whole(mapping) ? std::vector{place} : device.still_mapped(place);
  forget(mapping);
  munmap_all(parts);
}

void Extents::drop_kept(Permit &permit)
{
  while (!permit.spare.empty())
    drop(*permit.spare.begin()->second);
  for (auto at = permit.arenas.begin(); at != permit.arenas.end();) {
    Mapping *const arena = (at++)->second.mapping;
    if (arena != nullptr && arena->kept)
      drop(*arena);
  }
}

/* Something new is at a place: what was ours there is not any more. */
void Extents::cut(Range hole)
{
  while (Mapping *const mapping = last_meeting(hole)) {
    const auto rest = mapping->extent.without(hole);
    Permit &permit = *mapping->permit;
    const bool hides = mapping->hides;
    forget(*mapping);
    for (const Extent &part : rest) {
      Mapping &left = enter(permit, part, true);
      left.hides = hides;
      if (part.is_idle())
        drop(left);
    }
  }
}

int Extents::map(Permit &permit, Part part, uintptr_t where, bool carved, Mapping *&made)
{
  const auto map = [&](Range &place) {
    return device.map(permit.handle, part.offset, part.length, permit.access, where,
                      place);
  };
  Range place;
  int error = map(place);
  if (error == -ENOMEM && !kept.empty()) {
    while (!kept.empty())
      drop(*kept.front());
    error = map(place);
  }
  if (error != 0)
    return error;
  try {
    cut(place);
    made = &enter(permit, Extent(place, part.offset, carved), where != 0);
  } catch (const std::bad_alloc &) {
    munmap_all({place});
    throw;
  }
  return 0;
}

/* The mapping that attachments there are carved out of; NULL if there is none. */
Mapping *Extents::arena_for(Permit &permit, uint64_t number)
{
  Arena &arena = permit.arenas[number];
  if (arena.mapping == nullptr && arena.attempts++ == few) {
    const int error =
        map(permit, {number * arena_size, arena_size}, 0, true, arena.mapping);
    /* A segment that ends before is not asked again. */
    if (error != 0 && error != -ENXIO)
      arena.attempts = 0;
  }
  return arena.mapping;
}

/* Attach a part of a mapping, in which nothing is attached there. */
intptr_t Extents::attach_in(Mapping &mapping, Range range)
{
  Permit &permit = *mapping.permit;
  const bool only = mapping.extent.is_carved() && !mapping.hides;
  int error = 0;
  if (only || mapping.hides)
    error = device.show(only ? CMA_SHOW_ONLY : CMA_SHOW_PAGES, range);
  if (error == 0) {
    mapping.hides = mapping.hides || only;
    if (mapping.kept)
      permit.live.splice(permit.live.begin(), kept, mapping.node);
    mapping.kept = false;
    mapping.extent.add(range);
    return static_cast<intptr_t>(range.begin);
  }
  if (is_end(error))
    drop_kept(permit);
  else if (close(mapping), mapping.extent.is_idle())
    drop(mapping);
  return error == -EFAULT ? nothing : error;
}

intptr_t Extents::attach_in_arena(Permit &permit, Part part)
{
  const uint64_t number = part.offset / arena_size;
  if (part.length > largest_carved ||
      (part.offset + part.length - 1) / arena_size != number)
    return nothing;
  Mapping *const arena = arena_for(permit, number);
  if (arena == nullptr)
    return nothing;
  const uintptr_t begin =
      arena->extent.place().begin + (part.offset - arena->extent.offset());
  const Range range = {begin, begin + part.length};
  return arena->extent.is_free(range) ? attach_in(*arena, range) : nothing;
}

/* One that is a mapping of its own, and was kept. */
intptr_t Extents::attach_again(Permit &permit, Part part)
{
  const auto spare = permit.spare.find(part);
  if (spare == permit.spare.end())
    return nothing;
  Mapping &mapping = *spare->second;
  const intptr_t result = attach_in(mapping, mapping.extent.place());
  if (result > 0)
    permit.spare.erase(spare);
  return result;
}

intptr_t Extents::attach(Permit &permit, Part part, uintptr_t where)
{
  intptr_t result = nothing;
  if (where == 0)
    result = attach_again(permit, part);
  if (where == 0 && result == nothing)
    result = attach_in_arena(permit, part);
  if (result != nothing)
    return result;
  Mapping *made = nullptr;
  const int error = map(permit, part, where, false, made);
  return error != 0 ? error : attach_in(*made, made->extent.place());
}

/* Nothing is attached in it. */
void Extents::keep(Mapping &mapping)
{
  const Range place = mapping.extent.place();
  const size_t size = place.end - place.begin;
  if (mapping.closed || size > largest_kept)
    return drop(mapping);
  if (!mapping.extent.is_carved())
    mapping.permit->spare.emplace(Part{mapping.extent.offset(), size}, &mapping);
  kept.splice(kept.end(), mapping.permit->live, mapping.node);
  mapping.kept = true;
  if (kept.size() > most_kept)
    drop(*kept.front());
}

Extents::Detached Extents::detach(uintptr_t address)
{
  Mapping *const mapping = find(address);
  if (mapping == nullptr)
    return Detached::Unknown;
  const auto attachment = mapping->extent.at(address);
  if (!attachment)
    return Detached::Before;
  if (device.show(CMA_HIDE_PAGES, *attachment) == 0) {
    mapping->hides = true;
  } else {
    const auto parts = device.still_mapped(*attachment);
    if (std::ranges::none_of(parts, [=](Range part) { return part.holds(address); }) &&
        !is_unmapped(address))
      return Detached::Unknown;
    if (!munmap_all(parts))
      return Detached::Failed;
    close(*mapping);
  }
  mapping->extent.remove(*attachment);
  if (mapping->extent.is_idle())
    keep(*mapping);
  return Detached::Done;
}

void Extents::release(Permit &permit)
{
  drop_kept(permit);
  while (!permit.live.empty())
    drop(*permit.live.front());
}

bool Extents::has(Range range)
{
  for (uintptr_t end = range.end;;) {
    const Mapping *const mapping = last_meeting({range.begin, end});
    if (mapping == nullptr)
      return false;
    for (Range attachment : mapping->extent.meeting({range.begin, end}))
      for (Range part : device.still_mapped(attachment))
        if (part.meets(range))
          return true;
    end = mapping->extent.place().begin;
    if (end <= range.begin)
      return false;
  }
}

} // namespace xpmem
