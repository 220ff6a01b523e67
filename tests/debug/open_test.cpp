// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Memory shortage where files and handles are opened and closed.
#include "fail_nth.hpp"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <unistd.h>

namespace cma_test {
namespace {

// --- The device itself -----------------------------------------------------------------

TEST_F(FailNth, OpenOfTheDevice)
{
  const Path path = {
      .call = [] { return Outcome::of(open("/dev/cma", O_RDWR | O_CLOEXEC)); },
      .check = [](Outcome fd) { close(static_cast<int>(fd.result)); },
  };
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
}

TEST_F(FailNth, CloseOfTheDevice)
{
  meet();
  int fd = -1;
  const Path path = {
      .prepare =
          [&] {
            Device device;
            for (int i = 0; i < 3; i++)
              ASSERT_EQ(device.open(CMA_PEER_PID, peer_->pid()).error, 0);
            fd = dup(device.fd());
          },
      .call = [&] { return Outcome::of(close(fd)); },
  };
  EXPECT_EQ(sweep(path), 0U);
  starve(path, Without::Succeeds);
}

TEST_F(FailNth, Info)
{
  device_.emplace();
  auto info = sized<cma_ioc_info>();
  const Path path = {
      .prepare = [&] { info = sized<cma_ioc_info>(); },
      .call = [&] { return device_->call(CMA_IOC_INFO, &info); },
      .check = [&](Outcome) { EXPECT_EQ(info.abi_version, CMA_ABI_VERSION); },
  };
  EXPECT_EQ(sweep(path), 0U);
  starve(path, Without::Succeeds);
}

// --- Handles --------------------------------------------------------------------------

class HandleFailNth : public FailNth, public testing::WithParamInterface<uint32_t> {
protected:
  int32_t id() const
  {
    return GetParam() == CMA_PEER_PID ? peer_->pid() : peer_->pidfd();
  }
  Path opening(std::function<void()> prepare)
  {
    return {
        .prepare = std::move(prepare),
        .call = [this] { return device_->open(GetParam(), id()); },
        .check =
            [this](Outcome handle) {
              EXPECT_EQ(device_->close(static_cast<int32_t>(handle.result)), gives(0));
            },
    };
  }
};

TEST_P(HandleFailNth, OpenOfAStranger)
{
  // A new process each time: procfs has yet to make its entries.
  const Path path = opening([this] { meet(); });
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
}

TEST_P(HandleFailNth, OpenOfAnAcquaintance)
{
  meet();
  const Path path = opening([] {});
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
}

TEST_P(HandleFailNth, OpenWithForeignFilesystemIds)
{
  // The judgement then runs under credentials made for it.
  meet();
  Path path = opening([] {});
  path.prepare = [] { setfsuid(65534); };
  EXPECT_GT(sweep(path), 0U);
  starve(path, Without::Fails);
  setfsuid(0);
}

INSTANTIATE_TEST_SUITE_P(Peer, HandleFailNth,
                         testing::Values(CMA_PEER_PID, CMA_PEER_PIDFD),
                         [](const auto &info) {
                           return info.param == CMA_PEER_PID ? "Pid" : "Pidfd";
                         });

TEST_F(FailNth, CloseOfAHandle)
{
  meet();
  int32_t handle = 0;
  const Path path = {
      .prepare =
          [&] {
            handle =
                static_cast<int32_t>(device_->open(CMA_PEER_PID, peer_->pid()).result);
          },
      .call = [&] { return device_->close(handle); },
  };
  EXPECT_EQ(sweep(path), 0U);
  starve(path, Without::Succeeds);
}

} // namespace
} // namespace cma_test
