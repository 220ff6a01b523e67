// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// A device that does what the test says: a file that $CMA_DEVICE names, and whose
// ioctls are expectations (gmock). An ioctl that nobody expects is a failure.
#ifndef CMA_TESTS_UNIT_DEVICE_HPP
#define CMA_TESTS_UNIT_DEVICE_HPP

#include "hooks.hpp"
#include "support.hpp"
#include <cma.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <uapi/cma.h>

class Device {
public:
  // Each returns 0 or a negative errno value, as the kernel does.
  MOCK_METHOD(int, info, (cma_ioc_info &));
  MOCK_METHOD(int, copy, (cma_ioc_copy &));
  MOCK_METHOD(int, open, (cma_ioc_open &));
  MOCK_METHOD(int, close, (cma_ioc_close &));
  MOCK_METHOD(int, window_create, (cma_ioc_window_create &));
  MOCK_METHOD(int, window_destroy, (cma_ioc_window_destroy &));
  MOCK_METHOD(int, populate, (cma_ioc_populate &));
  MOCK_METHOD(int, show, (cma_ioc_show &));
  MOCK_METHOD(int, reduce, (cma_ioc_reduce &));

  static constexpr cma_ioc_info plain_info = {
      .size = sizeof(cma_ioc_info),
      .abi_version = CMA_ABI_VERSION,
      .features = CMA_FEATURE_COPY_PID | CMA_FEATURE_COPY_PIDFD |
                  CMA_FEATURE_COPY_HANDLE | CMA_FEATURE_MANY | CMA_FEATURE_LARGE |
                  CMA_FEATURE_REPORT | CMA_FEATURE_STRICT | CMA_FEATURE_SINGLE |
                  CMA_FEATURE_WINDOW | CMA_FEATURE_MAP | CMA_FEATURE_POPULATE |
                  CMA_FEATURE_SHOW | CMA_FEATURE_LENGTH,
      .max_iov = 1024,
      .max_iov_many = 5000,
      .max_bytes = 0x7ffff000,
      .max_bytes_large = 0x7ffffffffffff000,
      .max_handles = 77,
      .verdict_ms = 100,
      .version = "9.8.7",
  };

  Device()
  {
    ::setenv("CMA_DEVICE", file_.path().c_str(), 1);
    hooks::ioctl = [this](int fd, unsigned long request, void *argument) {
      return is_device(fd) ? answer(request, argument) : hooks::Result();
    };
    ON_CALL(*this, info).WillByDefault([](cma_ioc_info &info) {
      info = plain_info;
      return 0;
    });
    EXPECT_CALL(*this, info).Times(testing::AnyNumber());
  }

  ~Device()
  {
    hooks::ioctl = nullptr;
    ::unsetenv("CMA_DEVICE");
  }

private:
  [[nodiscard]] bool is_device(int fd) const
  {
    struct stat one = {};
    struct stat other = {};
    return ::fstat(fd, &one) == 0 && ::stat(file_.path().c_str(), &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
  }

  hooks::Result answer(unsigned long request, void *argument)
  {
    switch (request) {
    case CMA_IOC_INFO:
      return info(*static_cast<cma_ioc_info *>(argument));
    case CMA_IOC_COPY:
      return copy(*static_cast<cma_ioc_copy *>(argument));
    case CMA_IOC_OPEN:
      return open(*static_cast<cma_ioc_open *>(argument));
    case CMA_IOC_CLOSE:
      return close(*static_cast<cma_ioc_close *>(argument));
    case CMA_IOC_WINDOW_CREATE:
      return window_create(*static_cast<cma_ioc_window_create *>(argument));
    case CMA_IOC_WINDOW_DESTROY:
      return window_destroy(*static_cast<cma_ioc_window_destroy *>(argument));
    case CMA_IOC_POPULATE:
      return populate(*static_cast<cma_ioc_populate *>(argument));
    case CMA_IOC_SHOW:
      return show(*static_cast<cma_ioc_show *>(argument));
    case CMA_IOC_REDUCE:
      return reduce(*static_cast<cma_ioc_reduce *>(argument));
    default:
      return -ENOTTY;
    }
  }

  TemporaryFile file_;
};

#endif
