// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_memory.hpp.
#include "bench_memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <system_error>

#include <fmt/core.h>
#include <sys/mman.h>

namespace bench {

namespace {

constexpr size_t huge_page = 2 << 20;

void fill(char *memory, size_t length)
{
  std::mt19937_64 random(1);
  for (size_t done = 0; done < length; done += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(memory + done, &word, std::min(sizeof(word), length - done));
  }
}

} // namespace

char *make_memory(size_t length, Pages pages, const Home &home)
{
  void *space = mmap(nullptr, length + huge_page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (space == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "no memory to copy");
  auto *memory = static_cast<char *>(space);
  memory += huge_page - reinterpret_cast<uintptr_t>(space) % huge_page;
  /* A kernel without huge pages knows neither advice. */
  if (pages != Pages::as_usual &&
      madvise(memory, length, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) !=
          0 &&
      pages == Pages::huge)
    throw std::system_error(errno, std::generic_category(), "no transparent huge pages");
  if (home.node)
    home.topology->bind(memory, length, *home.node);
  fill(memory, length);
  if (home.node && !home.topology->lies_at(memory, length, *home.node))
    throw std::runtime_error(
        fmt::format("memory that was bound to node {} does not lie there", *home.node));
  return memory;
}

} // namespace bench
