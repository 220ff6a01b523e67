// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What is taken back is taken back: once an owner's window has ended, by whatever way, no
 * byte moves through it any more, however long a copier waits for memory of its own, and
 * nothing of an owner that has ended is kept.
 */
#include "support/parameter.hpp"
#include "support/rounds.hpp"
#include "support/stall.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <tuple>
#include <unistd.h>

namespace cma_test {
namespace {

const size_t size = 64 * page;
constexpr uint32_t both = CMA_ACCESS_READ | CMA_ACCESS_WRITE;

/// In the owner: its open file.
int owners_file()
{
  static const int fd = open("/dev/cma", O_RDWR | O_CLOEXEC);
  return fd;
}

long create(uintptr_t base, uint64_t length)
{
  auto window = sized<cma_ioc_window_create>();
  window.base = base;
  window.length = length;
  window.access = both;
  window.mode = 0666;
  return ioctl(owners_file(), CMA_IOC_WINDOW_CREATE, &window) < 0 ? -errno
                                                                  : long(window.window);
}

long destroy(long name)
{
  auto window = sized<cma_ioc_window_destroy>();
  window.window = static_cast<uint64_t>(name);
  return ioctl(owners_file(), CMA_IOC_WINDOW_DESTROY, &window) < 0 ? -errno : 0;
}

int open_window(const Device &device, long name)
{
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = static_cast<uint64_t>(name);
  return device.call(CMA_IOC_OPEN, &open).error != 0 ? -1 : open.handle;
}

Outcome copy(const Device &device, int handle, bool write, uintptr_t local,
             uint64_t remote, uint64_t length, uint32_t flags = 0)
{
  auto request = sized<cma_ioc_copy>();
  request.flags = CMA_COPY_SINGLE | flags | (write ? CMA_COPY_WRITE : 0);
  request.peer_type = CMA_PEER_HANDLE;
  request.peer = handle;
  request.local_iov = local;
  request.remote_iov = remote;
  request.local_cnt = request.remote_cnt = length;
  return device.copy(request);
}

enum class End { Destroy, Close, Exit, Exec };

struct Case {
  End end;
  bool write;
  bool cached;   ///< the owner's memory was copied from before
  size_t length; ///< a part of a page goes the short way first
};
void PrintTo(const Case &test, std::ostream *out)
{
  constexpr std::array<const char *, 4> ends = {"destroy", "close", "exit", "exec"};
  *out << ends.at(static_cast<size_t>(test.end)) << (test.write ? " write" : " read")
       << (test.cached ? " cached " : " new ") << test.length;
}

class Revoked : public testing::TestWithParam<Case> {
protected:
  /// At the same place in the owner and here.
  const uintptr_t memory = make_memory(Kind::SharedAnonymous, size);
  const uintptr_t buffer = make_memory(Kind::Anonymous, size);
  std::optional<Peer> owner{std::in_place};
  const Device device;

  ~Revoked() override
  {
    unmap(memory, size);
    unmap(buffer, size);
  }

  long name = owner->call([at = memory] {
    std::fill_n(reinterpret_cast<uint8_t *>(at), size, 1);
    return create(at, size);
  });
  int handle = open_window(device, name);
  /// Of the process, which ends by its memory's end alone.
  int process = static_cast<int>(device.open(CMA_PEER_PID, owner->pid()).result);

