// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_explain(): the cause and the remedy, in cases made for the purpose.
#include "device.hpp"
#include <cstring>
#include <fstream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

using testing::HasSubstr;

namespace {

std::string explain(const Context &context, cma_peer peer, int error)
{
  char text[1024] = "";
  const int length = cma_explain(context.get(), peer, error, text, sizeof(text));
  EXPECT_EQ(static_cast<size_t>(length), std::strlen(text));
  return text;
}

std::string explain_open(int error)
{
  return explain(nullptr, {}, error);
}

class ExplainTest : public testing::Test {
protected:
  Context context = open_context(CMA_OPEN_SYSCALL);
};

TEST_F(ExplainTest, CutsAsSnprintfDoes)
{
  const std::string whole = explain(context, cma_handle(5), -ENOENT);
  ASSERT_GT(whole.size(), 10U);
  const auto length = static_cast<int>(whole.size());
  char text[11];
  std::memset(text, 'x', sizeof(text));
  EXPECT_EQ(cma_explain(context.get(), cma_handle(5), -ENOENT, text, 10), length);
  EXPECT_EQ(std::string(text), whole.substr(0, 9));
  EXPECT_EQ(text[10], 'x');
  EXPECT_EQ(cma_explain(context.get(), cma_handle(5), -ENOENT, nullptr, 0), length);
}

TEST_F(ExplainTest, LeavesErrnoAlone)
{
  errno = 1234;
  explain(context, cma_pid(::getpid()), -EPERM);
  explain(context, cma_pid(::getpid()), -EDOM);
  explain_open(-ENOENT);
  EXPECT_EQ(errno, 1234);
}

TEST_F(ExplainTest, EveryErrorHasWords)
{
  for (int error = 1; error < 134; error++) {
    EXPECT_FALSE(explain(context, cma_pid(1), -error).empty()) << error;
    EXPECT_FALSE(explain_open(-error).empty()) << error;
  }
  EXPECT_THAT(explain(context, cma_pid(1), -EDOM), HasSubstr(std::strerror(EDOM)));
}

TEST_F(ExplainTest, NobodyThere)
{
  Peer process;
  const pid_t pid = process.pid();
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  EXPECT_THAT(explain(context, cma_pid(2), -ESRCH), HasSubstr("kernel thread"));
  EXPECT_THAT(explain(context, cma_handle(3), -ESRCH), HasSubstr("execve"));
  process.kill();
  EXPECT_THAT(explain(context, cma_pid(pid), -ESRCH), HasSubstr("not waited"));
  process.reap();
  EXPECT_THAT(explain(context, cma_pid(pid), -ESRCH),
              HasSubstr("no process " + std::to_string(pid)));
  EXPECT_THAT(explain(context, cma_pidfd(pidfd), -ESRCH), HasSubstr("has exited"));
}

TEST_F(ExplainTest, Windows)
{
  EXPECT_THAT(explain(context, {}, -ENOENT), HasSubstr("no window"));
  EXPECT_THAT(explain(context, cma_handle(5), -EIDRM), HasSubstr("ended by its owner"));
  EXPECT_THAT(explain(context, cma_handle(5), -EACCES), HasSubstr("does not allow"));
  EXPECT_THAT(explain(context, {}, -EOPNOTSUPP), HasSubstr("Windows need"));
}

TEST_F(ExplainTest, InAForkedChild)
{
  EXPECT_EQ(in_child([&] {
              EXPECT_THAT(explain(context, cma_pid(1), -ESTALE), HasSubstr("fork"));
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
}

TEST_F(ExplainTest, NoDevice)
{
  ::setenv("CMA_DEVICE", "/nonexistent/device", 1);
  EXPECT_THAT(explain_open(-ENOENT), HasSubstr("/nonexistent/device"));
  const bool loaded = ::access("/sys/module/cma", F_OK) == 0;
  EXPECT_THAT(explain_open(-ENOENT), HasSubstr(loaded ? "is loaded" : "modprobe cma"));
  EXPECT_THAT(explain_open(-ENXIO), HasSubstr("modprobe cma"));
  EXPECT_THAT(explain_open(-EPERM), HasSubstr("container"));
  EXPECT_THAT(explain_open(-EPROTO), HasSubstr("ABI"));
  EXPECT_THAT(explain_open(-ENOSYS), HasSubstr("CONFIG_CROSS_MEMORY_ATTACH"));
}

TEST_F(ExplainTest, ClosedDevice)
{
  const TemporaryFile file;
  ::chmod(file.path().c_str(), 0640);
  ::setenv("CMA_DEVICE", file.path().c_str(), 1);
  const std::string text = explain_open(-EACCES);
  EXPECT_THAT(text, HasSubstr(file.path()));
  EXPECT_THAT(text, HasSubstr("mode 0640"));
  EXPECT_THAT(text, HasSubstr("udev"));
}

// Refusals: each is a real one, and the text names its rule.
class RefusalTest : public testing::Test {
protected:
  void SetUp() override
  {
    if (::geteuid() != 0)
      GTEST_SKIP() << "needs root, to become somebody else";
  }

  // As the caller that prepare() makes of a child: access is refused, and explained so.
  static void expect_refused(const Peer &peer, const std::function<void()> &prepare,
                             const std::string &words)
  {
    EXPECT_EQ(
        in_child([&] {
          prepare();
          const Context context = open_context(CMA_OPEN_SYSCALL);
          char byte;
          EXPECT_EQ(cma_read(context.get(), cma_pid(peer.pid()), &byte, 0, 1), -EPERM);
          EXPECT_THAT(explain(context, cma_pid(peer.pid()), -EPERM), HasSubstr(words));
          EXPECT_THAT(explain(context, cma_pid(peer.pid()), -EPERM),
                      HasSubstr("cma_window_create"));
          return testing::Test::HasFailure() ? 1 : 0;
        }),
        0);
  }
};

TEST_F(RefusalTest, OtherUser)
{
  const Peer root;
  expect_refused(root, become_nobody, "runs as user 0 and group 0");
}

TEST_F(RefusalTest, NotDumpable)
{
  const Peer secret([] {
    become_nobody();
    ::prctl(PR_SET_DUMPABLE, 0);
  });
  expect_refused(secret, become_nobody, "is not dumpable");
}

TEST_F(RefusalTest, MoreCapabilities)
{
  const Peer root;
  expect_refused(root, drop_capabilities, "capabilities that this one has not");
}

// In a user namespace of its own, where the caller's ids are what they were.
void enter_own_user_namespace()
{
  become_nobody();
  const std::string map =
      std::to_string(::getuid()) + " " + std::to_string(::getuid()) + " 1";
  ASSERT_EQ(::unshare(CLONE_NEWUSER), 0);
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << map;
  std::ofstream("/proc/self/gid_map") << map;
  ::prctl(PR_SET_DUMPABLE, 1);
}

bool has_user_namespaces()
{
  return in_child([] {
           become_nobody();
           return ::unshare(CLONE_NEWUSER);
         }) == 0;
}

TEST_F(RefusalTest, SiblingUserNamespaces)
{
  if (!has_user_namespaces())
    GTEST_SKIP() << "no user namespaces for ordinary users here";
  const Peer sibling(enter_own_user_namespace);
  expect_refused(sibling, enter_own_user_namespace, "in another user namespace");
}

TEST_F(RefusalTest, ParentUserNamespace)
{
  if (!has_user_namespaces())
    GTEST_SKIP() << "no user namespaces for ordinary users here";
  const Peer outside(become_nobody);
  expect_refused(outside, enter_own_user_namespace, "in another user namespace");
  const Peer root;
  expect_refused(root, enter_own_user_namespace, "in another user namespace");
}

TEST_F(RefusalTest, Yama)
{
  if (::access("/proc/sys/kernel/yama/ptrace_scope", R_OK) != 0)
    GTEST_SKIP() << "this kernel has no Yama";
  std::FILE *file = std::fopen("/proc/sys/kernel/yama/ptrace_scope", "r");
  const int scope = std::fgetc(file) - '0';
  std::fclose(file);
  if (scope == 0)
    GTEST_SKIP() << "kernel.yama.ptrace_scope is 0";
  const Peer sibling(become_nobody);
  expect_refused(sibling, become_nobody,
                 "kernel.yama.ptrace_scope = " + std::to_string(scope));
}

TEST_F(RefusalTest, FilteredSystemCalls)
{
  const Peer root;
  const auto filter = [] {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog all = {std::size(program), program};
    EXPECT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all), 0);
  };
  expect_refused(root, filter, "filtered (seccomp)");
}

TEST_F(RefusalTest, PeerThatCannotBeSeen)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  EXPECT_THAT(explain(context, cma_pid(0), -EPERM), HasSubstr("hidepid"));
  EXPECT_THAT(explain(context, cma_handle(1), -EPERM), HasSubstr("handle 1"));
}

} // namespace
