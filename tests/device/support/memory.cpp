// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Memory of every kind; see memory.hpp.
#include "memory.hpp"

#include "huge.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

namespace cma_test {
namespace {

void *to_pointer(uintptr_t address)
{
  return reinterpret_cast<void *>(address);
}

[[noreturn]] void fail(const char *what)
{
  throw std::system_error(errno, std::generic_category(), what);
}

/// Asks for more huge pages where too few are free; what is missing shows in mmap().
void reserve_huge_pages(size_t count)
{
  const std::string pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  const auto number = [&](const char *name) {
    long value = 0;
    std::ifstream(pool + name) >> value;
    return value;
  };
  const long unused = number("free_hugepages") - number("resv_hugepages");
  const long now = number("nr_hugepages");
  if (unused < static_cast<long>(count))
    std::ofstream(pool + "nr_hugepages") << now + static_cast<long>(count);
}

Fd file_of(Kind kind, size_t size)
{
  int fd = -1;
  if (kind == Kind::Secret)
    fd = static_cast<int>(syscall(SYS_memfd_secret, O_CLOEXEC));
  else if (kind == Kind::Memfd)
    fd = memfd_create("cma-test", MFD_CLOEXEC);
  else
    fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  Fd file(fd);
  if (file && ftruncate(file.get(), static_cast<off_t>(size)) < 0)
    file.reset();
  return file;
}

int flags_of(Kind kind)
{
  switch (kind) {
  case Kind::Anonymous:
  case Kind::TransparentHuge:
    return MAP_PRIVATE | MAP_ANONYMOUS;
  case Kind::Hugetlb:
    return MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT;
  case Kind::SharedAnonymous:
    return MAP_SHARED | MAP_ANONYMOUS;
  case Kind::FilePrivate:
    return MAP_PRIVATE;
  default:
    return MAP_SHARED;
  }
}

/// An address range on such a boundary with nothing mapped around it.
uintptr_t free_range(size_t size, size_t boundary)
{
  const size_t total = size + 4 * boundary;
  void *space =
      mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED)
    fail("address space");
  munmap(space, total);
  const auto start = reinterpret_cast<uintptr_t>(space) + 2 * boundary;
  return start / boundary * boundary;
}

/// One call on /proc/PID/mem after the other, skipping pages that refuse.
template<class Transfer>
void each_piece(size_t size, const Transfer &transfer)
{
  for (size_t done = 0; done < size;) {
    const ssize_t moved = transfer(done);
    done += moved > 0 ? static_cast<size_t>(moved) : page - done % page;
  }
}

} // namespace

const char *name_of(Kind kind)
{
  switch (kind) {
  case Kind::Anonymous:
    return "Anonymous";
  case Kind::TransparentHuge:
    return "TransparentHuge";
  case Kind::Hugetlb:
    return "Hugetlb";
  case Kind::SharedAnonymous:
    return "SharedAnonymous";
  case Kind::Memfd:
    return "Memfd";
  case Kind::FileShared:
    return "FileShared";
  case Kind::FilePrivate:
    return "FilePrivate";
  case Kind::Secret:
    return "Secret";
  }
  return "?";
}

uintptr_t make_memory(Kind kind, size_t size)
{
  Fd file;
  const int flags = flags_of(kind);
  if ((flags & MAP_ANONYMOUS) == 0) {
    file = file_of(kind, size);
    if (!file)
      return 0;
  }
  if (kind == Kind::Hugetlb)
    reserve_huge_pages(size / huge_page);
  size_t boundary = huge_page;
  if (kind == Kind::TransparentHuge)
    boundary = std::max(boundary, size_of_huge_pages());
  void *memory = mmap(to_pointer(free_range(size, boundary)), size,
                      PROT_READ | PROT_WRITE, flags | MAP_FIXED, file.get(), 0);
  if (memory == MAP_FAILED)
    return 0;
  if (kind == Kind::TransparentHuge && madvise(memory, size, MADV_HUGEPAGE) < 0)
    return 0;
  return reinterpret_cast<uintptr_t>(memory);
}

bool has_huge_pages()
{
  return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
}

void renew(uintptr_t address, size_t size)
{
  if (mmap(to_pointer(address), size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    fail("mmap");
}

void unmap(uintptr_t address, size_t size)
{
  if (munmap(to_pointer(address), size) < 0)
    fail("munmap");
}

void protect(uintptr_t address, size_t size, int protection)
{
  if (mprotect(to_pointer(address), size, protection) < 0)
    fail("mprotect");
}

std::vector<uint8_t> pattern(size_t size, uint32_t seed)
{
  std::vector<uint8_t> bytes(size);
  uint32_t state = seed * 2654435761U + 1;
  std::ranges::generate(bytes, [&state] {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return static_cast<uint8_t>(state >> 11);
  });
  return bytes;
}

Arena::Arena(pid_t owner, uintptr_t base, size_t size) : base_(base), size_(size)
{
  const std::string path = "/proc/" + std::to_string(owner) + "/mem";
  mem_.reset(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!mem_)
    fail(path.c_str());
}

void Arena::fill(uint32_t seed) const
{
  put(pattern(size_, seed));
}

void Arena::put(const std::vector<uint8_t> &bytes) const
{
  each_piece(size_, [&](size_t done) {
    return pwrite(mem_.get(), bytes.data() + done, size_ - done,
                  static_cast<off_t>(base_ + done));
  });
}

std::vector<uint8_t> Arena::bytes() const
{
  std::vector<uint8_t> bytes(size_);
  each_piece(size_, [&](size_t done) {
    return pread(mem_.get(), bytes.data() + done, size_ - done,
                 static_cast<off_t>(base_ + done));
  });
  return bytes;
}

} // namespace cma_test
