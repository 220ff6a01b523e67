// SPDX-License-Identifier: MIT OR BSD-2-Clause
// The sweep; see fail_nth.hpp.
#include "fail_nth.hpp"

#include <cstdio>
#include <string>
#include <sys/prctl.h>

namespace cma_test {

// A fault in user memory allocates, and would be hit within the kernel's copy or here,
// between fault and call. So nothing may be left to fault in: no huge page on its way
// (below), no page that is still shared with a peer (errno's).

FailNth::FailNth()
{
  prctl(PR_SET_THP_DISABLE, 1);
}

FailNth::~FailNth()
{
  prctl(PR_SET_THP_DISABLE, 0);
}

void FailNth::meet()
{
  peer_ = std::make_unique<Peer>();
  device_.emplace();
}

void FailNth::undisturbed(const Path &path)
{
  path.prepare();
  const Outcome outcome = path.call();
  ASSERT_EQ(outcome.error, 0) << outcome;
  path.check(outcome);
}

unsigned FailNth::sweep(const Path &path)
{
  constexpr unsigned enough = 1000;
  unsigned refusals = 0;
  undisturbed(path); // touches all that the call touches
  for (unsigned n = 1; n < enough && !HasFatalFailure(); n++) {
    path.prepare();
    errno = 0;
    fault_.arm(n);
    const Outcome outcome = path.call();
    const bool fired = fault_.disarm();
    const testing::ScopedTrace trace(__FILE__, __LINE__,
                                     "allocation " + std::to_string(n));
    if (outcome.error == 0)
      path.check(outcome);
    else
      EXPECT_EQ(outcome, fails(path.error));
    if (!fired) {
      EXPECT_EQ(outcome.error, 0) << "no allocation failed, the call did";
      const auto *test = testing::UnitTest::GetInstance()->current_test_info();
      printf("%s.%s: %u allocations, %u of them needed\n", test->test_suite_name(),
             test->name(), n - 1, refusals);
      return refusals;
    }
    refusals += outcome.error != 0;
    undisturbed(path);
  }
  ADD_FAILURE() << "no end of allocations";
  return refusals;
}

void FailNth::starve(const Path &path, Without expected)
{
  undisturbed(path);
  path.prepare();
  errno = 0;
  fault_.exhaust();
  const Outcome outcome = path.call();
  fault_.disarm();
  const bool as_expected =
      outcome.error == 0 ? expected != Without::Fails
                         : expected != Without::Succeeds && outcome.error == path.error;
  EXPECT_TRUE(as_expected) << "without any memory: " << outcome;
  if (outcome.error == 0)
    path.check(outcome);
  undisturbed(path);
}

} // namespace cma_test
