// SPDX-License-Identifier: MIT OR BSD-2-Clause
/** @file peer.cpp The demo's other process, and the socket between the two. */
#include "peer.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace demo {
namespace {

/** What is asked of the peer; it answers each with one number. */
struct Order {
  std::uint64_t seed; ///< not 0: fill the buffer
  Layout layout;      ///< of what to sum up
};

/** The peer finds its end of the socket here. */
constexpr int kPeerSocket = STDIN_FILENO;

void require(bool good, const char *what)
{
  if (good)
    return;
  std::perror(what);
  std::exit(EXIT_FAILURE);
}

std::uint64_t ask(int socket, const Order &order)
{
  std::uint64_t answer = 0;
  require(send(socket, &order, sizeof(order), MSG_NOSIGNAL) == sizeof(order) &&
              recv(socket, &answer, sizeof(answer), 0) == sizeof(answer),
          "demo: the other process does not answer");
  return answer;
}

} // namespace

std::vector<iovec> Layout::at(std::uint64_t base) const
{
  std::vector<iovec> segments;
  for (std::uint64_t i = 0; i < count; ++i)
    segments.push_back({reinterpret_cast<void *>(base + i * stride), length});
  return segments;
}

void fill(std::span<std::byte> buffer, std::uint64_t seed)
{
  std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
  for (auto &byte : buffer)
    byte = static_cast<std::byte>(random() >> 8);
}

std::uint64_t checksum(const std::vector<iovec> &segments)
{
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const auto &segment : segments)
    for (auto byte :
         std::span(static_cast<const std::byte *>(segment.iov_base), segment.iov_len))
      sum = (sum ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return sum;
}

Peer::Peer()
{
  int sockets[2];
  require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0,
          "demo: socketpair");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, sockets[1], kPeerSocket);
  char name[] = "demo", role[] = "--peer";
  char *const arguments[] = {name, role, nullptr};
  errno = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, environ);
  require(errno == 0, "demo: starting the other process");
  posix_spawn_file_actions_destroy(&actions);
  close(sockets[1]);
  socket_ = sockets[0];
  buffer_ = ask(socket_, {.seed = 1, .layout = {.length = 0}});
}

Peer::~Peer()
{
  close(socket_); // which it takes as its end
  waitpid(pid_, nullptr, 0);
}

void Peer::fill(std::uint64_t seed) const
{
  ask(socket_, {.seed = seed, .layout = {.length = 0}});
}

std::uint64_t Peer::checksum(const Layout &layout) const
{
  return ask(socket_, {.seed = 0, .layout = layout});
}

int Peer::main()
{
  std::vector<std::byte> buffer(kBufferBytes);
  const auto base = reinterpret_cast<std::uint64_t>(buffer.data());
  Order order;
  while (recv(kPeerSocket, &order, sizeof(order), 0) == sizeof(order)) {
    std::uint64_t answer = base;
    if (order.seed)
      demo::fill(buffer, order.seed);
    else
      answer = demo::checksum(order.layout.at(base));
    require(send(kPeerSocket, &answer, sizeof(answer), 0) == sizeof(answer),
            "demo: answering");
  }
  return EXIT_SUCCESS;
}

} // namespace demo
