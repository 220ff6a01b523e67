// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What all open files of one user may hold together: handles, windows, and the
 * processes that these hold on to. Whoever has many uids is one user still.
 */
#include "support/parameter.hpp"
#include "support/peer.hpp"
#include "support/persona.hpp"
#include "support/rounds.hpp"
#include "support/window.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

constexpr int bound = 50;

Outcome make_window(const Device &device)
{
  static char byte;
  return create_window(device, reinterpret_cast<uintptr_t>(&byte), 1, 0600);
}

Outcome open_self(const Device &device)
{
  return device.open(CMA_PEER_PID, getpid());
}

std::vector<pid_t> others;

/// Yet another process.
pid_t begin_other()
{
  others.push_back(fork());
  if (others.back() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); // it has the device open, too
    pause();
    _exit(0);
  }
  return others.back();
}

Outcome open_other(const Device &device)
{
  return device.open(CMA_PEER_PID, begin_other());
}

void end_others()
{
  end_all(others);
  others.clear();
}

/// How many more there can be in two files, with ENOSPC after them; else a negative
/// errno.
long fill(const Device &first, const Device &second, Outcome (*make)(const Device &))
{
  long made = 0;
  Outcome outcome;
  for (; made < 4L * bound && outcome.error == 0; made++)
    outcome = make(made % 2 == 0 ? first : second);
  end_others();
  if (outcome.error == 0)
    return made;
  return outcome.error == ENOSPC ? made - 1 : -outcome.error;
}

long fill_two(Outcome (*make)(const Device &))
{
  const Device first;
  const Device second;
  return fill(first, second, make);
}

