// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What an open file keeps of the peers that are copied from by pid: whom it knows
 * (CMA_COPY_KNOWN), that what it knows is asked about again in time, and that it takes
 * none for another, however many there are.
 */
#include "support/many_peers.hpp"
#include "support/parameter.hpp"
#include "support/persona.hpp"

#include <chrono>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <string>
#include <sys/prctl.h>

namespace cma_test {
namespace {

using namespace std::chrono_literals;

class Known : public testing::Test {
protected:
  /// The peer's word, only if the file knows it.
  Outcome known() const { return read_word(device, pid, CMA_COPY_KNOWN); }
  Outcome meet() const { return read_word(device, pid); }

  Peer target{[] { word = 42; }};
  const pid_t pid = target.pid();
  const Device device;
};

TEST_F(Known, ThePeerAfterACopy)
{
  EXPECT_EQ(known(), fails(EAGAIN));
  EXPECT_EQ(known(), fails(EAGAIN)) << "to be asked for is not to be met";
  EXPECT_EQ(meet(), gives(42));
  EXPECT_EQ(known(), gives(42));
  outlast_verdicts();
  EXPECT_EQ(known(), gives(42)) << "judged again";
}

TEST_F(Known, NotAfterARefusal)
{
  Peer caller([] { become(bob); });
  const auto answer = [&](uint32_t flags) {
    return caller.call([=, pid = pid]() -> long {
      static const Device own;
      return read_word(own, pid, flags).error;
    });
  };
  EXPECT_EQ(answer(0), EPERM);
  EXPECT_EQ(answer(CMA_COPY_KNOWN), EAGAIN);
}

TEST_F(Known, ByOneFileOnly)
{
  EXPECT_EQ(meet(), gives(42));
  EXPECT_EQ(read_word(Device(), pid, CMA_COPY_KNOWN), fails(EAGAIN));
}

TEST_F(Known, ByWhomItWasJudgedOnly)
{
  EXPECT_EQ(meet(), gives(42));
  Peer heir;
  EXPECT_EQ(
      heir.call([this]() -> long { return known().error; }), // with the parent's file
      EAGAIN);
  EXPECT_EQ(known(), gives(42));
}

TEST_F(Known, BadArgumentsComeFirst)
{
  cma_ioc_copy request = sized<cma_ioc_copy>();
  request.flags = CMA_COPY_KNOWN;
  request.peer_type = CMA_PEER_PID;
  request.peer = pid;
  EXPECT_EQ(device.copy(request), gives(0));
  request.local_cnt = 1;
  EXPECT_EQ(device.copy(request), fails(EFAULT));
  request.local_cnt = 5000;
  EXPECT_EQ(device.copy(request), fails(EINVAL));
}

TEST_F(Known, NoProcessIsTold)
{
  target.kill(SIGKILL);
  target.wait();
  EXPECT_EQ(known(), fails(ESRCH));
}

TEST_F(Known, MeansNothingForAHandle)
{
  const int handle = static_cast<int>(device.open(CMA_PEER_PID, pid).result);
  uint64_t seen = 0;
  const iovec local = {&seen, sizeof(seen)};
  const iovec remote = segment(reinterpret_cast<uintptr_t>(&word), sizeof(word));
  EXPECT_EQ(run(device, Route::Handle, {pid, -1, handle},
                {false, &local, 1, &remote, 1, CMA_COPY_KNOWN}),
            gives(sizeof(seen)));
  EXPECT_EQ(seen, 42U);
}

TEST_F(Known, ANewUserOfThePeersIsJudged)
{
  // Who may go on, and who may not: the peer becomes alice, and then bob.
  target.call([] {
    become_with(alice, {CAP_SETUID, CAP_SETGID});
    return prctl(PR_SET_DUMPABLE, 1);
  });
  Peer caller([] { become_with(alice, {CAP_SETUID, CAP_SETGID}); });
  const auto answer = [&](uint32_t flags) {
    return caller.call([=, pid = pid]() -> long {
      static const Device own;
      return as_returned(read_word(own, pid, flags));
    });
  };
  EXPECT_EQ(answer(0), 42);
  target.call([] {
    become(alice);
    return 0;
  });
  EXPECT_EQ(answer(CMA_COPY_KNOWN), 42) << "judged anew, not forgotten";
  EXPECT_EQ(answer(CMA_COPY_KNOWN), 42);
}

TEST_F(Known, ARefusedPeerIsAskedAboutAgain)
{
  Peer caller([] { become(alice); });
  Peer alices([] {
    become(alice);
    word = 43;
  });
  const auto answer = [&, one = alices.pid()] {
    return caller.call([=]() -> long {
      static const Device own;
      return as_returned(read_word(own, one));
    });
  };
  for (int round = 0; round < 3; round++) {
    EXPECT_EQ(answer(), 43);
    alices.call([] { return prctl(PR_SET_DUMPABLE, 0); });
    EXPECT_EQ(answer(), -EPERM);
    alices.call([] { return prctl(PR_SET_DUMPABLE, 1); });
  }
}

TEST(KnownMany, EachIsKnown)
{
  const ManyPeers peers(Rounds(200, 700, std::chrono::seconds(25)));
  const size_t size = peers.size();
  const Device device;
  for (size_t i = 0; i < size; i++)
    ASSERT_EQ(read_word(device, peers[i]), gives(peers.word_of(i)));
  size_t strangers = 0;
  for (size_t i = 0; i < size; i++) {
    const Outcome outcome = read_word(device, peers[i], CMA_COPY_KNOWN);
    strangers += outcome == fails(EAGAIN);
    if (outcome.error == 0) {
      ASSERT_EQ(outcome.result, peers.word_of(i));
    }
  }
  EXPECT_EQ(strangers, 0U);
}

/// How many peers the file keeps, for whichever credentials.
unsigned long kept(const Device &device)
{
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(device.fd()));
  unsigned long count = 0;
  for (std::string word; file >> word;)
    if (word == "cma-verdicts:")
      file >> count;
  return count;
}

/// One process stands for as many as the caller has had credentials.
TEST(KnownBound, OfOneFile)
{
  constexpr unsigned long bound = 65536;
  constexpr unsigned long beyond = 1000;
  const Parameter limit("max_user_verdicts", 2 * bound);
  const Peer peer;
  const Device device;
  char byte = 0;
  auto request = sized<cma_ioc_copy>();
  request.flags = CMA_COPY_SINGLE;
  request.peer_type = CMA_PEER_PID;
  request.peer = peer.pid();
  request.local_iov = request.remote_iov = reinterpret_cast<uintptr_t>(&byte);
  request.local_cnt = request.remote_cnt = 1;
  unsigned long copied = 0;
  const auto copy_as_others = [&](unsigned long times) {
    for (unsigned long i = 0; i < times; i++) {
      require(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0, "new credentials");
      copied += device.copy(request).error == 0 ? 1 : 0;
    }
  };
  const auto begin = std::chrono::steady_clock::now();
  copy_as_others(beyond);
  EXPECT_EQ(kept(device), beyond);
  for (unsigned long i = 0; i < bound; i += bound / 64) {
    copy_as_others(bound / 64);
    if (std::chrono::steady_clock::now() - begin > 10s)
      GTEST_SKIP() << "takes minutes here, which keeps track of each object";
  }
  EXPECT_EQ(copied, bound + beyond);
  EXPECT_EQ(kept(device), bound);
}

} // namespace
} // namespace cma_test
