// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The memory that the benchmark copies: whose it is, which pages it lies on,
// and a way to fill and read it that is none of the mechanisms measured.
//
// A Buffer never moves: its addresses are handed to other processes.
// A layout is proven from /proc/PID/pagemap, not hoped for: the cost of a copy
// depends on it, and an allocator may always decide otherwise.

#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace bench {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2UL << 20;

/// Bytes in a buffer: the largest copy.
constexpr std::size_t kBufferBytes = 4UL << 20;

enum class Pages {
  kScattered, ///< 4 KiB pages, neighbours in the address space are none in memory
  kHuge,      ///< transparent huge pages of 2 MiB
};

/// @return "4k" or "thp"
const char *name(Pages pages);

/// @return a size in words, as "64 KiB"
std::string words(std::size_t bytes);

/// Memory of some process; the address is not to be followed here.
struct Place {
  pid_t pid;
  std::byte *address;
  std::uint64_t window = 0; ///< over all of pid's memory; 0: there is none
};

/// A piece of the calling process's own memory, touched and resident.
/// A child does not inherit it: copy on write would lay it out anew.
class Buffer {
public:
  explicit Buffer(Pages pages, std::size_t bytes = kBufferBytes);
  ~Buffer();
  Buffer(const Buffer &) = delete;
  Buffer(Buffer &&) = delete;
  Buffer &operator=(const Buffer &) = delete;
  Buffer &operator=(Buffer &&) = delete;

  [[nodiscard]] std::byte *address() const { return address_; }

private:
  std::size_t reserved_bytes_;
  std::byte *reserved_;
  std::byte *address_;
};

/// @throws std::runtime_error if the kBufferBytes at @p place are not laid out as
///         @p pages says, or that cannot be told (it takes root)
void prove_layout(const Place &place, Pages pages);

/// What a peer has.
struct Belongings {
  std::size_t bytes = kBufferBytes; ///< in each Buffer
  bool huge = true;                 ///< a Buffer of huge pages, too
  bool window = false;              ///< a window over all of its memory
};

/// What a peer does once it owns its memory, scattered pages of which begin at
/// the address given; it is killed in the midst of it.
using Life = std::function<void(std::byte *)>;

/// Nothing at all: blocked in pause(2).
void sleep_forever(std::byte *memory);

/// A process that owns a Buffer of each layout. When the constructor returns it
/// has told of them and its life has begun, up to where it first sleeps or stops.
class Peer {
public:
  explicit Peer(const Belongings &belongings = {}, const Life &life = sleep_forever);
  ~Peer();
  Peer(const Peer &) = delete;
  Peer(Peer &&) = delete;
  Peer &operator=(const Peer &) = delete;
  Peer &operator=(Peer &&) = delete;

  [[nodiscard]] Place place(Pages pages) const;

private:
  /// What the process tells of itself.
  struct Inventory {
    std::byte *scattered;
    std::byte *huge;
    std::uint64_t window;
  };

  [[noreturn]] static void live(int report, const Belongings &belongings,
                                const Life &life);

  pid_t pid_;
  Inventory inventory_{};
};

/// Writes and reads any process's memory through /proc/PID/mem.
class Inspector {
public:
  explicit Inspector(pid_t pid);
  ~Inspector();
  Inspector(const Inspector &) = delete;
  Inspector(Inspector &&) = delete;
  Inspector &operator=(const Inspector &) = delete;
  Inspector &operator=(Inspector &&) = delete;

  /// Puts @p bytes into @p segments, in their order.
  void put(std::span<const iovec> segments, std::span<const std::byte> bytes) const;

  /// @return what @p segments hold, in their order
  [[nodiscard]] std::vector<std::byte> get(std::span<const iovec> segments) const;

private:
  int fd_;
};

} // namespace bench
