// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * `cma run --policy window`: each process publishes, after fork(2) and execve(2) too,
 * and is served by what others publish; what does not is the kernel's. All of this needs
 * the device, and each test runs in a program of its own under that policy.
 */
#include "arena.hpp"

#include <array>
#include <cstddef>
#include <fstream>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>

namespace {

/* It has changed what a test's peer is before that was made. */
bool under_policy()
{
  const char *policy = getenv("CMA_RUN_POLICY");
  return policy && strcmp(policy, "window") == 0;
}

class PolicyWindow : public Arena {
protected:
  void SetUp() override
  {
    if (access("/dev/cma", R_OK | W_OK) != 0)
      GTEST_SKIP() << "/dev/cma: " << strerror(errno);
  }

  /* Runs the calling test again, under the policy: false there, where it goes on. */
  static bool runs_anew()
  {
    if (under_policy())
      return false;
    setenv("CMA_RUN_POLICY", "window", 1);
    const auto *test = testing::UnitTest::GetInstance()->current_test_info();
    EXPECT_TRUE(pass_anew(std::string("PolicyWindow.") + test->name()));
    unsetenv("CMA_RUN_POLICY");
    return true;
  }

  static long counter(const char *name)
  {
    std::ifstream file(std::string("/sys/class/misc/cma/") + name);
    long number = 0;
    EXPECT_TRUE(file >> number);
    return number;
  }

  long one(pid_t pid, const Way &way = libc, long number = SYS_process_vm_readv) const
  {
    iovec mine = {local, 8};
    iovec theirs = {base, 8};
    return way(number, pid, &mine, 1, &theirs, 1, 0);
  }

  /* By the device, at once; the kernel would make the first copies from others. */
  void expect_served(pid_t pid) const
  {
    long before = counter("copies");
    EXPECT_EQ(one(pid), 8);
    EXPECT_EQ(one(pid, by_number, SYS_process_vm_writev), 8);
    EXPECT_EQ(counter("copies"), before + 2);
  }

  void expect_generations(int left) const
  {
    expect_served(peer);
    expect_served(getppid());
    if (left > 0) {
      EXPECT_EQ(in_child([&] { expect_generations(left - 1); }), 0);
    }
  }

  /* A child that libc knows nothing of, and so does not publish. */
  static pid_t begin_stranger()
  {
    long child = raw_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
      for (;;)
        raw_syscall(SYS_ppoll);
    return static_cast<pid_t>(child);
  }
};

TEST_F(PolicyWindow, ServesFromTheFirstCallOn)
{
  if (!runs_anew())
    expect_served(peer);
}

TEST_F(PolicyWindow, ServesForkedChildrenAndTheirParents)
{
  if (!runs_anew()) {
    EXPECT_EQ(in_child([&] { expect_generations(20); }), 0);
  }
}

TEST_F(PolicyWindow, ServesAfterExec)
{
  if (!runs_anew()) {
    EXPECT_TRUE(pass_anew("PolicyWindow.ServesFromTheFirstCallOn"));
  }
}

TEST_F(PolicyWindow, LeavesNothingOfChildrenThatAreGone)
{
  if (runs_anew())
    return;
  long before = counter("windows");
  for (int i = 0; i < 100; i++)
    EXPECT_EQ(in_child([] {}), 0);
  EXPECT_EQ(counter("windows"), before);
}

TEST_F(PolicyWindow, WhatDoesNotPublishIsTheKernels)
{
  if (runs_anew())
    return;
  pid_t stranger = begin_stranger();
  long before = counter("copies");
  EXPECT_EQ(one(stranger), 8);
  EXPECT_EQ(counter("copies"), before);
  kill(stranger, SIGKILL);
  waitpid(stranger, nullptr, 0);
  EXPECT_EQ(one(stranger), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(PolicyWindow, AProgramThatClosesItPublishesNothing)
{
  if (runs_anew())
    return;
  EXPECT_EQ(in_child([&] {
              close_range(3, ~0U, 0);
              EXPECT_EQ(one(peer), 8);
              EXPECT_EQ(in_child([&] {
                          EXPECT_EQ(one(peer), 8);
                          EXPECT_EQ(open("/dev/null", O_RDONLY), 3);
                        }),
                        0);
            }),
            0);
}

/* Open MPI 5 goes by it. */
TEST_F(PolicyWindow, ComparesMemoryWhereAFilterRefuses)
{
  if (runs_anew())
    return;
  auto compare = [](pid_t pid, int type) {
    return syscall(SYS_kcmp, getpid(), pid, type, 0, 0);
  };
  pid_t stranger = begin_stranger();
  EXPECT_EQ(
      in_child([&] {
        std::array lines = {
            sock_filter(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))),
            sock_filter(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kcmp, 0, 1)),
            sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)),
            sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW))};
        sock_fprog program = {lines.size(), lines.data()};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
        EXPECT_EQ(compare(peer, KCMP_VM), 3);
        for (auto [pid, type] :
             {std::pair(stranger, KCMP_VM), std::pair(peer, KCMP_FILES)}) {
          EXPECT_EQ(compare(pid, type), -1);
          EXPECT_EQ(errno, EPERM);
        }
      }),
      0);
  kill(stranger, SIGKILL);
  waitpid(stranger, nullptr, 0);
}

} // namespace
