// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_place.hpp.
#include "bench_place.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include <fmt/core.h>
#include <sched.h>

namespace bench {

const std::vector<PlaceName> place_names = {
    {"any", Place::any, "left to the scheduler"},
    {"core", Place::core, "two hardware threads of one core"},
    {"complex", Place::complex, "cores of one last level cache"},
    {"socket", Place::socket, "one socket, not one last level cache"},
    {"node", Place::node, "one socket, two nodes of memory"},
    {"across", Place::across, "two sockets"},
};

namespace {

/* Known to be the same; or known to differ. */
bool same(int one, int other)
{
  return one >= 0 && one == other;
}

bool differ(int one, int other)
{
  return one >= 0 && other >= 0 && one != other;
}

bool suits(const Processor &owner, const Processor &reader, Place place)
{
  switch (place) {
  case Place::any:
    return true;
  case Place::core:
    return same(owner.core, reader.core);
  case Place::complex:
    return same(owner.cache, reader.cache) && differ(owner.core, reader.core);
  case Place::socket:
    return same(owner.package, reader.package) && differ(owner.cache, reader.cache);
  case Place::node:
    return same(owner.package, reader.package) && differ(owner.node, reader.node);
  case Place::across:
    return differ(owner.package, reader.package);
  }
  return false;
}

} // namespace

std::optional<std::vector<unsigned>> choose(const std::vector<Processor> &processors,
                                            Place place, size_t processes)
{
  for (const Processor &owner : processors) {
    std::vector<unsigned> chosen = {owner.number};
    std::vector<int> cores;
    for (const Processor &reader : processors) {
      if (chosen.size() == processes)
        break;
      if (reader.number == owner.number || !suits(owner, reader, place))
        continue;
      if (place != Place::core && std::ranges::count(cores, reader.core) != 0)
        continue;
      chosen.push_back(reader.number);
      cores.push_back(reader.core);
    }
    if (chosen.size() == processes)
      return chosen;
  }
  return std::nullopt;
}

void pin(unsigned processor)
{
  const size_t bytes = CPU_ALLOC_SIZE(processor + 1);
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t *)> set(
      CPU_ALLOC(processor + 1), [](cpu_set_t *old) { CPU_FREE(old); });
  CPU_ZERO_S(bytes, set.get());
  CPU_SET_S(processor, bytes, set.get());
  if (sched_setaffinity(0, bytes, set.get()) != 0)
    throw std::system_error(errno, std::generic_category(),
                            fmt::format("cannot run on processor {}", processor));
}

std::vector<unsigned> allowed_processors()
{
  constexpr unsigned most = 8192; /* as many as a kernel can be built for */
  const size_t bytes = CPU_ALLOC_SIZE(most);
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t *)> set(
      CPU_ALLOC(most), [](cpu_set_t *old) { CPU_FREE(old); });
  CPU_ZERO_S(bytes, set.get());
  if (sched_getaffinity(0, bytes, set.get()) != 0)
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  std::vector<unsigned> numbers;
  for (unsigned i = 0; i < most; i++)
    if (CPU_ISSET_S(i, bytes, set.get()))
      numbers.push_back(i);
  return numbers;
}

} // namespace bench
