// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What the tests of libcma-process-vm.so share: the same request made in three ways (as
 * a system call that nothing can intercept, through libc's functions and through
 * syscall(2)), memory on both sides, and programs of their own.
 */
#ifndef CMA_PROCESS_VM_ARENA_HPP
#define CMA_PROCESS_VM_ARENA_HPP

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "raw_syscall.hpp"

#ifndef CMA_RAW_SYSCALL
#error "no system calls here that the library could not intercept"
#endif

inline const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
constexpr size_t pages = 16;

/* The arena is mapped before the fork: at the same addresses on both sides. */
enum { hole = 6, no_access = 9, read_only = 12 };

struct Request {
  std::string name;
  std::vector<iovec> local = {}, remote = {};
  std::optional<pid_t> pid = {};
  unsigned long flags = 0;
  /* instead of the vectors' own */
  std::optional<unsigned long> local_count = {}, remote_count = {};
  const iovec *remote_list = nullptr;
};

struct Outcome {
  long result;
  int error;
  std::string local, remote;
  bool operator==(const Outcome &) const = default;
};

inline std::ostream &operator<<(std::ostream &out, const Outcome &o)
{
  return out << "result " << o.result << ", errno " << o.error << ", memory of "
             << std::hash<std::string>{}(o.local) << " and "
             << std::hash<std::string>{}(o.remote);
}

using Way = std::function<long(long number, pid_t, const iovec *, unsigned long,
                               const iovec *, unsigned long, unsigned long)>;

inline const Way raw = [](long number, pid_t pid, const iovec *l, unsigned long ln,
                          const iovec *r, unsigned long rn, unsigned long flags) {
  long result = raw_syscall(number, pid, reinterpret_cast<long>(l), static_cast<long>(ln),
                            reinterpret_cast<long>(r), static_cast<long>(rn),
                            static_cast<long>(flags));
  if (!raw_failed(result))
    return result;
  errno = static_cast<int>(-result);
  return -1L;
};

inline const Way libc = [](long number, auto... arguments) -> long {
  return number == SYS_process_vm_readv ? process_vm_readv(arguments...)
                                        : process_vm_writev(arguments...);
};

inline const Way by_number = [](long number, auto... arguments) {
  return syscall(number, arguments...);
};

class Arena : public testing::Test {
protected:
  Arena()
  {
    base = static_cast<char *>(mmap(nullptr, pages * page, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    local = static_cast<char *>(mmap(nullptr, pages * page, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    fill(base, 'a');
    /* Unmapped, it would be the next place for malloc(3). */
    mprotect(local + hole * page, page, PROT_NONE);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    peer = fork();
    if (peer == 0) {
      munmap(base + hole * page, page);
      mprotect(base + no_access * page, page, PROT_NONE);
      mprotect(base + read_only * page, page, PROT_READ);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      (void)!write(ready[1], "", 1);
      for (;;)
        pause();
    }
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }

  ~Arena() override
  {
    kill(peer, SIGKILL);
    waitpid(peer, nullptr, 0);
    munmap(base, pages * page);
    munmap(local, pages * page);
  }

  static void fill(char *memory, unsigned seed)
  {
    for (size_t i = 0; i < pages * page; i++)
      memory[i] = static_cast<char>(seed + i * 31 + i / page);
  }

  /* What is there, page by page, the holes left out. */
  std::string snapshot(pid_t pid, char *memory) const
  {
    std::string all;
    std::string one(page, '\0');
    for (size_t i = 0; i < pages; i++) {
      iovec to = {one.data(), page};
      iovec from = {memory + i * page, page};
      if (raw(SYS_process_vm_readv, pid, &to, 1, &from, 1, 0) > 0)
        all += one;
    }
    return all;
  }

  void reset() const
  {
    for (size_t i = 0; i < pages; i++) {
      iovec from = {base + i * page, page};
      iovec to = from;
      raw(SYS_process_vm_writev, peer, &from, 1, &to, 1, 0);
      if (i != hole)
        memset(local + i * page, static_cast<int>(i), page);
    }
  }

  Outcome run(const Way &way, long number, const Request &request) const
  {
    reset();
    errno = 0;
    long result =
        way(number, request.pid.value_or(peer), request.local.data(),
            request.local_count.value_or(request.local.size()),
            request.remote_list ? request.remote_list : request.remote.data(),
            request.remote_count.value_or(request.remote.size()), request.flags);
    return {result, errno, snapshot(getpid(), local), snapshot(peer, base)};
  }

  /* Until the device knows the peer, if there is one: the first calls are the kernel's.
   */
  void meet() const
  {
    char byte;
    iovec to = {&byte, 1};
    iovec from = {base, 1};
    for (int i = 0; i < 40; i++)
      EXPECT_EQ(libc(SYS_process_vm_readv, peer, &to, 1, &from, 1, 0), 1);
  }

  void agree(const Request &request) const
  {
    for (long number : {SYS_process_vm_readv, SYS_process_vm_writev}) {
      SCOPED_TRACE(request.name +
                   (number == SYS_process_vm_readv ? ", read" : ", write"));
      Outcome expected = run(raw, number, request);
      EXPECT_EQ(run(libc, number, request), expected);
      EXPECT_EQ(run(by_number, number, request), expected);
      meet();
      EXPECT_EQ(run(libc, number, request), expected) << "known";
      EXPECT_EQ(run(by_number, number, request), expected) << "known";
    }
  }

  iovec mine(size_t offset, size_t length) const { return {local + offset, length}; }

  iovec theirs(size_t offset, size_t length) const { return {base + offset, length}; }

  char *base, *local;
  pid_t peer;
};

/** The exit status of a child, in which a test's failure is one, too. */
template<typename Body>
int in_child(Body body)
{
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    body();
    _exit(testing::Test::HasFailure());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/** The tests of a filter in a program of their own, in which main() is yet to come. */
inline bool pass_anew(const std::string &filter)
{
  std::string filtered = "--gtest_filter=" + filter;
  return in_child([&] {
           execl("/proc/self/exe", "process_vm_test", filtered.c_str(), "--gtest_brief=1",
                 nullptr);
           _exit(99);
         }) == 0;
}

#endif
