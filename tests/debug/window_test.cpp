// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Memory shortage where windows are created, found and destroyed.
#include "fail_nth.hpp"

namespace cma_test {
namespace {

class WindowFailNth : public FailNth {
protected:
  WindowFailNth() { device_.emplace(); }

  /// A window over all of this process; its name.
  uint64_t create(uint32_t flags = 0) const
  {
    cma_ioc_window_create request = any();
    request.flags = flags;
    EXPECT_EQ(device_->call(CMA_IOC_WINDOW_CREATE, &request), gives(0));
    return request.window;
  }
  Outcome destroy(uint64_t window) const
  {
    auto request = sized<cma_ioc_window_destroy>();
    request.window = window;
    return device_->call(CMA_IOC_WINDOW_DESTROY, &request);
  }
  static cma_ioc_window_create any()
  {
    auto request = sized<cma_ioc_window_create>();
    request.length = INT64_MAX;
    request.access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
    request.mode = 0600;
    return request;
  }
};

TEST_F(WindowFailNth, Create)
{
  for (const uint32_t flags : {0U, uint32_t{CMA_WINDOW_PUBLISH}}) {
    cma_ioc_window_create request{};
    const Path path = {
        .prepare =
            [&] {
              // This process is not known yet, either.
              device_.emplace();
              request = any();
              request.flags = flags;
            },
        .call = [&] { return device_->call(CMA_IOC_WINDOW_CREATE, &request); },
        .check = [&](Outcome) { EXPECT_EQ(destroy(request.window), gives(0)); },
    };
    EXPECT_GT(sweep(path), 0U);
    starve(path, Without::Fails);
  }
}

TEST_F(WindowFailNth, OpenPublished)
{
  create(CMA_WINDOW_PUBLISH);
  auto request = sized<cma_ioc_open>();
  const Path path = {
      .prepare =
          [&] {
            request = sized<cma_ioc_open>();
            request.peer_type = CMA_PEER_PUBLISHED;
            request.peer = getpid();
          },
      .call = [&] { return device_->call(CMA_IOC_OPEN, &request); },
      .check = [&](Outcome) { EXPECT_EQ(device_->close(request.handle), gives(0)); },
  };
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
}

TEST_F(WindowFailNth, Destroy)
{
  uint64_t window = 0;
  const Path path = {
      .prepare = [&] { window = create(); },
      .call = [&] { return destroy(window); },
  };
  EXPECT_EQ(sweep(path), 0U);
  starve(path, Without::Succeeds);
}

TEST_F(WindowFailNth, Open)
{
  const uint64_t window = create();
  auto request = sized<cma_ioc_open>();
  const Path path = {
      .prepare =
          [&] {
            request = sized<cma_ioc_open>();
            request.peer_type = CMA_PEER_WINDOW;
            request.window = window;
          },
      .call = [&] { return device_->call(CMA_IOC_OPEN, &request); },
      .check = [&](Outcome) { EXPECT_EQ(device_->close(request.handle), gives(0)); },
  };
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
}

} // namespace
} // namespace cma_test
