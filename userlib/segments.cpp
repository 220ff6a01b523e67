// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The kernel's checks of a list of segments, and its pieces for one system call each.
#include "segments.hpp"
#include <algorithm>

namespace cma {

int Segments::check(size_t max_count) const
{
  if (count > max_count)
    return -EINVAL;
  if (!readable())
    return -EFAULT;
  bool any = false;
  for (size_t i = 0; i < count; i++) {
    if (list[i].iov_len > SSIZE_MAX)
      return -EINVAL;
    any = any || list[i].iov_len != 0;
  }
  return any ? 1 : 0;
}

bool Segments::readable() const
{
  // A process may always read itself (ptrace(2)), and learns EFAULT so.
  char sink[4096];
  auto *from = reinterpret_cast<char *>(const_cast<iovec *>(list));
  size_t left = count * sizeof(iovec);
  while (left > 0) {
    const iovec to = {sink, std::min(left, sizeof(sink))};
    const iovec part = {from, to.iov_len};
    if (sys::process_vm(false, ::getpid(), &to, 1, &part, 1) !=
        static_cast<ssize_t>(to.iov_len))
      return false;
    from += to.iov_len;
    left -= to.iov_len;
  }
  return true;
}

void *Segments::address_of(size_t position) const
{
  for (size_t i = 0; i < count; i++) {
    if (position < list[i].iov_len)
      return static_cast<char *>(list[i].iov_base) + position;
    position -= list[i].iov_len;
  }
  return nullptr;
}

Walk::Piece::Piece(const Walk &walk, size_t max_bytes)
{
  size_t offset = walk.offset_;
  while (count_ < IOV_MAX && count_ < walk.rest_.count && bytes_ < max_bytes) {
    const iovec &segment = walk.rest_.list[count_];
    const size_t length = std::min(segment.iov_len - offset, max_bytes - bytes_);
    list_[count_++] = {static_cast<char *>(segment.iov_base) + offset, length};
    bytes_ += length;
    offset = 0;
  }
}

void Walk::skip(size_t bytes)
{
  while (rest_.count > 0 && bytes >= rest_.list->iov_len - offset_) {
    bytes -= rest_.list->iov_len - offset_;
    rest_.list++;
    rest_.count--;
    offset_ = 0;
  }
  offset_ += bytes;
}

} // namespace cma
