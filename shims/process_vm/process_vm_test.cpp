// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Runs with libcma-process-vm.so preloaded. Every request goes three ways: as
 * a system call that nothing can intercept, through libc's functions and
 * through syscall(2); result, errno and the memory of both sides must agree.
 * Natively, without a device, this shows that the library does no harm; in a
 * guest with the module, that the device answers alike.
 */
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "raw_syscall.hpp"

namespace {

#ifndef CMA_RAW_SYSCALL
#error "no system calls here that the library could not intercept"
#endif

const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
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

std::ostream &operator<<(std::ostream &out, const Outcome &o)
{
  return out << "result " << o.result << ", errno " << o.error << ", memory of "
             << std::hash<std::string>{}(o.local) << " and "
             << std::hash<std::string>{}(o.remote);
}

using Way = std::function<long(long number, pid_t, const iovec *, unsigned long,
                               const iovec *, unsigned long, unsigned long)>;

const Way raw = [](long number, pid_t pid, const iovec *l, unsigned long ln,
                   const iovec *r, unsigned long rn, unsigned long flags) {
  long result = raw_syscall(number, pid, reinterpret_cast<long>(l), static_cast<long>(ln),
                            reinterpret_cast<long>(r), static_cast<long>(rn),
                            static_cast<long>(flags));
  if (!raw_failed(result))
    return result;
  errno = static_cast<int>(-result);
  return -1L;
};

const Way libc = [](long number, auto... arguments) -> long {
  return number == SYS_process_vm_readv ? process_vm_readv(arguments...)
                                        : process_vm_writev(arguments...);
};

const Way by_number = [](long number, auto... arguments) {
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

  void agree(const Request &request) const
  {
    for (long number : {SYS_process_vm_readv, SYS_process_vm_writev}) {
      SCOPED_TRACE(request.name +
                   (number == SYS_process_vm_readv ? ", read" : ", write"));
      Outcome expected = run(raw, number, request);
      EXPECT_EQ(run(libc, number, request), expected);
      EXPECT_EQ(run(by_number, number, request), expected);
    }
  }

  iovec mine(size_t offset, size_t length) const { return {local + offset, length}; }

  iovec theirs(size_t offset, size_t length) const { return {base + offset, length}; }

  char *base, *local;
  pid_t peer;
};

TEST_F(Arena, IsServedByTheLibrary)
{
  for (const char *name : {"process_vm_readv", "process_vm_writev", "syscall"}) {
    Dl_info where = {};
    ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, name), &where), 0);
    EXPECT_NE(std::string(where.dli_fname).find("libcma-process-vm"), std::string::npos)
        << name << " is that of " << where.dli_fname << ": run this test with LD_PRELOAD";
  }
}

TEST_F(Arena, Lengths)
{
  for (size_t length :
       {size_t{0}, size_t{1}, size_t{7}, page - 1, page, page + 1, 3 * page + 5})
    for (size_t offset : {size_t{0}, size_t{1}, page - 1})
      agree({.name = "length " + std::to_string(length) + " at " + std::to_string(offset),
             .local = {mine(5, length)},
             .remote = {theirs(offset, length)}});
}

TEST_F(Arena, Vectors)
{
  agree({.name = "no segments"});
  agree({.name = "no local", .remote = {theirs(0, 9)}});
  agree({.name = "no remote", .local = {mine(0, 9)}});
  agree({.name = "uneven",
         .local = {mine(0, 10), mine(page, 0), mine(page - 3, 700)},
         .remote = {theirs(3, 500), theirs(page - 1, 2), theirs(9, 90)}});
  for (size_t count : {2, 8, 9, 1024, 1025}) {
    Request request{.name = std::to_string(count) + " segments"};
    for (size_t i = 0; i < count; i++) {
      request.local.push_back(mine(i * 17, 16));
      request.remote.push_back(theirs(i * 19, 16));
    }
    agree(request);
    request.local = {mine(0, 5 * page)};
    agree(request);
  }
}

