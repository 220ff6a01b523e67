// SPDX-License-Identifier: MIT OR BSD-2-Clause
// A C++ program outside of the tree: reads its own memory through libcma.
#include <cma.hpp>
#include <cstdio>
#include <unistd.h>
#include <vector>

int main()
{
  const std::vector<int> sent = {1, 2, 3};
  std::vector<int> received(sent.size());
  cma::Context context;
  context.load_into(cma::pid(getpid()), received,
                    reinterpret_cast<std::uintptr_t>(sent.data()));
  std::printf("libcma %s: %zu numbers\n", cma_version(), received.size());
  return sent == received ? 0 : 1;
}
