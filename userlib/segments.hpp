// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Lists of segments as the kernel sees them, and on from any byte of them.
#ifndef CMA_USERLIB_SEGMENTS_HPP
#define CMA_USERLIB_SEGMENTS_HPP

#include "sys.hpp"
#include <climits>
#include <cstddef>
#include <cstdint>

namespace cma {

struct Segments {
  const iovec *list;
  size_t count;

  // Checks a list in the kernel's order. Returns 1 if it holds a byte, 0 if not;
  // -EINVAL: too long, or a length above SSIZE_MAX; -EFAULT: not readable.
  [[nodiscard]] int check(size_t max_count) const;

  // Whether the list itself is the caller's memory; asks the kernel, as to look
  // would be a SIGSEGV.
  [[nodiscard]] bool readable() const;

  // The address of byte number position, or nullptr where there are less bytes.
  // The list must be readable.
  [[nodiscard]] void *address_of(size_t position) const;
};

// Walks a readable list in pieces that any call takes.
class Walk {
public:
  Walk() = default; // nothing; not even that it is at an end
  explicit Walk(Segments segments) : rest_(segments), offset_(0) {}

  // What is left of the first segment. There must be one.
  [[nodiscard]] iovec front() const
  {
    return {static_cast<char *>(rest_.list->iov_base) + offset_,
            rest_.list->iov_len - offset_};
  }

  // At most IOV_MAX segments and max_bytes bytes from here on.
  class Piece {
  public:
    Piece(const Walk &walk, size_t max_bytes);
    [[nodiscard]] const iovec *list() const { return list_; }
    [[nodiscard]] size_t count() const { return count_; }
    [[nodiscard]] size_t bytes() const { return bytes_; }

  private:
    iovec list_[IOV_MAX];
    size_t count_ = 0;
    size_t bytes_ = 0;
  };

  // Goes on by bytes, and past segments without any: the next piece begins with a byte
  // unless the list is at its end.
  void skip(size_t bytes);

private:
  Segments rest_;
  size_t offset_; // in the first segment of rest_
};

} // namespace cma

#endif