  void end(End how)
  {
    switch (how) {
    case End::Destroy:
      EXPECT_EQ(owner->call([name = name] { return destroy(name); }), 0);
      break;
    case End::Close:
      EXPECT_EQ(owner->call([] { return long{close(owners_file())}; }), 0);
      break;
    case End::Exit:
      owner->kill(SIGKILL);
      owner->wait();
      break;
    case End::Exec:
      owner->post([]() -> long {
        return execl("/proc/self/exe", "cma-device-tests", "--helper", "sleep", nullptr);
      });
      owner->wait_closed();
      break;
    }
  }
};

TEST_P(Revoked, WhileTheCopierWaitsForItsMemory)
{
  const auto [how, write, cached, length] = GetParam();
  const bool window = how == End::Destroy || how == End::Close;
  const int by = window ? handle : process;
  const uint64_t from = window ? 0 : memory;
  ASSERT_GT(by, 0);
  for (int i = 0; cached && i < 3; i++)
    EXPECT_EQ(copy(device, by, write, buffer, from, length), gives(length));
  renew(buffer, size);
  const Stall stall(buffer, size);
  if (!stall.works())
    GTEST_SKIP() << "no userfaultfd: " << strerror(errno);

  Outcome outcome;
  std::thread copier([&, write = write, length = length] {
    outcome = copy(device, by, write, buffer, from, length);
  });
  stall.wait();
  end(how);
  // Both see it, since it is shared.
  std::fill_n(reinterpret_cast<uint8_t *>(memory), size, 2);
  stall.resume(std::vector<uint8_t>(size, 3));
  copier.join();

  EXPECT_EQ(outcome, fails(window ? EIDRM : ESRCH));
  const auto holds = [](uintptr_t at, uint8_t value) {
    const auto *bytes = reinterpret_cast<const uint8_t *>(at);
    return std::all_of(bytes, bytes + size, [=](uint8_t byte) { return byte == value; });
  };
  EXPECT_TRUE(holds(memory, 2));
  EXPECT_TRUE(holds(buffer, 3));
}

std::vector<Case> cases()
{
  std::vector<Case> all;
  for (const End how : {End::Destroy, End::Close, End::Exit, End::Exec})
    for (const bool write : {false, true})
      for (const bool cached : {false, true})
        for (const size_t length : {size_t{64}, size})
          all.push_back({how, write, cached, length});
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, Revoked, testing::ValuesIn(cases()));

using RevokedWindow = Revoked;

TEST_F(RevokedWindow, ACopyInTheMiddleKeepsItsCount)
{
  const Stall stall(buffer + page, size - page);
  if (!stall.works())
    GTEST_SKIP() << "no userfaultfd: " << strerror(errno);
  Outcome outcome;
  std::thread copier([&] { outcome = copy(device, handle, false, buffer, 0, size); });
  stall.wait();
  end(End::Destroy);
  stall.resume(std::vector<uint8_t>(size - page, 3));
  copier.join();
  EXPECT_EQ(outcome, gives(page));
}

TEST_F(RevokedWindow, ADeadOwnersMemoryIsNotKept)
{
  // A file of a file system of its own: that cannot be unmounted while it is mapped.
  char place[] = "/tmp/cma-mount-XXXXXX";
  ASSERT_NE(mkdtemp(place), nullptr);
  ASSERT_EQ(mount("none", place, "tmpfs", 0, nullptr), 0);
  const std::string file = std::string(place) + "/file";
  std::array<char, 64> path{};
  file.copy(path.data(), path.size() - 1);
  EXPECT_EQ(owner->call([=]() -> long {
    const int fd = open(path.data(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    require(ftruncate(fd, page) == 0, "ftruncate");
    void *mapped = mmap(nullptr, page, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return mapped == MAP_FAILED;
  }),
            0);
  renew(buffer, size);
  const Stall stall(buffer, size);
  if (!stall.works())
    GTEST_SKIP() << "no userfaultfd: " << strerror(errno);

  std::thread copier([&] { copy(device, handle, false, buffer, 0, size); });
  stall.wait();
  EXPECT_NE(umount(place), 0);
  end(End::Exit);
  EXPECT_EQ(umount(place), 0) << strerror(errno);
  EXPECT_EQ(copy(device, handle, false, buffer, 0, 1), fails(EIDRM));
  stall.resume(std::vector<uint8_t>(size, 3));
  copier.join();
  umount(place);
  rmdir(place);
}

/// What an owner and those who copy tell each other.
struct Shared {
  std::atomic<long> name;
  std::atomic<long> copies;
  std::atomic<bool> over;
};

/// Writes through each window that there is, until it ends.
void write_on(const Device &device, Shared &common, uintptr_t from, size_t length)
{
  while (!common.over) {
    const long name = common.name;
    const int handle = name > 0 ? open_window(device, name) : -1;
    if (handle < 0) {
      std::this_thread::yield();
      continue;
    }
    while (!common.over && copy(device, handle, true, from, 0, length).result > 0)
      common.copies++;
    device.close(handle);
  }
}

/// In the owner: how many of the windows that it makes and ends are written through after
/// their end.
long count_late(Shared &common, uintptr_t base, size_t length)
{
  long late = 0;
  for (const int round : Rounds(5, 60, std::chrono::seconds(5))) {
    auto *bytes = reinterpret_cast<uint8_t *>(base);
    const long name = create(base, length);
    const long before = common.copies;
    common.name = name;
    while (common.copies < before + 2 + round % 3 && !common.over)
      usleep(100 + round);
    common.name = 0;
    if (destroy(name) != 0)
      return -1;
    std::fill_n(bytes, length, 0);
    usleep(2000);
    late += std::any_of(bytes, bytes + length, [](uint8_t byte) { return byte != 0; });
  }
  return late;
}

/// By the cache, or by pinned pages; of a length that is copied in one step, and of one
/// that is not.
class LateBytes : public testing::TestWithParam<std::tuple<bool, size_t>> {};

TEST_P(LateBytes, NoneMovesOnceDestroyHasReturned)
{
  const auto [cached, length] = GetParam();
  std::optional<Parameter> none;
  if (!cached)
    none.emplace("max_chunks", 0);
  const uintptr_t memory = make_memory(Kind::Anonymous, length);
  const uintptr_t from = make_memory(Kind::Anonymous, length);
  std::fill_n(reinterpret_cast<uint8_t *>(from), length, 0xff);
  auto *common = static_cast<Shared *>(
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  Peer owner;
  owner.post([common, memory, size = length] {
    std::fill_n(reinterpret_cast<uint8_t *>(memory), size, 1);
    return count_late(*common, memory, size);
  });
  const Device device;
  std::thread copier(
      [&device, common, from, size = length] { write_on(device, *common, from, size); });
  EXPECT_EQ(owner.answer(), 0);
  common->over = true;
  copier.join();
  EXPECT_GT(common->copies, 0);
  munmap(common, page);
  unmap(memory, length);
  unmap(from, length);
}

INSTANTIATE_TEST_SUITE_P(All, LateBytes,
                         testing::Combine(testing::Bool(),
                                          testing::Values(64 << 10, 2 << 20)));

} // namespace
} // namespace cma_test
