// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "stall.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cma_test {

Stall::Stall(uintptr_t base, size_t length)
    : fd_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC))), base_(base),
      length_(length)
{
  uffdio_api api = {UFFD_API, 0, 0};
  uffdio_register range = {{base, length}, UFFDIO_REGISTER_MODE_MISSING, 0};
  if (!fd_ || ioctl(fd_.get(), UFFDIO_API, &api) < 0 ||
      ioctl(fd_.get(), UFFDIO_REGISTER, &range) < 0)
    fd_.reset();
}

void Stall::wait() const
{
  uffd_msg message;
  EXPECT_EQ(read(fd_.get(), &message, sizeof(message)),
            static_cast<ssize_t>(sizeof(message)));
}

void Stall::resume(const std::vector<uint8_t> &content) const
{
  uffdio_copy copy = {base_, reinterpret_cast<uintptr_t>(content.data()), length_, 0, 0};
  EXPECT_EQ(ioctl(fd_.get(), UFFDIO_COPY, &copy), 0);
}

} // namespace cma_test
