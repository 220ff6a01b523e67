// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Touches that are disturbed, or have to wait: signals that do not kill, and
 * pages that come late or never, because somebody stands between the owner and
 * its memory (userfaultfd).
 */
#include "support/map_fixture.hpp"
#include "support/rounds.hpp"

#include <chrono>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cma_test {
namespace {

/// In a peer: a call that takes longer never ends.
constexpr unsigned patience_s = 20;
/// In the test: what is to happen soon has happened.
constexpr int soon_ms = 10000;

class MapSignal : public testing::Test {
protected:
  static constexpr size_t size = 1UL << 20;

  /// A process that nobody mapped yet. It has many mappings, all of which the kernel
  /// locks for the first who does, so that a signal comes in time.
  static void have_many_mappings()
  {
    for (int i = 0; i < 2000; i++)
      require(mmap(nullptr, page, i % 2 != 0 ? PROT_READ : PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED,
              "mmap");
  }
  /// In a peer: a signal, which does nothing, some time from now.
  static void signal_after(long microseconds)
  {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    timer_t timer;
    require(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    const itimerspec when = {{}, {0, microseconds * 1000}};
    require(timer_settime(timer, 0, &when, nullptr) == 0, "timer_settime");
  }
  /// Has a fresh mapper do something with a fresh owner, many times. A mapper that hangs
  /// ends by its alarm, and then the test does.
  template<class Action>
  static void each_round(const Action &action)
  {
    const uintptr_t memory = make_memory(Kind::Anonymous, size);
    *reinterpret_cast<volatile char *>(memory) = 5;
    for (const int round : Rounds(2, 40, std::chrono::seconds(10))) {
      SCOPED_TRACE(round);
      const Peer owner(have_many_mappings);
      Peer mapper;
      const pid_t pid = owner.pid();
      const long after = 1 + round * 37 % 300;
      ASSERT_EQ(mapper.call([=]() -> long {
        alarm(patience_s);
        return action(pid, memory, after);
      }),
                5);
    }
    unmap(memory, size);
  }
};

TEST_F(MapSignal, OneDoesNotKeepAMappingFromBeingPopulated)
{
  each_round([](pid_t owner, uintptr_t memory, long after) -> long {
    signal_after(after);
    const OwnMapping mapping(owner, memory, size, PROT_READ);
    mapping.populate(size);
    return *mapping.at(0);
  });
}

TEST_F(MapSignal, OneDoesNotKeepASystemCallFromTouchingAMapping)
{
  each_round([](pid_t owner, uintptr_t memory, long after) -> long {
    const OwnMapping mapping(owner, memory, size);
    const Fd file(memfd_create("cma-test", MFD_CLOEXEC));
    require(write(file.get(), "\5", 1) == 1, "write");
    *reinterpret_cast<volatile char *>(memory) = 0; // the mapper's own
    signal_after(after);
    const auto target = const_cast<uint8_t *>(mapping.at(0)); // NOLINT
    require(pread(file.get(), target, 1, 0) == 1, "pread into a mapping");
    return *mapping.at(0);
  });
}

/// An owner whose pages come when, and if, its userfaultfd is answered.
class MapStuck : public Map {
protected:
  static inline const size_t length = 100 * page;

  void SetUp() override
  {
    start(Kind::Anonymous, length);
    const uintptr_t at = base;
    error_ = owner->call([=] { return take_over(at); });
    if (error_ != 0)
      GTEST_SKIP() << "no userfaultfd: " << strerrorname_np(static_cast<int>(error_));
  }
  /// Nobody waits for it any more, also if the test failed.
  void TearDown() override { owner->kill(SIGKILL); }

  /// Waits until somebody waits for a page.
  void expect_somebody_waits()
  {
    EXPECT_EQ(owner->call([]() -> long {
      pollfd waiting = {stuck, POLLIN, 0};
      uffd_msg message;
      if (poll(&waiting, 1, soon_ms) != 1)
        return -ETIMEDOUT;
      require(read(stuck, &message, sizeof(message)) == sizeof(message), "read");
      return message.event;
    }),
              UFFD_EVENT_PAGEFAULT);
  }
  /// The owner can change its address space meanwhile.
  void expect_owner_goes_on()
  {
    EXPECT_EQ(owner->call([]() -> long {
      alarm(patience_s);
      const uintptr_t more = make_memory(Kind::Anonymous, page);
      *reinterpret_cast<volatile char *>(more) = 1;
      unmap(more, page);
      return 0;
    }),
              0);
  }
  static void expect_killed(Peer &peer)
  {
    peer.kill(SIGKILL);
    pollfd ended = {peer.pidfd(), POLLIN, 0};
    EXPECT_EQ(poll(&ended, 1, soon_ms), 1) << "it waits for ever";
  }
  void answer(size_t offset)
  {
    const uintptr_t at = base + offset;
    EXPECT_EQ(owner->call([=]() -> long {
      std::vector<uint8_t> bytes(page);
      bytes.front() = 7;
      uffdio_copy copy = {at, reinterpret_cast<uintptr_t>(bytes.data()), page, 0, 0};
      return ioctl(stuck, UFFDIO_COPY, &copy);
    }),
              0);
  }

private:
  /// In the owner: 0, or the errno with which there is no userfaultfd.
  static long take_over(uintptr_t at)
  {
    stuck = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
    if (stuck < 0)
      return errno;
    uffdio_api api = {UFFD_API, 0, 0};
    uffdio_register range = {{at, length}, UFFDIO_REGISTER_MODE_MISSING, 0};
    require(ioctl(stuck, UFFDIO_API, &api) == 0, "UFFDIO_API");
    require(ioctl(stuck, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
    return 0;
  }

  static inline int stuck = -1; ///< in the owner
  long error_ = 0;
};

TEST_F(MapStuck, AMapperWaitsForALatePage)
{
  Peer mapper;
  const pid_t pid = owner->pid();
  const uintptr_t from = base;
  mapper.post([=]() -> long {
    alarm(patience_s);
    return *OwnMapping(pid, from, length).at(page);
  });
  expect_somebody_waits();
  expect_owner_goes_on();
  answer(page);
  EXPECT_EQ(mapper.answer(), 7);
}

TEST_F(MapStuck, AMapperThatWaitsCanBeKilled)
{
  Peer mapper;
  const pid_t pid = owner->pid();
  const uintptr_t from = base;
  mapper.post([=]() -> long { return *OwnMapping(pid, from, length).at(page); });
  expect_somebody_waits();
  expect_owner_goes_on();
  expect_killed(mapper);
  expect_owner_goes_on();
}

TEST_F(MapStuck, APopulatingMapperCanBeKilled)
{
  Peer mapper;
  const pid_t pid = owner->pid();
  const uintptr_t from = base;
  mapper.post([=]() -> long {
    const OwnMapping mapping(pid, from, length, PROT_READ);
    mapping.populate(length);
    return 0;
  });
  expect_somebody_waits();
  expect_owner_goes_on();
  expect_killed(mapper);
}

TEST_F(MapStuck, AReaderThatWaitsCanBeKilled)
{
  for (size_t i = 0; i < length; i += page) // all of it but one page
    if (i != 50 * page)
      answer(i);
  Peer reader;
  const pid_t pid = owner->pid();
  const uintptr_t from = base;
  reader.post([=]() -> long {
    const Device own;
    static std::array<uint8_t, 100U << 16> bytes; // length of the largest pages
    auto request = sized<cma_ioc_copy>();
    request.flags = CMA_COPY_SINGLE;
    request.peer_type = CMA_PEER_HANDLE;
    request.peer = static_cast<int32_t>(own.open(CMA_PEER_PID, pid).result);
    request.local_iov = reinterpret_cast<uintptr_t>(bytes.data());
    request.remote_iov = from;
    request.local_cnt = request.remote_cnt = length;
    return own.copy(request).result;
  });
  expect_somebody_waits();
  expect_owner_goes_on();
  expect_killed(reader);
  expect_owner_goes_on();
}

} // namespace
} // namespace cma_test
