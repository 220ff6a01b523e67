// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Laying memory out, proving that it lies so, and a peer to own it.

#include "memory.hpp"

#include "device.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iostream>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bench {
namespace {

constexpr std::size_t kBufferPages = kBufferBytes / kPage;

[[noreturn]] void fail(const std::string &what)
{
  throw std::system_error(errno, std::generic_category(), what);
}

/// Touches the pages in a fixed random order, so that the allocator's own
/// order does not lay neighbours side by side.
void touch_shuffled(std::byte *address, std::size_t bytes)
{
  std::vector<std::size_t> order(bytes / kPage);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  for (const auto page : order)
    static_cast<volatile std::byte &>(address[page * kPage]) = std::byte{1};
}

/// Waits until the process sleeps or is stopped: what it still runs would be
/// counted.
void await_sleep(pid_t pid)
{
  const auto path = "/proc/" + std::to_string(pid) + "/stat";
  for (;;) {
    std::string ignored;
    char state = '?';
    std::ifstream(path) >> ignored >> ignored >> state; // pid (comm) state
    if (state == 'S' || state == 'T')
      return;
    if (state == '?' || state == 'Z')
      throw std::runtime_error("the peer died");
    usleep(1000);
  }
}

/// @return the physical page numbers behind @p place
std::vector<std::uint64_t> frames(const Place &place)
{
  const auto path = "/proc/" + std::to_string(place.pid) + "/pagemap";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    fail(path);
  std::vector<std::uint64_t> entries(kBufferPages);
  const auto bytes = entries.size() * sizeof entries[0];
  const auto offset =
      reinterpret_cast<std::uintptr_t>(place.address) / kPage * sizeof entries[0];
  const bool whole = pread(fd, entries.data(), bytes, static_cast<off_t>(offset)) ==
                     static_cast<ssize_t>(bytes);
  close(fd);
  if (!whole)
    fail(path);
  for (auto &entry : entries)
    entry &= (1UL << 55) - 1; // Documentation/admin-guide/mm/pagemap.rst
  if (std::ranges::count(entries, 0U) != 0)
    throw std::runtime_error(path + ": no page numbers: not resident, or not root");
  return entries;
}

} // namespace

const char *name(Pages pages)
{
  return pages == Pages::kHuge ? "thp" : "4k";
}

std::string words(std::size_t bytes)
{
  if (bytes >= 1UL << 20)
    return std::to_string(bytes >> 20) + " MiB";
  if (bytes >= 1UL << 10)
    return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes) + " B";
}

Buffer::Buffer(Pages pages, std::size_t bytes) : reserved_bytes_(bytes + kHugePage)
{
  void *memory = mmap(nullptr, reserved_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    fail("mmap");
  reserved_ = static_cast<std::byte *>(memory);
  const auto past = reinterpret_cast<std::uintptr_t>(memory) % kHugePage;
  address_ = reserved_ + (kHugePage - past);
  const int advice = pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
  // A kernel without huge pages knows neither advice, and has none to avoid.
  if (madvise(address_, bytes, advice) != 0 && (errno != EINVAL || pages == Pages::kHuge))
    fail("madvise: does this kernel have transparent huge pages?");
  if (madvise(address_, bytes, MADV_DONTFORK) != 0)
    fail("madvise");
  touch_shuffled(address_, bytes);
}

Buffer::~Buffer()
{
  munmap(reserved_, reserved_bytes_);
}

void prove_layout(const Place &place, Pages pages)
{
  const auto frame = frames(place);
  std::size_t neighbours = 0;
  for (std::size_t i = 1; i < frame.size(); ++i)
    neighbours += static_cast<std::size_t>(frame[i] == frame[i - 1] + 1);

  // A huge page may or may not lie beside the next one.
  const auto huge_pages = kBufferBytes / kHugePage;
  const bool good = pages == Pages::kHuge ? neighbours >= kBufferPages - huge_pages
                                          : neighbours <= kBufferPages / 100;
  if (!good)
    throw std::runtime_error(std::string("memory is not laid out as ") + name(pages) +
                             ": " + std::to_string(neighbours) + " of " +
                             std::to_string(kBufferPages - 1) +
                             " neighbouring pages are neighbours in memory");
}

void sleep_forever(std::byte * /*memory*/)
{
  for (;;)
    pause();
}

Peer::Peer(const Belongings &belongings, const Life &life)
{
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    fail("pipe2");
  pid_ = fork();
  if (pid_ < 0)
    fail("fork");
  if (pid_ == 0)
    live(ends[1], belongings, life);
  close(ends[1]);
  const auto got = read(ends[0], &inventory_, sizeof inventory_);
  close(ends[0]);
  if (got != sizeof inventory_)
    throw std::runtime_error("the peer died");
  await_sleep(pid_);
}

void Peer::live(int report, const Belongings &belongings, const Life &life)
try {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Buffer scattered(Pages::kScattered, belongings.bytes);
  Inventory inventory{scattered.address(), nullptr, 0};
  std::optional<Buffer> huge;
  if (belongings.huge)
    inventory.huge = huge.emplace(Pages::kHuge, belongings.bytes).address();
  std::optional<Device> device;
  if (belongings.window)
    inventory.window = device.emplace().create_window();
  if (write(report, &inventory, sizeof inventory) == sizeof inventory)
    life(scattered.address());
  _exit(1);
} catch (const std::exception &error) {
  std::cerr << "peer: " << error.what() << std::endl;
  _exit(1);
}

Peer::~Peer()
{
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Place Peer::place(Pages pages) const
{
  return {pid_, pages == Pages::kHuge ? inventory_.huge : inventory_.scattered,
          inventory_.window};
}

Inspector::Inspector(pid_t pid)
{
  const auto path = "/proc/" + std::to_string(pid) + "/mem";
  fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ < 0)
    fail(path);
}

Inspector::~Inspector()
{
  close(fd_);
}

void Inspector::put(std::span<const iovec> segments,
                    std::span<const std::byte> bytes) const
{
  for (const auto &segment : segments) {
    const auto offset = reinterpret_cast<off_t>(segment.iov_base);
    if (pwrite(fd_, bytes.data(), segment.iov_len, offset) !=
        static_cast<ssize_t>(segment.iov_len))
      fail("write /proc/PID/mem");
    bytes = bytes.subspan(segment.iov_len);
  }
}

std::vector<std::byte> Inspector::get(std::span<const iovec> segments) const
{
  std::vector<std::byte> bytes;
  for (const auto &segment : segments) {
    const auto before = bytes.size();
    bytes.resize(before + segment.iov_len);
    const auto offset = reinterpret_cast<off_t>(segment.iov_base);
    if (pread(fd_, &bytes[before], segment.iov_len, offset) !=
        static_cast<ssize_t>(segment.iov_len))
      fail("read /proc/PID/mem");
  }
  return bytes;
}

} // namespace bench
