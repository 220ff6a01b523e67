// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * One of the processes: its memory, at the same addresses in each of them, its
 * open file of the device, its handles and mappings; and how it takes steps.
 */
#pragma once

#include "../device/support/device.hpp"
#include "input.hpp"

namespace cma_fuzz {

class Actor {
public:
  /// For the calling process.
  explicit Actor(unsigned number);
  void take(const Step &step);

private:
  struct View {
    uintptr_t base = 0;
    size_t pages = 0;
    uintptr_t shows = 0; ///< address in the peer
    unsigned peer = 0;
    bool intact = false; ///< as it was made: neither moved nor unmapped in part
  };
  struct Handle {
    int32_t number = 0;
    unsigned peer = 0;
    bool whole = false; ///< of all memory, at its addresses
  };

  void open(const Step &step);
  void expose(const Step &step);
  void copy(const Step &step, bool write);
  void garbage(const Step &step);
  void map(const Step &step);
  void show(const Step &step);
  void load(const Step &step);
  void store(const Step &step);
  void kernel(const Step &step);
  void renew(const Step &step);
  void advise(const Step &step);
  void fork_child(const Step &step);
  void pressure(const Step &step);
  void reduce(const Step &step);
  void change_view(const Step &step);
  void judge(unsigned peer, uintptr_t address, int seen) const;

  View &view(const Step &step) { return views_.at(step.number[0] % views_.size()); }
  uintptr_t own(uint8_t page) const;

  unsigned number_;
  uint8_t generation_ = 1;
  cma_test::Device device_;
  std::array<Handle, 4> handles_;
  std::array<View, 4> views_;
};

} // namespace cma_fuzz
