// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_topology.hpp.
#include "bench_topology.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include <dlfcn.h>
#include <fmt/core.h>

#ifdef CMA_HWLOC

#include <hwloc.h>

namespace bench {

static_assert(HWLOC_API_VERSION >= 0x20000 && HWLOC_API_VERSION < 0x30000);

/* What is used of hwloc: functions that its header does not define inline. Nothing is
 * given back, for a topology lasts as long as the program. */
struct Topology::Library {
  static constexpr const char *name = "libhwloc.so.15"; /* that of hwloc 2 */

  Library()
  {
    if (init(&topology) != 0 || load(topology) != 0)
      throw std::runtime_error("hwloc does not understand this machine");
  }

  static void *open()
  {
    void *file = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!file)
      throw std::runtime_error(fmt::format("hwloc is not installed ({})", name));
    return file;
  }

  template<typename Function>
  Function *find(const char *symbol) const
  {
    auto *found = reinterpret_cast<Function *>(dlsym(file, symbol));
    if (!found)
      throw std::runtime_error(fmt::format("{} has no {}", name, symbol));
    return found;
  }

#define OF_HWLOC(member, symbol)                                                         \
  decltype(symbol) *member = find<decltype(symbol)>(#symbol)

  void *file = open();
  OF_HWLOC(init, hwloc_topology_init);
  OF_HWLOC(load, hwloc_topology_load);
  OF_HWLOC(is_this_system, hwloc_topology_is_thissystem);
  OF_HWLOC(depth_of, hwloc_get_type_depth);
  OF_HWLOC(number_at, hwloc_get_nbobjs_by_depth);
  OF_HWLOC(object_at, hwloc_get_obj_by_depth);
  OF_HWLOC(new_set, hwloc_bitmap_alloc);
  OF_HWLOC(set_only, hwloc_bitmap_only);
  OF_HWLOC(first_of, hwloc_bitmap_first);
  OF_HWLOC(is_only, hwloc_bitmap_isequal);
  OF_HWLOC(bind_area, hwloc_set_area_membind);
  OF_HWLOC(place_of_area, hwloc_get_area_memlocation);

#undef OF_HWLOC

  hwloc_topology_t topology = nullptr;
};

namespace {

/* The number of the innermost object of this type that it lies in. */
int around(hwloc_obj_t object, hwloc_obj_type_t type)
{
  for (; object; object = object->parent)
    if (object->type == type)
      return static_cast<int>(object->logical_index);
  return -1;
}

/* Some machines have no third level. */
int last_cache_around(hwloc_obj_t object)
{
  constexpr int levels = 8; /* numbers of one level are no numbers of another */
  for (int level = 0;
       const auto type : {HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L2CACHE}) {
    if (const int number = around(object, type); number >= 0)
      return number * levels + level;
    level++;
  }
  return -1;
}

} // namespace

Topology::Topology() : library{std::make_shared<Library>()}
{
}

std::vector<Processor> Topology::processors() const
{
  const int depth = library->depth_of(library->topology, HWLOC_OBJ_PU);
  const unsigned number = library->number_at(library->topology, depth);
  const std::vector<unsigned> allowed = allowed_processors();
  std::vector<Processor> list;
  for (unsigned i = 0; i < number; i++) {
    hwloc_obj_t unit = library->object_at(library->topology, depth, i);
    if (library->is_this_system(library->topology) &&
        std::ranges::count(allowed, unit->os_index) == 0)
      continue;
    list.push_back({.number = unit->os_index,
                    .core = around(unit, HWLOC_OBJ_CORE),
                    .cache = last_cache_around(unit),
                    .node = library->first_of(unit->nodeset),
                    .package = around(unit, HWLOC_OBJ_PACKAGE)});
  }
  return list;
}

void Topology::bind(const void *memory, size_t length, int node) const
{
  hwloc_bitmap_t set = library->new_set();
  library->set_only(set, static_cast<unsigned>(node));
  if (library->bind_area(library->topology, memory, length, set, HWLOC_MEMBIND_BIND,
                         HWLOC_MEMBIND_STRICT | HWLOC_MEMBIND_BYNODESET) != 0)
    throw std::system_error(errno, std::generic_category(),
                            fmt::format("memory cannot be bound to node {}", node));
}

bool Topology::lies_at(const void *memory, size_t length, int node) const
{
  hwloc_bitmap_t wanted = library->new_set();
  hwloc_bitmap_t found = library->new_set();
  library->set_only(wanted, static_cast<unsigned>(node));
  return library->place_of_area(library->topology, memory, length, found,
                                HWLOC_MEMBIND_BYNODESET) == 0 &&
         library->is_only(found, wanted);
}

} // namespace bench

#else

namespace bench {

struct Topology::Library {};

Topology::Topology()
{
  throw std::runtime_error("this cma was built without hwloc");
}

std::vector<Processor> Topology::processors() const
{
  return {};
}

void Topology::bind(const void * /*memory*/, size_t /*length*/, int /*node*/) const
{
}

bool Topology::lies_at(const void * /*memory*/, size_t /*length*/, int /*node*/) const
{
  return false;
}

} // namespace bench

#endif
