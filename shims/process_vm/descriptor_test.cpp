// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The one descriptor that libcma-process-vm.so has in a program: it is there before
 * main(), out of the way, and nothing is opened, closed or mapped behind the program's
 * back from then on. All of this needs the device.
 */
#include "arena.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/resource.h>

namespace {

class Device : public Arena {
protected:
  void SetUp() override
  {
    if (access("/dev/cma", R_OK | W_OK) != 0)
      GTEST_SKIP() << "/dev/cma: " << strerror(errno);
  }

  static unsigned long copies()
  {
    std::ifstream file("/sys/class/misc/cma/copies");
    unsigned long number = 0;
    EXPECT_TRUE(file >> number);
    return number;
  }

  static std::string target_of(int fd)
  {
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
  }

  /* In increasing order. */
  static std::vector<int> descriptors()
  {
    std::vector<int> found;
    for (int fd = 0; fd < 1024; fd++) {
      std::error_code gone;
      if (std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), gone) ==
          "/dev/cma")
        found.push_back(fd);
    }
    return found;
  }

  long one(const Way &way = libc, long number = SYS_process_vm_readv) const
  {
    iovec mine = {local, 8};
    iovec theirs = {base, 8};
    return way(number, peer, &mine, 1, &theirs, 1, 0);
  }

  /* The device answers, by the one descriptor that there is. */
  void expect_served() const
  {
    meet();
    unsigned long before = copies();
    EXPECT_EQ(one(), 8);
    EXPECT_EQ(copies(), before + 1);
    EXPECT_EQ(descriptors().size(), 1U);
  }

  /* Each process calls and forks the next. */
  void expect_generations(int left) const
  {
    expect_served();
    if (left > 0) {
      EXPECT_EQ(in_child([&] { expect_generations(left - 1); }), 0);
    }
  }
};

TEST_F(Device, ServesBothWaysAndLeavesTheKernelsAlone)
{
  meet();
  for (long number : {SYS_process_vm_readv, SYS_process_vm_writev}) {
    unsigned long before = copies();
    EXPECT_EQ(one(raw, number), 8);
    EXPECT_EQ(copies(), before);
    EXPECT_EQ(one(libc, number), 8);
    EXPECT_EQ(copies(), before + 1);
    EXPECT_EQ(one(by_number, number), 8);
    EXPECT_EQ(copies(), before + 2);
  }
}

TEST_F(Device, FirstCallsAreTheKernels)
{
  unsigned long before = copies();
  EXPECT_EQ(one(), 8);
  EXPECT_EQ(one(by_number), 8);
  EXPECT_EQ(copies(), before);
}

TEST_F(Device, KnownPeerThatDiesIsGone)
{
  meet();
  kill(peer, SIGKILL);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(peer), &info, WEXITED | WNOWAIT);
  for (const Way &way : {raw, libc, by_number}) {
    EXPECT_EQ(one(way), -1);
    EXPECT_EQ(errno, ESRCH);
  }
}

/* A change of credentials, though it says the same, ends what the device knows. */
TEST_F(Device, ForgottenPeerIsTheKernelsAgain)
{
  EXPECT_EQ(in_child([&] {
              meet();
              EXPECT_EQ(prctl(PR_SET_KEEPCAPS, 1), 0);
              for (const Way &way : {libc, by_number})
                EXPECT_EQ(one(way), 8);
              expect_served();
            }),
            0);
}

/* As one that knows the calls, and not of the device. */
TEST_F(Device, FilterThatRefusesTheCallRefusesNoCopy)
{
  for (unsigned int error : {EPERM, ENOSYS})
    EXPECT_EQ(
        in_child([&] {
          std::array lines = {
              sock_filter(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))),
              sock_filter(
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1)),
              sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error)),
              sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW))};
          sock_fprog program = {lines.size(), lines.data()};
          prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
          EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
          EXPECT_EQ(one(raw), -1);
          for (int i = 0; i < 3; i++)
            EXPECT_EQ(one(), 8);
        }),
        0);
}

TEST_F(Device, DescriptorIsOutOfTheWay)
{
  auto found = descriptors();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_GE(found[0], 900);
  EXPECT_EQ(fcntl(found[0], F_GETFD), FD_CLOEXEC);
}

TEST_F(Device, DescriptorIsNearALowerLimit)
{
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 1000) {
    auto found = descriptors();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_GE(found[0], static_cast<int>(limit.rlim_cur * 7 / 8));
    return;
  }
  EXPECT_EQ(in_child([] {
              for (rlim_t low : {961, 256, 20}) {
                rlimit both = {low, low};
                setrlimit(RLIMIT_NOFILE, &both);
                EXPECT_TRUE(pass_anew("Device.DescriptorIsNearALowerLimit")) << low;
              }
            }),
            0);
}

/* A program may have unmapped a page so that what lies before it ends there. */
TEST_F(Device, FirstCallChangesNothing)
{
  if (!getenv("CMA_TEST_FIRST_CALL")) {
    setenv("CMA_TEST_FIRST_CALL", "1", 1);
    EXPECT_TRUE(pass_anew("Device.FirstCallChangesNothing"));
    unsetenv("CMA_TEST_FIRST_CALL");
    return;
  }
  auto *memory = static_cast<char *>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(memory + page, page);
  auto files = descriptors();
  iovec mine = {local, 8};
  iovec border = {memory + page - 4, 8};
  for (int i = 0; i < 40; i++) /* the first are the kernel's */
    EXPECT_EQ(libc(SYS_process_vm_readv, getpid(), &mine, 1, &border, 1, 0), 4);
  unsigned char resident;
  EXPECT_EQ(mincore(memory + page, page, &resident), -1) << "something is mapped there";
  EXPECT_EQ(descriptors(), files);
}

