// SPDX-License-Identifier: MIT OR BSD-2-Clause
// What a kernel tells of its huge pages; see huge.hpp.
#include "huge.hpp"

#include <fstream>
#include <string>

namespace cma_test {

size_t size_of_huge_pages()
{
  size_t size = 0;
  std::ifstream("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") >> size;
  return size;
}

bool was_given_huge_pages(pid_t pid)
{
  std::ifstream rollup("/proc/" + std::to_string(pid) + "/smaps_rollup");
  size_t kib = 0;
  for (std::string word; rollup >> word;)
    if (word == "AnonHugePages:" && rollup >> kib)
      return kib > 0;
  return false;
}

} // namespace cma_test
