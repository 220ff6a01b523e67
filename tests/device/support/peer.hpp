// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A second process that does what the test says. It is forked, never exec'ed,
 * from the test, so that a closure means the same on both sides: its bytes
 * travel over a socket and it runs in the peer. Addresses that existed before
 * the fork are valid in both.
 *
 * A peer never outlives its test: it dies with the thread that made it
 * (PR_SET_PDEATHSIG, armed again after every call, since a change of
 * credentials disarms it), with its Peer object, and by an alarm of its own.
 */
#pragma once

#include "device.hpp"

#include <array>
#include <csignal>
#include <cstring>
#include <functional>
#include <new>
#include <sys/types.h>
#include <sys/wait.h>
#include <type_traits>

namespace cma_test {

/// In a peer: give up with a message, which fails the test that waits for it.
[[noreturn]] void give_up(const char *what);

/// In a peer: what must be true for the test to make sense.
inline void require(bool condition, const char *what)
{
  if (!condition)
    give_up(what);
}

/// In a child: end when the thread of `parent` that forked it does. One that has ended
/// already sends no signal, and whatever the child has open would stay in use.
void die_with(pid_t parent);

/// Kills children of the test's, and reaps them.
template<class Pids>
void end_all(const Pids &pids)
{
  for (const pid_t pid : pids)
    kill(pid, SIGKILL);
  for (const pid_t pid : pids)
    waitpid(pid, nullptr, 0);
}

class Peer {
public:
  /// Forks; returns when setup has run in the child. clone_flags are
  /// those of clone(2) which need no stack: CLONE_NEWPID, for one.
  explicit Peer(const std::function<void()> &setup = {}, unsigned long clone_flags = 0);
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;
  ~Peer();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }

  /// Runs a closure in the peer and waits for what it returns.
  template<class Closure>
  long call(const Closure &closure)
  {
    post(closure);
    return answer();
  }
  /// Runs a closure in the peer without waiting; answer() waits.
  template<class Closure>
  void post(const Closure &closure)
  {
    static_assert(std::is_trivially_copyable_v<Closure>, "capture plain values only");
    static_assert(sizeof(Closure) <= sizeof(Message::closure));
    Message message;
    message.run = [](void *bytes) -> long {
      return (*std::launder(static_cast<Closure *>(bytes)))();
    };
    std::memcpy(message.closure.data(), &closure, sizeof(closure));
    send(message);
  }
  long answer();

  void kill(int signal);
  /// Reaps the peer; its status as waitpid(2) gives it.
  int wait();
  /// Waits until it has called execve(2), or exited: its socket closes then.
  void wait_closed();
  /// Waits until it has exited, and leaves it a zombie.
  void wait_exited();

private:
  struct Message {
    long (*run)(void *closure);
    alignas(16) std::array<std::byte, 240> closure;
  };
  void send(const Message &message);
  [[noreturn]] static void run_as_peer(const std::function<void()> &setup, int socket);
  [[noreturn]] static void serve(int socket);

  Fd socket_;
  Fd pidfd_;
  pid_t pid_ = -1;
  bool reaped_ = false;
};

int pidfd_open(pid_t pid);

} // namespace cma_test
