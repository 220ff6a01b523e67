// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See fake_device.hpp.
#include "fake_device.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#include <cma.h>

namespace xpmem {
namespace {

class FakeDevice final : public Device {
public:
  int expose(uintptr_t base, size_t length, unsigned mode, uint64_t &name) override
  {
    name = fake().next_name++;
    fake().windows[name] = {base, length, mode, CMA_ACCESS_READ | CMA_ACCESS_WRITE};
    return 0;
  }

  int end(uint64_t name) override { return fake().windows.erase(name) ? 0 : -ENOENT; }

  int open(uint64_t name, unsigned access) override
  {
    const auto window = fake().windows.find(name);
    if (window == fake().windows.end())
      return -ENOENT;
    if ((access & ~window->second.allowed) != 0 || window->second.allowed == 0)
      return -EACCES;
    fake().handles[fake().next_handle] = {name, access};
    return fake().next_handle++;
  }

  int close(int handle) override { return fake().handles.erase(handle) ? 0 : -ENOENT; }

  int map(int handle, uint64_t offset, size_t length, unsigned, uintptr_t where,
          Range &mapping) override
  {
    const auto window = fake().windows.find(fake().handles.at(handle).name);
    if (window == fake().windows.end())
      return -EIDRM;
    if (offset + length > window->second.length)
      return -ENXIO;
    void *place = mmap(
        reinterpret_cast<void *>(where), length, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | (where != 0 ? MAP_FIXED : 0), -1, 0);
    if (place == MAP_FAILED)
      return -errno;
    mapping.begin = reinterpret_cast<uintptr_t>(place);
    mapping.end = mapping.begin + length;
    fake().forget(mapping);
    fake().mapped.push_back(mapping);
    return 0;
  }

  int show(unsigned how, Range pages) override
  {
    for (Range part : fake().mapped) {
      if (part.begin > pages.begin || part.end < pages.end)
        continue;
      const auto protect = [](Range range, int rights) {
        return mprotect(reinterpret_cast<void *>(range.begin), range.end - range.begin,
                        rights) == 0;
      };
      if (how != CMA_HIDE_PAGES && fake().showing != 0)
        return fake().showing;
      if (how != CMA_HIDE_PAGES)
        fake().most_shown = std::max(fake().most_shown, pages.end - pages.begin);
      if (how == CMA_SHOW_ONLY)
        protect(part, PROT_NONE);
      return protect(pages, how == CMA_HIDE_PAGES ? PROT_NONE : PROT_READ | PROT_WRITE)
                 ? 0
                 : -EFAULT;
    }
    return -EFAULT;
  }

  std::vector<Range> still_mapped(Range mapping) override
  {
    std::vector<Range> found;
    for (Range part : fake().mapped)
      if (part.meets(mapping))
        found.push_back(
            {std::max(part.begin, mapping.begin), std::min(part.end, mapping.end)});
    return found;
  }
};

} // namespace

void Fake::unmap(Range range)
{
  munmap(reinterpret_cast<void *>(range.begin), range.end - range.begin);
  forget(range);
}

void Fake::forget(Range range)
{
  std::vector<Range> rest;
  for (Range part : std::exchange(mapped, {}))
    for (Range left : {Range{part.begin, std::min(part.end, range.begin)},
                       Range{std::max(part.begin, range.end), part.end}})
      if (left.begin < left.end)
        mapped.push_back(left);
}

Fake &fake()
{
  static Fake only;
  return only;
}

int open_device(std::unique_ptr<Device> &device)
{
  fake().opened++;
  if (fake().opening == 0)
    device = std::make_unique<FakeDevice>();
  return fake().opening;
}

} // namespace xpmem
