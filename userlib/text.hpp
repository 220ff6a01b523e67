// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Text written into a caller's buffer, cut where it ends, counted in full: what
// snprintf(3) does, in pieces.
#ifndef CMA_USERLIB_TEXT_HPP
#define CMA_USERLIB_TEXT_HPP

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdio>

namespace cma {

class Text {
public:
  Text(char *text, size_t size) : text_(text), size_(size)
  {
    if (size_ > 0)
      text_[0] = '\0';
  }

  __attribute__((format(printf, 2, 3))) void add(const char *format, ...)
  {
    va_list arguments;
    va_start(arguments, format);
    const size_t at = std::min(length_, size_);
    const int more =
        std::vsnprintf(size_ > 0 ? text_ + at : nullptr, size_ - at, format, arguments);
    va_end(arguments);
    length_ += more > 0 ? static_cast<size_t>(more) : 0;
  }

  [[nodiscard]] bool empty() const { return length_ == 0; }
  [[nodiscard]] int length() const { return static_cast<int>(length_); }

private:
  char *text_;
  size_t size_;
  size_t length_ = 0;
};

} // namespace cma

#endif
