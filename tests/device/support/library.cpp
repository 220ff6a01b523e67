// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "library.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace cma_test {

Context open_context(unsigned flags)
{
  cma_context *context = nullptr;
  EXPECT_EQ(cma_open(&context, flags), 0);
  return Context(context);
}

bool make_known(const Context &context, pid_t pid, uintptr_t memory)
{
  std::vector<char> sink(1 << 20);
  return cma_read(context.get(), cma_pid(pid), sink.data(), memory, sink.size()) > 0;
}

} // namespace cma_test
