// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The other process of a self-test: a child that holds memory at the same addresses
 * as its parent, but memory of its own, fills it and checks it on demand.
 *
 * Contents are patterns: the byte at an offset is pattern(seed, offset), so that a
 * byte that stands in the wrong place is a wrong byte.
 */
#ifndef CMA_TOOLS_SELFTEST_PEER_HPP
#define CMA_TOOLS_SELFTEST_PEER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>

#include <sys/types.h>
#include <unistd.h>

inline const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

inline char pattern(uint64_t seed, size_t offset)
{
  return static_cast<char>((offset * 0x9e3779b97f4a7c15 + seed * 0xff51afd7ed558ccd) >>
                           56);
}

void fill(char *arena, size_t begin, size_t end, uint64_t seed);

/** The first offset that differs from the pattern. */
std::optional<size_t> find_difference(const char *arena, size_t begin, size_t end,
                                      uint64_t seed);

class Peer {
public:
  static constexpr size_t size = 9 << 20;
  /** Pages of the peer that are not ordinary memory, from the arena's end on. */
  enum Special { hole = 0, no_access = 2, read_only = 4, last = 5 };

  Peer();
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;
  ~Peer();

  pid_t pid() const { return child; }

  /** The peer's memory begins at this address: size bytes, then the special pages,
   *  each with an ordinary page behind it. Here, it is this process's own memory. */
  char *arena() const { return memory; }

  /** Address of a special page, which is one of the peer only. */
  char *special(Special page) const;

  /** Have the peer fill [begin, end) of its arena. */
  void fill(size_t begin, size_t end, uint64_t seed);

  /** Have the peer compare [begin, end) of its arena. */
  std::optional<size_t> find_difference(size_t begin, size_t end, uint64_t seed);

private:
  struct Order {
    enum { fill, compare } what;
    size_t begin, end;
    uint64_t seed;
  };

  [[noreturn]] void serve(int socket);
  size_t ask(const Order &order);

  char *memory;
  int socket = -1;
  pid_t child = -1;
};

#endif