TEST_F(Device, ChildGoesOnWithIt)
{
  expect_generations(50);
}

TEST_F(Device, ChildOfCloneGoesOnWithIt)
{
  for (int i = 0; i < 50; i++)
    for (long flags : {CLONE_FILES | SIGCHLD, CLONE_FS | SIGCHLD}) {
      long child = syscall(SYS_clone, flags, 0, 0, 0, 0);
      if (child == 0) {
        expect_served();
        _exit(HasFailure());
      }
      int status = 0;
      waitpid(static_cast<pid_t>(child), &status, 0);
      ASSERT_EQ(status, 0);
    }
  expect_served();
}

TEST_F(Device, ExecHasOneAnew)
{
  EXPECT_TRUE(pass_anew("Device.DescriptorIsOutOfTheWay"));
}

/// A function of its own: what it keeps in registers is not the parent's of vfork(2).
[[gnu::noinline]] void close_all()
{
  raw_syscall(SYS_close_range, 3, 0xffffffffL, 0);
}

TEST_F(Device, ParentOfVforkKeepsIt)
{
  meet();
  pid_t child = vfork();
  if (child == 0) {
    close_all();
    _exit(one() != 8);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  expect_served();
}

TEST_F(Device, ClosedIsClosed)
{
  EXPECT_EQ(in_child([&] {
              meet();
              close_range(3, ~0U, 0);
              for (const Way &way : {libc, by_number})
                EXPECT_EQ(one(way), 8);
              EXPECT_EQ(descriptors().size(), 0U);
              EXPECT_EQ(open("/dev/null", O_RDONLY), 3);
              EXPECT_EQ(in_child([&] { EXPECT_EQ(one(), 8); }), 0);
            }),
            0);
}

TEST_F(Device, ReusedNumberIsLeftAlone)
{
  int number = descriptors().at(0);
  for (const char *other : {"/dev/null", "/dev/zero", "/proc/self/maps", "/dev/cma"})
    EXPECT_EQ(in_child([&] {
                meet();
                close_range(3, ~0U, 0);
                int file = open(other, O_RDWR | O_CLOEXEC);
                if (file < 0)
                  file = open(other, O_RDONLY | O_CLOEXEC);
                EXPECT_EQ(dup2(file, number), number);
                for (int i = 0; i < 3; i++)
                  EXPECT_EQ(one(), 8);
                EXPECT_EQ(target_of(number), target_of(file));
                EXPECT_EQ(open("/dev/null", O_RDONLY), file + 1);
              }),
              0)
        << other;
}

/* Calls, while another thread counts on the lowest number, the only free one. */
void expect_lowest_number_free(const std::function<long()> &call)
{
  while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
    ;
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0};
  std::thread opener([&] {
    while (!over) {
      close(0);
      wrong += open("/dev/null", O_RDONLY | O_CLOEXEC) != 0;
    }
  });
  for (int i = 0; i < 3000; i++)
    wrong += call() != 8;
  over = true;
  opener.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Device, NumbersAreTheProgramsOwn)
{
  for (bool closed : {false, true})
    EXPECT_EQ(in_child([&] {
                if (closed)
                  close_range(3, ~0U, 0);
                expect_lowest_number_free([&] { return one(); });
              }),
              0)
        << closed;
}

TEST_F(Device, ThreadsWhileItIsClosed)
{
  EXPECT_EQ(in_child([&] {
              std::atomic<bool> over{false};
              std::atomic<long> wrong{0};
              std::vector<std::thread> threads;
              threads.reserve(3);
              for (int i = 0; i < 3; i++)
                threads.emplace_back([&] {
                  char byte;
                  iovec to = {&byte, 1};
                  iovec from = {base, 1};
                  while (!over)
                    wrong += libc(SYS_process_vm_readv, peer, &to, 1, &from, 1, 0) != 1;
                });
              for (int i = 0; i < 200; i++) {
                close_range(900, ~0U, 0);
                std::this_thread::yield();
              }
              over = true;
              for (auto &thread : threads)
                thread.join();
              EXPECT_EQ(wrong, 0);
              EXPECT_EQ(descriptors().size(), 0U);
            }),
            0);
}

/* A filter that a program sets up for itself need not know of more than ioctl(2). */
TEST_F(Device, NeedsIoctlAlone)
{
  auto allow = [](unsigned int number) {
    return std::array{sock_filter(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1)),
                      sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW))};
  };
  auto *before = static_cast<unsigned long *>(
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  EXPECT_EQ(
      in_child([&] {
        meet();
        *before = copies();
        std::vector<sock_filter> filter = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
        for (unsigned int number :
             {SYS_ioctl, SYS_process_vm_readv, SYS_exit_group, SYS_exit})
          for (const sock_filter &line : allow(number))
            filter.push_back(line);
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
        sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        EXPECT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
        long first = one();
        long second = one(by_number);
        raw_syscall(SYS_exit_group, first != 8 || second != 8);
      }),
      0);
  EXPECT_EQ(copies(), *before + 2);
  munmap(before, page);
}

} // namespace