/// The same once what was closed is really gone, which takes a moment.
long fill_again(Outcome (*make)(const Device &))
{
  long made = 0;
  for (int i = 0; i < 100 && made != bound; i++) {
    usleep(100'000);
    made = fill_two(make);
  }
  return made;
}

void expect_bounded(const char *parameter, Outcome (*make)(const Device &))
{
  const Parameter limit(parameter, bound);
  Peer user([] { become(alice); });
  Peer other([] { become(bob); });
  EXPECT_EQ(user.call([=] { return fill_two(make); }), bound);
  EXPECT_EQ(user.call([=] { return fill_again(make); }), bound);
  // One user's are not another's, at the same time.
  EXPECT_EQ(user.call([=]() -> long {
    static const Device device;
    long made = 0;
    for (int i = 0; i < 100 && make(device).error == ENOSPC; i++)
      usleep(100'000);
    for (made = 1; make(device).error == 0 && made < 4L * bound; made++) {
    }
    return made < 4L * bound;
  }),
            1);
  EXPECT_EQ(other.call([=] { return fill_two(make); }), bound);
}

TEST(LimitOfUser, Handles)
{
  expect_bounded("max_user_handles", open_self);
}

TEST(LimitOfUser, Windows)
{
  expect_bounded("max_user_windows", make_window);
}

TEST(LimitOfUser, Peers)
{
  expect_bounded("max_user_spaces", open_other);
}

/// Copies from each of the others; how many could be copied from.
long copy_from_others(const Device &device, uint32_t flags)
{
  static char byte;
  return std::count_if(others.begin(), others.end(), [&](pid_t pid) {
    auto request = sized<cma_ioc_copy>();
    request.flags = CMA_COPY_SINGLE | flags;
    request.peer_type = CMA_PEER_PID;
    request.peer = pid;
    request.local_iov = request.remote_iov = reinterpret_cast<uintptr_t>(&byte);
    request.local_cnt = request.remote_cnt = 1;
    return device.copy(request).error == 0;
  });
}

TEST(LimitOfUser, VerdictsWithoutWhichCopiesGoOn)
{
  const Parameter limit("max_user_verdicts", bound);
  Peer user([] { become(alice); });
  EXPECT_EQ(user.call([]() -> long {
    const Device first;
    const Device second;
    for (int i = 0; i < bound; i++)
      begin_other();
    const long copied = copy_from_others(first, 0) + copy_from_others(second, 0);
    const long known = copy_from_others(first, CMA_COPY_KNOWN) +
                       copy_from_others(second, CMA_COPY_KNOWN);
    end_others();
    return 1000 * copied + known;
  }),
            1000 * 2 * bound + bound);
}

TEST(LimitOfUser, TheDeadCountForAMomentOnly)
{
  const Parameter limit("max_user_spaces", bound);
  Peer user([] { become(alice); });
  for (int round = 0; round < 3; round++)
    EXPECT_EQ(user.call([]() -> long {
      static const Device device; // and so all that was opened before
      long made = 0;
      for (int wait = 0; wait < 100 && made < bound; wait++) {
        made += fill(device, device, open_other);
        usleep(100'000);
      }
      return made >= bound;
    }),
              1);
}

/// In a user namespace of alice's, who was given 1000 uids: be the next of them.
void become_next()
{
  static uid_t next = 0;
  require(seteuid(0) == 0 && setresuid(next, next, 0) == 0, "setresuid");
  next++;
}

Outcome make_window_as_another(const Device &device)
{
  become_next();
  return make_window(device);
}

/// A process of alice's whose user namespace has many uids.
void give_uids(Peer &user)
{
  ASSERT_EQ(user.call([]() -> long { return unshare(CLONE_NEWUSER); }), 0);
  const std::string proc = "/proc/" + std::to_string(user.pid());
  std::ofstream(proc + "/uid_map") << "0 100000 1000";
  std::ofstream(proc + "/gid_map") << "0 100000 1000";
  ASSERT_EQ(user.call([]() -> long { return setresuid(0, 0, 0); }), 0);
}

TEST(LimitOfUser, ManyUidsAreOneUserWhoMadeTheirNamespace)
{
  const Parameter limit("max_user_windows", bound);
  Peer user([] { become(alice); });
  Peer same([] { become(alice); });
  ASSERT_NO_FATAL_FAILURE(give_uids(user));
  EXPECT_EQ(user.call([]() -> long {
    static const Device device;
    return fill(device, device, make_window_as_another);
  }),
            bound);
  EXPECT_EQ(same.call([]() -> long { return fill_two(make_window); }), 0);
}

TEST(LimitOfUser, UidsThatRootGaveAreUsers)
{
  const Parameter limit("max_user_windows", bound);
  Peer user;
  ASSERT_NO_FATAL_FAILURE(give_uids(user));
  EXPECT_EQ(user.call([]() -> long {
    static const Device device;
    return fill(device, device, make_window_as_another);
  }),
            4L * bound);
}

/// What a call costs at least, of many.
template<class Call>
long least_nanoseconds(const Call &call)
{
  using namespace std::chrono;
  nanoseconds least = seconds(1);
  for (int i = 0; i < 2000; i++) {
    const auto begin = steady_clock::now();
    call();
    least = std::min<nanoseconds>(least, steady_clock::now() - begin);
  }
  return static_cast<long>(least.count());
}

/// To look for a window, as it is done before one gets its name, too.
long cost_of_look_up()
{
  const Device device;
  int64_t unknown = 1;
  return least_nanoseconds([&] { open_window(device, unknown++); });
}

TEST(LimitOfUser, WindowsAreNotInTheWayOfAnotherUsers)
{
  constexpr int many = 100'000;
  constexpr int block = 1000;
  const Parameter limit("max_user_windows", many);
  const long alone = cost_of_look_up();
  Peer user([] { become(alice); });
  ASSERT_EQ(user.call([]() -> long {
    static std::vector<Device> devices;
    for ([[maybe_unused]] const int made :
         Rounds(many / block / 5, many / block, std::chrono::seconds(15))) {
      devices.emplace_back();
      for (int i = 0; i < block; i++)
        if (const Outcome window = make_window(devices.back()); window.error != 0)
          return window.error;
    }
    return 0;
  }),
            0);
  const long beside = cost_of_look_up();
  printf("  %ld ns, %ld beside many\n", alone, beside);
  EXPECT_LT(beside, 3 * alone); // 20 times beside 200,000 in one that does not grow

  // They count until they are freed: leave them to no other test.
  user.kill(SIGKILL);
  user.wait();
  const Parameter again("max_user_windows", bound);
  EXPECT_EQ(Peer([] { become(alice); }).call([] { return fill_again(make_window); }),
            bound);
}

} // namespace
} // namespace cma_test