TEST_F(Arena, Holes)
{
  for (size_t at : {hole, no_access, read_only}) {
    agree({.name = "into page " + std::to_string(at),
           .local = {mine(0, 3 * page)},
           .remote = {theirs((at - 1) * page + 100, 2 * page)}});
    agree({.name = "at page " + std::to_string(at),
           .local = {mine(0, page)},
           .remote = {theirs(at * page, 10)}});
    agree({.name = "second segment in page " + std::to_string(at),
           .local = {mine(0, page)},
           .remote = {theirs(1, 10), theirs(at * page + 1, 10)}});
  }
  agree({.name = "into the local hole",
         .local = {mine((hole - 1) * page + 100, 2 * page)},
         .remote = {theirs(0, 2 * page)}});
  agree({.name = "at the local hole",
         .local = {mine(hole * page, 10)},
         .remote = {theirs(0, 10)}});
  agree({.name = "NULL of theirs", .local = {mine(0, 8)}, .remote = {{nullptr, 8}}});
  agree({.name = "NULL of ours", .local = {{nullptr, 8}}, .remote = {theirs(0, 8)}});
}

TEST_F(Arena, BadArguments)
{
  iovec some = theirs(0, 8);
  size_t too_long = size_t{std::numeric_limits<ssize_t>::max()} + 1;
  agree({.name = "flags", .local = {mine(0, 8)}, .remote = {some}, .flags = 1});
  agree(
      {.name = "high flag", .local = {mine(0, 8)}, .remote = {some}, .flags = 1UL << 40});
  agree({.name = "flags before all else", .pid = -1, .flags = 1, .local_count = 5000});
  agree({.name = "local length", .local = {mine(0, too_long)}, .remote = {some}});
  agree(
      {.name = "remote length", .local = {mine(0, 8)}, .remote = {theirs(0, too_long)}});
  agree({.name = "local list", .remote = {some}, .local_count = 1});
  agree({.name = "remote list",
         .local = {mine(0, 8)},
         .remote_count = 1,
         .remote_list = reinterpret_cast<const iovec *>(8)});
  agree({.name = "count wraps",
         .local = {mine(0, 8)},
         .remote = {some},
         .remote_count = std::numeric_limits<unsigned long>::max()});
  for (unsigned long count : {1UL << 32, (1UL << 32) + 1, (1UL << 32) + 2000}) {
    agree({.name = "local count " + std::to_string(count),
           .local = {mine(0, 8)},
           .remote = {some},
           .local_count = count});
    agree({.name = "remote count " + std::to_string(count),
           .local = {mine(0, 8)},
           .remote = {some},
           .remote_count = count});
  }
}

TEST_F(Arena, Peers)
{
  pid_t zombie = fork();
  if (zombie == 0)
    _exit(0);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT);
  for (pid_t pid : {getpid(), zombie, 0, -1, 2, 1 << 30}) {
    agree({.name = "pid " + std::to_string(pid),
           .local = {mine(0, 100)},
           .remote = {{local + 2 * page, 100}},
           .pid = pid});
    agree({.name = "nothing of pid " + std::to_string(pid),
           .local = {mine(0, 0)},
           .remote = {theirs(0, 100)},
           .pid = pid});
  }
  waitpid(zombie, nullptr, 0);
}

