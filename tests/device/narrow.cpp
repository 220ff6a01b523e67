// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The 32-bit program of narrow_test.cpp.
 *
 *  version                     does nothing: can such a program run?
 *  serve                       prints the address of some memory and sleeps
 *  compare PID LOW SIZE HIGH   asks the device and the system call the same
 *                              of SIZE bytes at LOW in PID, and what only the
 *                              device can of HIGH, beyond 32 bits; prints what
 *                              differs, and exits with 1 if anything did
 */
#include "uapi/cma.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

static_assert(sizeof(void *) == 4, "to be compiled with -m32");
static_assert(sizeof(cma_ioc_info) == 88 && sizeof(cma_ioc_copy) == 72);
static_assert(sizeof(cma_ioc_open) == 40 && sizeof(cma_ioc_close) == 8);
static_assert(sizeof(cma_iovec) == 16 && alignof(cma_iovec) >= 4);

namespace {

/// A segment as both ways of asking can have it.
struct Segment {
  uint32_t base;
  uint32_t length;
};
using Segments = std::vector<Segment>;

struct Answer {
  int64_t result;
  int error;

  bool operator==(const Answer &) const = default;
};

class Comparison {
public:
  Comparison(pid_t pid, uint32_t low, uint32_t size)
      : device_(open("/dev/cma", O_RDWR)), pid_(pid), low_(low), size_(size), local_(size)
  {
    if (device_ < 0) {
      perror("/dev/cma");
      exit(3);
    }
    cma_ioc_open request{};
    request.size = sizeof(request);
    request.peer_type = CMA_PEER_PID;
    request.peer = pid;
    if (ioctl(device_, CMA_IOC_OPEN, &request) < 0) {
      perror("CMA_IOC_OPEN");
      exit(3);
    }
    handle_ = request.handle;
  }

  bool all_same() const { return same_; }

  void requests()
  {
    const uint32_t here = address(local_.data());
    for (const uint32_t length :
         {0U, 1U, 4095U, 4097U, 12288U, 16384U, 20000U, 0x7fffffffU, 0x80000000U,
          0x80000001U, 0xfffff000U, 0xffffffffU})
      for (const bool write : {false, true}) {
        const uint32_t fits = std::min(length, size_);
        compare("length of the remote", write, {{here, size_}}, {{low_, length}});
        compare("length of both", write, {{here, fits}}, {{low_, length}});
        compare("length of the local", write, {{here, length}}, {{low_, 16}});
        compare("second length", write, {{here, 64}, {here, length}}, {{low_, 32}});
        compare("sum of lengths", write, {{here, 64}},
                {{low_, 8}, {low_, length}, {low_, length}});
        compare("sum of local lengths", write,
                {{here, 8}, {here, length}, {here, length}}, {{low_, 64}});
      }
    for (const uint32_t base : {0U, 1U, 0x7ffff000U, 0xc0000000U, 0xffffc000U,
                                0xffffe000U, 0xfffff000U, 0xffffffffU})
      for (const bool write : {false, true}) {
        compare("address of the remote", write, {{here, 64}}, {{base, 64}});
        compare("address that wraps", write, {{here, 64}}, {{base, 0x7000}});
        compare("address of the local", write, {{base, 64}}, {{low_, 64}});
        compare("second address", write, {{here, 64}}, {{low_, 32}, {base, 64}});
      }
    for (const size_t count : {0U, 2U, 9U, 1024U, 1025U}) {
      const Segments many(count, {low_, 4});
      const Segments mine(count, {here, 4});
      compare("many", false, mine, many);
      compare("many", true, mine, many);
    }
  }

  /// What a 32-bit system call cannot even say.
  void wide_requests(uint64_t high)
  {
    std::array<uint8_t, 4> byte{};
    const cma_iovec mine = {address(byte.data()), 1};
    expect("beyond 4 GiB in the peer", by_device(false, {mine}, {{high, 1}}, true),
           {1, 0});
    if (byte[0] != 99)
      differs("beyond 4 GiB in the peer: the byte");
    const Answer too_long = {-1, EINVAL};
    for (const uint64_t length : {0x80000000ULL, 0x100000001ULL, ~0ULL}) {
      expect("a length above the caller's SSIZE_MAX",
             by_device(false, {mine}, {{high, length}}, true), too_long);
      expect("such a local length",
             by_device(false, {{address(byte.data()), length}}, {{high, 1}}, true),
             too_long);
    }
    expect("beyond 4 GiB in the caller",
           by_device(false, {{1ULL << 32, 1}}, {{high, 1}}, true), {-1, EFAULT});
  }

private:
  static uint32_t address(const void *pointer)
  {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
  }

