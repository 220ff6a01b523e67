// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What an open file keeps of the peers that are copied from by pid, while its table
 * grows and they die, and when what it keeps is out of date.
 */
#include "../device/support/many_peers.hpp"
#include "../device/support/persona.hpp"
#include "scenario.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <sys/prctl.h>

namespace cma_test {
namespace {

using namespace std::chrono_literals;

TEST(Verdicts, SpeakOfOnePeerEach)
{
  ManyPeers peers(Rounds(200, 300, 10s));
  const Device device;
  std::atomic<size_t> others = 0;
  std::atomic<size_t> errors = 0;
  // While some make the table grow, and what is there dies.
  peers.replace_under(4, 300ms, [&](size_t i) {
    const Outcome outcome = read_word(device, peers[i], i % 3 ? 0 : CMA_COPY_KNOWN);
    others += outcome.error == 0 && outcome.result != peers.word_of(i);
    errors += outcome.error != 0 && outcome.error != EAGAIN && outcome.error != ESRCH;
  });
  EXPECT_EQ(others, 0U) << "another peer's memory";
  EXPECT_EQ(errors, 0U);
}

TEST(Verdicts, AreAskedForAgain)
{
  Peer target([] { become(alice); });
  Peer caller([] { become(alice); });
  const auto answer = [&, pid = target.pid()] {
    return caller.call([=]() -> long {
      static const Device own;
      return read_word(own, pid).error;
    });
  };
  EXPECT_EQ(answer(), 0);
  for (int round = 0; round < 3; round++) {
    target.call([] { return prctl(PR_SET_DUMPABLE, 0); });
    EXPECT_EQ(answer(), EPERM) << "allowed by what was";
    outlast_verdicts();
    EXPECT_EQ(answer(), EPERM) << "allowed by what was";
    target.call([] { return prctl(PR_SET_DUMPABLE, 1); });
    outlast_verdicts();
    EXPECT_EQ(answer(), 0);
  }
}

} // namespace
} // namespace cma_test
