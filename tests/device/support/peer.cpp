// SPDX-License-Identifier: MIT OR BSD-2-Clause
// The forked process and its control socket; see peer.hpp.
#include "peer.hpp"

#include <csignal>
#include <cstdio>
#include <poll.h>
#include <sched.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_test {
namespace {

/// Longer than any test takes in an emulated guest; only a hang gets there.
constexpr unsigned patience_s = 200;

/// A peer that gave up exits so; the test sees the end of the socket.
constexpr int gave_up = 99;

void stay_mortal()
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(patience_s);
}

} // namespace

void give_up(const char *what)
{
  fprintf(stderr, "peer %d: %s: %s\n", getpid(), what, strerror(errno));
  _exit(gave_up);
}

void die_with(pid_t parent)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    _exit(0);
}

int pidfd_open(pid_t pid)
{
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

Peer::Peer(const std::function<void()> &setup, unsigned long clone_flags)
{
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
    throw std::runtime_error("socketpair");
  socket_.reset(ends[0]);
  fflush(nullptr);
  // Not every kernel that gives pidfds so has pidfd_open(2), too.
  int pidfd = -1;
  pid_ = static_cast<pid_t>(
      syscall(SYS_clone, clone_flags | CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0));
  if (pid_ < 0) {
    reaped_ = true;
    ::close(ends[1]);
    throw std::runtime_error("clone of a peer");
  }
  if (pid_ == 0) {
    ::close(ends[0]);
    run_as_peer(setup, ends[1]);
  }
  ::close(ends[1]);
  pidfd_.reset(pidfd);
  try {
    answer();
  } catch (...) {
    kill(SIGKILL);
    wait();
    throw;
  }
}

Peer::~Peer()
{
  if (reaped_)
    return;
  kill(SIGKILL);
  wait();
}

void Peer::run_as_peer(const std::function<void()> &setup, int socket)
{
  signal(SIGALRM, SIG_DFL); // the test's program has a handler, which must get to run
  stay_mortal();
  try {
    if (setup)
      setup();
  } catch (const std::exception &error) {
    give_up(error.what());
  }
  stay_mortal();
  const long ready = 0;
  ::send(socket, &ready, sizeof(ready), MSG_NOSIGNAL);
  serve(socket);
}

void Peer::serve(int socket)
{
  Message message;
  while (recv(socket, &message, sizeof(message), 0) == sizeof(message)) {
    long result = 0;
    try {
      result = message.run(message.closure.data());
    } catch (const std::exception &error) {
      give_up(error.what()); // or the test's own code would run on in the peer
    }
    stay_mortal();
    ::send(socket, &result, sizeof(result), MSG_NOSIGNAL);
  }
  _exit(0);
}

void Peer::send(const Message &message)
{
  if (::send(socket_.get(), &message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
    throw std::runtime_error("a peer has gone");
}

long Peer::answer()
{
  pollfd waiting = {socket_.get(), POLLIN, 0};
  long result = 0;
  if (poll(&waiting, 1, patience_s * 1000) != 1)
    throw std::runtime_error("a peer does not answer");
  if (recv(socket_.get(), &result, sizeof(result), 0) != sizeof(result))
    throw std::runtime_error("a peer has gone");
  return result;
}

void Peer::kill(int signal)
{
  if (!reaped_)
    ::kill(pid_, signal);
}

int Peer::wait()
{
  int status = 0;
  if (!reaped_ && TEMP_FAILURE_RETRY(waitpid(pid_, &status, 0)) == pid_)
    reaped_ = true;
  return status;
}

void Peer::wait_closed()
{
  char byte = 0;
  while (recv(socket_.get(), &byte, sizeof(byte), 0) > 0) {
  }
}

void Peer::wait_exited()
{
  siginfo_t info;
  TEMP_FAILURE_RETRY(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT));
}

} // namespace cma_test
