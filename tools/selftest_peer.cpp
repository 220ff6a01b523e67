// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See selftest_peer.hpp.
#include "selftest_peer.hpp"

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr size_t nowhere = SIZE_MAX;

[[noreturn]] void fail(const char *what)
{
  throw std::system_error(errno, std::generic_category(), what);
}

} // namespace

void fill(char *arena, size_t begin, size_t end, uint64_t seed)
{
  for (size_t i = begin; i < end; i++)
    arena[i] = pattern(seed, i);
}

std::optional<size_t> find_difference(const char *arena, size_t begin, size_t end,
                                      uint64_t seed)
{
  for (size_t i = begin; i < end; i++)
    if (arena[i] != pattern(seed, i))
      return i;
  return std::nullopt;
}

Peer::Peer()
{
  size_t length = size + (last + 1) * page;
  void *where =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (where == MAP_FAILED)
    fail("mmap");
  memory = static_cast<char *>(where);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    fail("socketpair");
  child = fork();
  if (child < 0)
    fail("fork");
  if (child == 0) {
    close(ends[0]);
    serve(ends[1]);
  }
  close(ends[1]);
  socket = ends[0];
  fill(0, 0, 0); /* the special pages are there when this is answered */
}

Peer::~Peer()
{
  close(socket);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  munmap(memory, size + (last + 1) * page);
}

char *Peer::special(Special which) const
{
  return memory + size + which * page;
}

void Peer::serve(int end)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  munmap(special(hole), page);
  mprotect(special(no_access), page, PROT_NONE);
  mprotect(special(read_only), page, PROT_READ);
  Order order;
  while (recv(end, &order, sizeof(order), 0) == sizeof(order)) {
    size_t answer = nowhere;
    if (order.what == Order::fill)
      ::fill(memory, order.begin, order.end, order.seed);
    else
      answer =
          ::find_difference(memory, order.begin, order.end, order.seed).value_or(nowhere);
    send(end, &answer, sizeof(answer), MSG_NOSIGNAL);
  }
  _exit(0);
}

size_t Peer::ask(const Order &order)
{
  size_t answer;
  if (send(socket, &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order) ||
      recv(socket, &answer, sizeof(answer), 0) != sizeof(answer))
    throw std::runtime_error("the peer does not answer");
  return answer;
}

void Peer::fill(size_t begin, size_t end, uint64_t seed)
{
  ask({Order::fill, begin, end, seed});
}

std::optional<size_t> Peer::find_difference(size_t begin, size_t end, uint64_t seed)
{
  size_t answer = ask({Order::compare, begin, end, seed});
  if (answer == nowhere)
    return std::nullopt;
  return answer;
}
