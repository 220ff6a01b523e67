// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A program for strace to trace: system calls whose arguments a tracer has to fetch
 * from memory that is long, scattered, or not there. It does the same in every run;
 * linked statically, for what the dynamic linker does depends on the files' times.
 */
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace {

constexpr size_t page = 4096;

/* Three pages; behind them there is a hole. */
char *pages_before_a_hole()
{
  auto *memory = static_cast<char *>(mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(memory + 3 * page, page);
  memset(memory, 'p', 3 * page);
  return memory;
}

/* As one file name: over a page's border, up to the hole, into it, in it. */
void strings(char *memory)
{
  char *end = memory + 3 * page;
  memcpy(memory + page - 10, "/over/the/border/of/a/page", 27);
  open(memory + page - 10, O_RDONLY);
  memcpy(end - 12, "/to/the/end", 12);
  open(end - 12, O_RDONLY);
  end[-1] = 'x';
  open(end - 200, O_RDONLY);
  open(end, O_RDONLY);
}

void structures()
{
  utsname name;
  uname(&name);
  timespec time = {0, 1000};
  nanosleep(&time, nullptr);
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &action, nullptr);
  itimerval timer = {{3, 4}, {1000, 2}};
  setitimer(ITIMER_VIRTUAL, &timer, nullptr);
  std::vector<pollfd> many(100, pollfd{-1, POLLIN, 0});
  poll(many.data(), many.size(), 0);
}

void vectors(char *memory)
{
  int null = open("/dev/null", O_WRONLY);
  std::vector<iovec> segments;
  for (size_t i = 0; i < 50; i++)
    segments.push_back({memory + i * 200, 1 + i * 3});
  writev(null, segments.data(), static_cast<int>(segments.size()));
  segments.push_back({memory + 3 * page - 5, 10});
  writev(null, segments.data(), static_cast<int>(segments.size()));
  write(null, memory, 3 * page);
  close(null);

  int ends[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
  char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = segments.data();
  message.msg_iovlen = 3;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr *first = CMSG_FIRSTHDR(&message);
  first->cmsg_level = SOL_SOCKET;
  first->cmsg_type = SCM_RIGHTS;
  first->cmsg_len = CMSG_LEN(sizeof(int));
  sendmsg(ends[0], &message, 0);
  recvmsg(ends[1], &message, 0);
}

void arguments()
{
  std::string longest(5000, 'a');
  std::vector<char *> list(20, longest.data());
  list.push_back(nullptr);
  execve("/no/such/program", list.data(), list.data());
}

} // namespace

int main()
{
  for (int round = 0; round < 10; round++) {
    char *memory = pages_before_a_hole();
    strings(memory);
    structures();
    vectors(memory);
    arguments();
  }
}
