// SPDX-License-Identifier: MIT OR BSD-2-Clause
// What the test binary does in the place of a test's other program; see helper.hpp.
#include "helper.hpp"
#include "twin.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <unistd.h>

namespace cma_test {
namespace {

/// use-fd FD TYPE PEER ADDRESS: reads a word through an inherited device file and exits
/// with the word's low byte, or with 200 + min(errno, 55). It judges nothing itself.
int use_fd(char **argv)
{
  const Device device{Fd(atoi(argv[1]))};
  uint64_t word = 0;
  const iovec local = {&word, sizeof(word)};
  const iovec remote = segment(strtoull(argv[4], nullptr, 0), sizeof(word));
  auto request = sized<cma_ioc_copy>();
  request.peer_type = static_cast<uint32_t>(atoi(argv[2]));
  request.peer = atoi(argv[3]);
  request.local_iov = reinterpret_cast<uintptr_t>(&local);
  request.remote_iov = reinterpret_cast<uintptr_t>(&remote);
  request.local_cnt = request.remote_cnt = 1;
  const Outcome outcome = device.copy(request);
  if (outcome.error != 0)
    return 200 + std::min(outcome.error, 55);
  return static_cast<int>(word & 0x7f);
}

/// sleep: does nothing, in an address space of its own.
int sleep_long()
{
  alarm(60);
  pause();
  return 0;
}

} // namespace

int helper_main(int argc, char **argv)
{
  const std::string_view name = argv[0];
  if (name == "use-fd" && argc == 5)
    return use_fd(argv);
  if (name == "sleep")
    return sleep_long();
  if (name == "unload-among-exits" && argc == 2)
    return unload_among_exits(std::chrono::milliseconds(atoi(argv[1])));
  return 2;
}

unsigned long from_environment(const char *name, unsigned long otherwise)
{
  const char *value = getenv(name);
  return value != nullptr ? strtoul(value, nullptr, 0) : otherwise;
}

std::string own_path()
{
  return std::filesystem::read_symlink("/proc/self/exe");
}

std::string beside(const char *program)
{
  return std::filesystem::path(own_path()).replace_filename(program);
}

} // namespace cma_test
