// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See device.hpp: the device as it is, by libcma.
#include "device.hpp"

#include <cerrno>

#include <sys/mman.h>

#include <cma.h>

#include "mappings.hpp"

namespace xpmem {
namespace {

constexpr uint64_t needed = CMA_CAN_WINDOW | CMA_CAN_MAP | CMA_CAN_SHOW;

class CmaDevice final : public Device {
public:
  ~CmaDevice() override { cma_close(context); }

  int start()
  {
    const int error = cma_open(&context, CMA_OPEN_DEVICE);
    if (error != 0)
      return error;
    cma_limits limits = {};
    limits.size = sizeof(limits);
    cma_query(context, &limits);
    return (limits.features & needed) == needed ? 0 : -EOPNOTSUPP;
  }

  int expose(uintptr_t base, size_t length, unsigned mode, uint64_t &name) override
  {
    return cma_window_create(context, reinterpret_cast<void *>(base), length,
                             CMA_ACCESS_READ | CMA_ACCESS_WRITE, mode, &name);
  }

  int end(uint64_t name) override { return cma_window_destroy(context, name); }

  int open(uint64_t name, unsigned access) override
  {
    return cma_window_open(context, name, access);
  }

  int close(int handle) override { return cma_handle_close(context, handle); }

  int map(int handle, uint64_t offset, size_t length, unsigned access, uintptr_t where,
          Range &mapping) override;

  int show(unsigned how, Range pages) override
  {
    return cma_show(context, how, reinterpret_cast<void *>(pages.begin),
                    pages.end - pages.begin);
  }

  std::vector<Range> still_mapped(Range mapping) override
  {
    return mappings_of_device(mapping);
  }

private:
  cma_context *context = nullptr;
};

int CmaDevice::map(int handle, uint64_t offset, size_t length, unsigned access,
                   uintptr_t where, Range &mapping)
{
  const bool write = (access & CMA_ACCESS_WRITE) != 0;
  auto *address = reinterpret_cast<void *>(where);
  const int error =
      cma_map(context, handle, offset, length, write ? PROT_READ | PROT_WRITE : PROT_READ,
              where != 0 ? CMA_MAP_FIXED : 0, &address);
  mapping.begin = reinterpret_cast<uintptr_t>(address);
  mapping.end = mapping.begin + length;
  return error;
}

} // namespace

int open_device(std::unique_ptr<Device> &device)
{
  auto made = std::make_unique<CmaDevice>();
  const int error = made->start();
  if (error == 0)
    device = std::move(made);
  return error;
}

} // namespace xpmem