TEST_F(Arena, Refused)
{
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can become somebody else";
  pid_t child = fork();
  if (child == 0) {
    /* Not setuid(3), which tells other threads: nobody's memory
     * must be the same before and after. */
    if (raw_syscall(SYS_setuid, 65534))
      _exit(2);
    for (const Way &way : {raw, libc, by_number}) {
      iovec to = mine(0, 8);
      iovec from = theirs(0, 8);
      if (way(SYS_process_vm_readv, getppid(), &to, 1, &from, 1, 0) != -1 ||
          errno != EPERM)
        _exit(1);
    }
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(Arena, ErrnoIsUntouchedBySuccess)
{
  iovec to = mine(0, 8);
  iovec from = theirs(0, 8);
  for (const Way &way : {libc, by_number}) {
    errno = 1234;
    EXPECT_EQ(way(SYS_process_vm_readv, peer, &to, 1, &from, 1, 0), 8);
    EXPECT_EQ(errno, 1234);
  }
}

TEST(Library, PassesOtherSystemCallsOn)
{
  EXPECT_EQ(syscall(SYS_getpid), getpid());
  errno = 0;
  EXPECT_EQ(syscall(SYS_close, -1), -1);
  EXPECT_EQ(errno, EBADF);

  int file = memfd_create("six arguments", 0);
  ASSERT_EQ(ftruncate(file, static_cast<off_t>(2 * page)), 0);
  ASSERT_EQ(pwrite(file, "there", 5, static_cast<off_t>(page)), 5);
  long where = syscall(SYS_mmap, 0L, page, PROT_READ, MAP_SHARED, file, page);
  ASSERT_NE(where, -1);
  EXPECT_STREQ(reinterpret_cast<char *>(where), "there");
  munmap(reinterpret_cast<void *>(where), page);
  close(file);

  /* As programs do that need to get round libc's fork(3). */
  long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0)
    _exit(7);
  int status = 0;
  waitpid(static_cast<pid_t>(child), &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(Library, NeedsLibcAlone)
{
  Dl_info where = {};
  link_map *map = nullptr;
  void *function = dlsym(RTLD_DEFAULT, "process_vm_readv");
  ASSERT_NE(dladdr1(function, &where, reinterpret_cast<void **>(&map), RTLD_DL_LINKMAP),
            0);
  const char *strings = nullptr;
  std::vector<size_t> names;
  for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_STRTAB)
      strings = reinterpret_cast<const char *>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_NEEDED)
      names.push_back(entry->d_un.d_val);
  }
  ASSERT_EQ(names.size(), 1U);
  EXPECT_EQ(std::string(strings + names[0]).substr(0, 5), "libc.");
}

/* A child reads the environment anew, as it opens the device anew. */
TEST_F(Arena, AnotherDeviceIsLeftAlone)
{
  for (const char *device : {"/dev/null", "/", "/nowhere"}) {
    setenv("CMA_DEVICE", device, 1);
    pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
      agree({.name = device, .local = {mine(0, 100)}, .remote = {theirs(0, 100)}});
      _exit(HasFailure());
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << device;
    unsetenv("CMA_DEVICE");
  }
}

/* What only a device can show. */
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

  static std::vector<int> descriptors()
  {
    std::vector<int> found;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (read_symlink(entry.path(), gone) == "/dev/cma")
        found.push_back(std::stoi(entry.path().filename()));
    }
    return found;
  }

  long one(const Way &way = libc, long number = SYS_process_vm_readv) const
  {
    iovec mine = {local, 8};
    iovec theirs = {base, 8};
    return way(number, peer, &mine, 1, &theirs, 1, 0);
  }
};

TEST_F(Device, ServesBothWaysAndLeavesTheKernelsAlone)
{
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

TEST_F(Device, DescriptorIsOutOfTheWay)
{
  EXPECT_EQ(one(), 8);
  auto found = descriptors();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_GE(found[0], 900);
  EXPECT_EQ(fcntl(found[0], F_GETFD), FD_CLOEXEC);
}

TEST_F(Device, IsOpenedAgainWhenClosed)
{
  EXPECT_EQ(one(), 8);
  ASSERT_EQ(close_range(3, ~0U, 0), 0);
  unsigned long before = copies();
  EXPECT_EQ(one(), 8);
  EXPECT_EQ(copies(), before + 1);
}

TEST_F(Device, ReusedNumberIsLeftAlone)
{
  for (const char *other : {"/dev/null", "/dev/zero", "/proc/self/maps"}) {
    EXPECT_EQ(one(), 8);
    auto found = descriptors();
    ASSERT_EQ(found.size(), 1U);
    int file = open(other, O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(dup2(file, found[0]), found[0]);
    unsigned long before = copies();
    EXPECT_EQ(one(), 8);
    EXPECT_EQ(copies(), before + 1);
    EXPECT_EQ(target_of(found[0]), target_of(file)) << "it was not ours to close";
    close(found[0]);
    close(file);
  }
}

TEST_F(Device, ChildOpensItsOwn)
{
  EXPECT_EQ(one(), 8);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    unsigned long before = copies();
    bool moved = one() == 8 && copies() == before + 1;
    _exit(moved && descriptors().size() == 2 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(Device, ThreadsWhileOneCloses)
{
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
  EXPECT_LE(descriptors().size(), 2U) << "descriptors leak";
}

} // namespace
