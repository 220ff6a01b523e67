// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_world.hpp.
#include "bench_world.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

[[noreturn]] void fail(const char *what)
{
  throw std::system_error(errno, std::generic_category(), what);
}

/* A process that ends with this one. */
pid_t fork_child()
{
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0)
    fail("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
      _exit(1);
  }
  return child;
}

template<typename Type>
Type *share(size_t number)
{
  void *memory = mmap(nullptr, number * sizeof(Type), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    fail("mmap");
  auto *first = static_cast<Type *>(memory);
  for (size_t i = 0; i < number; i++)
    new (first + i) Type;
  return first;
}

} // namespace

World::World(Setup wanted) : setup{std::move(wanted)}, shared{share<Shared>(1)}
{
  shared->rings = share<Ring>(setup.readers);
  start_owner();
  for (size_t i = 0; i < setup.readers; i++)
    start_reader(i);
  for (const Answer &answer : answers())
    if (answer.problem)
      throw std::runtime_error(answer.problem.words());
}

World::~World()
{
  for (const int socket : sockets)
    close(socket);
  for (const pid_t child : children) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  munmap(shared->rings, setup.readers * sizeof(Ring));
  munmap(shared, sizeof(Shared));
}

void World::start_owner()
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    fail("pipe2");
  const pid_t child = fork_child();
  if (child == 0)
    own(setup, *shared, ends[1]);
  children.push_back(child);
  close(ends[1]);
  const ssize_t got = ::read(ends[0], &owned, sizeof(owned));
  close(ends[0]);
  if (got != sizeof(owned))
    throw std::runtime_error("the owner of the memory died");
  if (owned.problem)
    throw std::runtime_error(owned.problem.words());
}

void World::start_reader(size_t number)
{
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    fail("socketpair");
  const pid_t child = fork_child();
  if (child == 0) {
    for (const int other : sockets)
      close(other);
    close(ends[0]);
    bench::read(setup, owned, *shared, number, ends[1]);
  }
  children.push_back(child);
  close(ends[1]);
  sockets.push_back(ends[0]);
}

std::vector<Answer> World::answers() const
{
  std::vector<Answer> list(sockets.size());
  for (size_t i = 0; i < sockets.size(); i++)
    if (recv(sockets[i], &list[i], sizeof(Answer), 0) != sizeof(Answer))
      throw std::runtime_error("a process that reads died");
  return list;
}

std::vector<Answer> World::carry_out(const Order &order)
{
  for (const int socket : sockets)
    if (send(socket, &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order))
      throw std::runtime_error("a process that reads died");
  return answers();
}

std::optional<std::string> World::prepare(size_t kind)
{
  for (const Answer &answer :
       carry_out({.kind = kind, .length = 0, .times = 0, .start = 0}))
    if (answer.problem)
      return answer.problem.words();
  return std::nullopt;
}

double World::sample(size_t kind, size_t length, uint64_t &times)
{
  const uint64_t walk = Walk(length, setup.span).steps();
  times = (times + walk - 1) / walk * walk;
  arrivals += setup.readers;
  shared->serving = kinds()[kind].ring ? 1 : 0;
  syscall(SYS_futex, &shared->serving, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  const auto all =
      carry_out({.kind = kind, .length = length, .times = times, .start = arrivals});
  shared->serving = 0;
  uint64_t begin = UINT64_MAX;
  uint64_t end = 0;
  for (const Answer &answer : all) {
    if (answer.problem)
      throw std::runtime_error(answer.problem.words());
    begin = std::min(begin, answer.begin);
    end = std::max(end, answer.end);
  }
  return static_cast<double>(end - begin) / static_cast<double>(times);
}

} // namespace bench
