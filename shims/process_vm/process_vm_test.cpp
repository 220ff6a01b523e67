// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Runs with libcma-process-vm.so preloaded. Every request goes three ways: as
 * a system call that nothing can intercept, through libc's functions and
 * through syscall(2); result, errno and the memory of both sides must agree.
 * Natively, without a device, this shows that the library does no harm; in a
 * guest with the module, that the device answers alike.
 */
#include "arena.hpp"

#include <limits>

#include <dlfcn.h>
#include <link.h>

namespace {

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
  /* Known well, so that the device has nothing to look up but the arguments. */
  for (int i = 0; i < 3; i++)
    agree({.name = "nothing wrong", .local = {mine(0, 8)}, .remote = {some}});
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
  agree({.name = "remote list that ends in a hole",
         .local = {mine(0, 8)},
         .remote_count = 1,
         .remote_list = reinterpret_cast<const iovec *>(local + hole * page - 8)});
  agree({.name = "remote list of the kernel's",
         .local = {mine(0, 8)},
         .remote_count = 1,
         .remote_list = reinterpret_cast<const iovec *>(~size_t{0xfff})});
  agree({.name = "local memory of the kernel's",
         .local = {{reinterpret_cast<void *>(~size_t{0xfff}), 8}},
         .remote = {some}});
  agree({.name = "remote memory of the kernel's",
         .local = {mine(0, 8)},
         .remote = {{reinterpret_cast<void *>(~size_t{0xfff}), 8}}});
  agree({.name = "nothing of a list that is none",
         .local = {mine(0, 0)},
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

TEST_F(Arena, AnotherDeviceIsLeftAlone)
{
  for (const char *device : {"/dev/null", "/", "/nowhere"}) {
    setenv("CMA_DEVICE", device, 1);
    EXPECT_TRUE(pass_anew("Arena.Lengths:Arena.Peers")) << device;
    unsetenv("CMA_DEVICE");
  }
}

} // namespace