  void differs(const char *what)
  {
    printf("%s\n", what);
    same_ = false;
  }
  void expect(const char *what, const Answer &seen, const Answer &expected)
  {
    if (seen == expected)
      return;
    printf("%s: result %lld, errno %d; expected %lld, %d\n", what,
           static_cast<long long>(seen.result), seen.error,
           static_cast<long long>(expected.result), expected.error);
    same_ = false;
  }

  Answer by_syscall(bool write, const Segments &local, const Segments &remote) const
  {
    const auto narrow = [](const Segments &segments) {
      std::vector<iovec> list;
      for (const Segment &segment : segments)
        list.push_back({reinterpret_cast<void *>(segment.base), segment.length});
      return list;
    };
    const auto here = narrow(local);
    const auto there = narrow(remote);
    const auto call = write ? process_vm_writev : process_vm_readv;
    const ssize_t moved =
        call(pid_, here.data(), here.size(), there.data(), there.size(), 0);
    return {moved, moved < 0 ? errno : 0};
  }
  Answer by_device(bool write, const std::vector<cma_iovec> &local,
                   const std::vector<cma_iovec> &remote, bool by_handle) const
  {
    cma_ioc_copy copy{};
    copy.size = sizeof(copy);
    copy.flags = write ? CMA_COPY_WRITE : 0;
    copy.peer_type = by_handle ? CMA_PEER_HANDLE : CMA_PEER_PID;
    copy.peer = by_handle ? handle_ : pid_;
    copy.local_iov = address(local.data());
    copy.remote_iov = address(remote.data());
    copy.local_cnt = local.size();
    copy.remote_cnt = remote.size();
    if (ioctl(device_, CMA_IOC_COPY, &copy) < 0)
      return {-1, errno};
    return {static_cast<int64_t>(copy.copied), 0};
  }

  void compare(const char *what, bool write, const Segments &local,
               const Segments &remote)
  {
    const auto wide = [](const Segments &segments) {
      std::vector<cma_iovec> list;
      for (const Segment &segment : segments)
        list.push_back({segment.base, segment.length});
      return list;
    };
    fill(local_, 1);
    const Answer expected = by_syscall(write, local, remote);
    const std::vector<uint8_t> bytes = local_;
    for (const bool by_handle : {false, true}) {
      fill(local_, 1);
      expect(what, by_device(write, wide(local), wide(remote), by_handle), expected);
      if (local_ != bytes)
        differs(what);
    }
  }
  static void fill(std::vector<uint8_t> &bytes, uint8_t start)
  {
    for (uint8_t &byte : bytes)
      byte = start++;
  }

  int device_;
  pid_t pid_;
  int handle_ = 0;
  uint32_t low_;
  uint32_t size_;
  std::vector<uint8_t> local_;
  bool same_ = true;
};

int compare(char **arguments)
{
  Comparison comparison(atoi(arguments[0]),
                        static_cast<uint32_t>(strtoul(arguments[1], nullptr, 0)),
                        static_cast<uint32_t>(strtoul(arguments[2], nullptr, 0)));
  comparison.requests();
  comparison.wide_requests(strtoull(arguments[3], nullptr, 0));
  return comparison.all_same() ? 0 : 1;
}

int serve()
{
  constexpr size_t size = 4 * 4096;
  auto *memory = static_cast<uint8_t *>(mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED)
    return 4;
  munmap(memory + size, size);
  memset(memory, 7, size);
  printf("%p\n", static_cast<void *>(memory));
  fflush(stdout);
  alarm(60);
  pause();
  return 0;
}

} // namespace

int main(int argc, char **argv)
{
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "version")
    return 0;
  if (what == "serve")
    return serve();
  if (what == "compare" && argc == 6)
    return compare(argv + 2);
  return 2;
}
