// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "support.hpp"
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

Context open_context(unsigned int flags)
{
  cma_context *context = nullptr;
  EXPECT_EQ(cma_open(&context, flags), 0);
  return Context(context);
}

size_t page_size()
{
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

TemporaryFile::TemporaryFile() : path_(testing::TempDir() + "cma-unit-XXXXXX")
{
  ::close(::mkstemp(path_.data()));
}

TemporaryFile::~TemporaryFile()
{
  ::unlink(path_.c_str());
}

Pages::Pages(size_t count, unsigned char seed)
    : size_(count * page_size()),
      data_(static_cast<char *>(::mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)))
{
  for (size_t i = 0; i < size_; i++)
    data_[i] = static_cast<char>(seed + i * 31 + i / page_size());
}

Pages::~Pages()
{
  ::munmap(data_, size_);
}

void Pages::protect(size_t index, int protection) const
{
  ASSERT_EQ(::mprotect(page(index), page_size(), protection), 0);
}

void Pages::unmap(size_t index) const
{
  ASSERT_EQ(::munmap(page(index), page_size()), 0);
}

Peer::Peer(const std::function<void()> &run)
{
  int ready[2];
  EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(ready[0]);
    // Closed by what comes first: an execve in run(), or its end.
    run();
    ::close(ready[1]);
    for (;;)
      ::pause();
  }
  ::close(ready[1]);
  char byte;
  EXPECT_EQ(::read(ready[0], &byte, 1), 0);
  ::close(ready[0]);
}

Peer::~Peer()
{
  if (pid_ > 0) {
    kill();
    reap();
  }
}

void Peer::kill() const
{
  ::kill(pid_, SIGKILL);
  siginfo_t info;
  ::waitid(P_PID, pid_, &info, WEXITED | WNOWAIT);
}

void Peer::reap()
{
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int in_child(const std::function<int()> &run)
{
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(run());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void become_nobody()
{
  constexpr unsigned int nobody = 65534;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
      ::setresuid(nobody, nobody, nobody) != 0)
    ::_exit(99);
  ::prctl(PR_SET_DUMPABLE, 1);
}

void drop_capabilities()
{
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0)
    ::_exit(99);
}

size_t open_descriptors()
{
  size_t entries = 0;
  DIR *directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr)
    entries++;
  ::closedir(directory);
  return entries - 3; // ".", ".." and the directory itself
}
