// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What the tests of libxpmem share: memory that two processes agree on, calls in the
 * few words that most tests need, and touching memory that may not be there.
 */
#pragma once

#include <peer.hpp>
#include <xpmem.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cma_test {

inline const auto page = static_cast<size_t>(getpagesize());

/// The signal by which a closure's access to memory ended, or 0.
int signal_of(const std::function<void()> &access);

inline int reading(const char *address)
{
  return signal_of([=] { (void)*static_cast<const volatile char *>(address); });
}
inline int writing(char *address)
{
  return signal_of([=] { *static_cast<volatile char *>(address) = 'w'; });
}

/// Private memory of so many pages; a process forked later has it at this address.
char *make_memory(size_t pages);
/// Fills pages with what tells each of them, and who, apart.
void fill(char *memory, size_t pages, int who);
/// The first page that is not filled so, or the number of pages.
size_t filled(const char *memory, size_t pages, int who);

inline xpmem_segid_t share(const void *memory, size_t pages, uintptr_t mode = 0600)
{
  return xpmem_make(const_cast<void *>(memory), pages * page, XPMEM_PERMIT_MODE,
                    reinterpret_cast<void *>(mode));
}
inline xpmem_segid_t share_all(uintptr_t mode = 0600)
{
  return xpmem_make(nullptr, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE,
                    reinterpret_cast<void *>(mode));
}
inline xpmem_apid_t get(xpmem_segid_t segment, int flags = XPMEM_RDWR)
{
  return xpmem_get(segment, flags, XPMEM_PERMIT_MODE, nullptr);
}
inline char *attach(xpmem_apid_t permit, size_t pages, size_t first = 0,
                    void *where = nullptr)
{
  return static_cast<char *>(
      xpmem_attach({permit, static_cast<off_t>(first * page)}, pages * page, where));
}
/// By an address in a segment of all memory; aligned down to its page.
inline char *attach_at(xpmem_apid_t permit, const void *address, size_t pages = 1)
{
  return attach(permit, pages, reinterpret_cast<uintptr_t>(address) / page);
}

inline char *const failed = static_cast<char *>(MAP_FAILED);

} // namespace cma_test
