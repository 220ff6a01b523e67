// SPDX-License-Identifier: MIT OR BSD-2-Clause
/**
 * @file peer.hpp
 * The demo's other process: a program of its own, which shares no memory with the
 * one that starts it. It owns a buffer, tells where it is, and fills or sums it up
 * on request; whatever else happens to the buffer was done from outside.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/types.h>
#include <sys/uio.h>
#include <vector>

namespace demo {

/** Equal segments at equal distances. */
struct Layout {
  std::uint64_t count = 1;
  std::uint64_t length;     ///< bytes of each
  std::uint64_t stride = 0; ///< bytes from the begin of one to the begin of the next

  [[nodiscard]] std::uint64_t bytes() const { return count * length; }
  /** The segments, the first of them at base. */
  [[nodiscard]] std::vector<iovec> at(std::uint64_t base) const;
};

/** Every process's buffer in this demo holds this much. */
constexpr std::size_t kBufferBytes = 4 << 20;

/** Writes a sequence that depends on seed all over the buffer. */
void fill(std::span<std::byte> buffer, std::uint64_t seed);

/** FNV-1a over the segments' bytes, in order. */
std::uint64_t checksum(const std::vector<iovec> &segments);

/**
 * Starts the other process and speaks with it over a socket. Move it nowhere: the
 * process ends with this object. Failures end the demo with a message.
 */
class Peer {
public:
  Peer();
  ~Peer();
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /** Where its buffer is, in its own memory. */
  [[nodiscard]] std::uint64_t buffer() const { return buffer_; }
  /** Has it fill its buffer. */
  void fill(std::uint64_t seed) const;
  /** The checksum as the peer itself sees its buffer. */
  [[nodiscard]] std::uint64_t checksum(const Layout &layout) const;

  /** The other process's own main(). */
  static int main();

private:
  int socket_;
  pid_t pid_;
  std::uint64_t buffer_;
};

} // namespace demo
