// SPDX-License-Identifier: MIT OR BSD-2-Clause
// The kernel's files for it; see fault.hpp and the kernel's fault-injection.rst.
#include "fault.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>

namespace cma_test {
namespace {

[[noreturn]] void fail(const std::string &what)
{
  throw std::system_error(errno, std::generic_category(), what);
}

Fd open_file(const std::string &path)
{
  Fd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file)
    fail(path);
  return file;
}

void put(const Fd &file, const std::string &value)
{
  if (write(file.get(), value.data(), value.size()) < 0)
    fail(value);
}

} // namespace

Fault::Fault()
    : fail_nth_(open_file("/proc/thread-self/fail-nth")),
      make_it_fail_(open_file("/proc/thread-self/make-it-fail"))
{
  for (const char *injector : {"failslab", "fail_page_alloc"}) {
    const auto set = [injector](const char *name, const char *value) {
      put(open_file(std::string("/sys/kernel/debug/") + injector + "/" + name), value);
    };
    set("ignore-gfp-wait", "N"); // GFP_KERNEL is what there is to test
    set("verbose", "0");         // its stack dumps would pass for faults
    set("task-filter", "Y");     // exhaust() means this thread
    set("times", "-1");
    set("probability", "100");
  }
  put(open_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem"), "N");
  put(open_file("/sys/kernel/debug/fail_page_alloc/min-order"), "0");
}

// Neither these writes nor the read allocate: they can be made while everything fails.

void Fault::arm(unsigned n) const
{
  put(fail_nth_, std::to_string(n));
}

void Fault::exhaust() const
{
  put(make_it_fail_, "1");
}

bool Fault::disarm() const
{
  put(make_it_fail_, "0");
  std::array<char, 16> left{}; // of the count, which ends at 0
  if (pread(fail_nth_.get(), left.data(), left.size() - 1, 0) <= 0)
    fail("fail-nth");
  put(fail_nth_, "0");
  return strtoul(left.data(), nullptr, 10) == 0;
}

} // namespace cma_test
