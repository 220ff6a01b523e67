// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What libxpmem needs of libcma and of the kernel, and nothing of XPMEM: the seam at
 * which the unit tests put a device of their own. Calls return 0 or more, or a
 * negative errno value.
 */
#ifndef CMA_SHIMS_XPMEM_DEVICE_HPP
#define CMA_SHIMS_XPMEM_DEVICE_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace xpmem {

struct Range {
  uintptr_t begin, end;

  bool holds(uintptr_t address) const { return begin <= address && address < end; }
  bool meets(Range other) const { return begin < other.end && other.begin < end; }
  bool operator==(const Range &) const = default;
};

class Device {
public:
  Device() = default;
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;
  virtual ~Device() = default;

  /** A window on memory of this process, to read and write; its name. */
  virtual int expose(uintptr_t base, size_t length, unsigned mode, uint64_t &name) = 0;
  virtual int end(uint64_t name) = 0;
  /** A handle of a window; access: CMA_ACCESS_*. */
  virtual int open(uint64_t name, unsigned access) = 0;
  virtual int close(int handle) = 0;
  /** Map a part of a handle's window; where: a fixed place, or 0. */
  virtual int map(int handle, uint64_t offset, size_t length, unsigned access,
                  uintptr_t where, Range &mapping) = 0;
  /** Which pages of a mapping can be touched; how: CMA_SHOW_* or CMA_HIDE_PAGES.
   *  -EFAULT if it is not whole any more. */
  virtual int show(unsigned how, Range pages) = 0;
  /** Those parts of a range, which map() once returned, that are still mapped by it.
   *  A program may have unmapped some, and something else may be there. */
  virtual std::vector<Range> still_mapped(Range mapping) = 0;
};

/** 0, or a negative errno value. The unit tests have another one. */
int open_device(std::unique_ptr<Device> &device);

} // namespace xpmem

#endif
