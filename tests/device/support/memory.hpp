// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Memory to copy from and to. The makers run in whichever process shall own
 * the memory; an Arena fills and pictures a range of any process from
 * outside, through /proc/PID/mem, that is: by another road than the ones
 * under test, and past PROT_NONE and read-only protection.
 */
#pragma once

#include "device.hpp"

#include <cstddef>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

namespace cma_test {

inline const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
/// What the module knows as one, and x86 and arm64 with pages of 4 KB have as a huge
/// page.
constexpr size_t huge_page = 1U << 21;

enum class Kind {
  Anonymous,
  TransparentHuge,
  Hugetlb,
  SharedAnonymous,
  Memfd,
  FileShared,
  FilePrivate,
  Secret,
};
const char *name_of(Kind kind);

/// Maps memory with unmapped pages on both sides; 0 with errno if this system
/// has none of that kind. size must be a multiple of the kind's page.
uintptr_t make_memory(Kind kind, size_t size);
/// Whether this kernel knows transparent huge pages; one with PREEMPT_RT does not.
bool has_huge_pages();

/// Maps fresh zero pages over a range, whatever was there.
void renew(uintptr_t address, size_t size);
/// Leaves a hole.
void unmap(uintptr_t address, size_t size);
/// Sets the PROT_* bits of a range.
void protect(uintptr_t address, size_t size, int protection);

/// The bytes that seed stands for; never all zero on any page.
std::vector<uint8_t> pattern(size_t size, uint32_t seed);

inline iovec segment(uintptr_t address, size_t length)
{
  return {reinterpret_cast<void *>(address), length};
}

/// A range of a process's memory, seen from outside.
class Arena {
public:
  Arena(pid_t owner, uintptr_t base, size_t size);

  uintptr_t base() const { return base_; }
  uintptr_t at(size_t offset) const { return base_ + offset; }
  size_t size() const { return size_; }

  /// Writes pattern(size(), seed) wherever there is a page.
  void fill(uint32_t seed) const;
  void put(const std::vector<uint8_t> &bytes) const;
  /// What the range holds; a page that is not there reads as zero.
  std::vector<uint8_t> bytes() const;

private:
  Fd mem_;
  uintptr_t base_;
  size_t size_;
};

} // namespace cma_test
