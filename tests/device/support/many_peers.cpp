// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "many_peers.hpp"

#include "peer.hpp"

#include <chrono>
#include <csignal>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {

ManyPeers::ManyPeers(const Rounds &as_many)
    : ready_(
          static_cast<uint64_t *>(mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0)))
{
  for ([[maybe_unused]] const int i : as_many) {
    pids_.emplace_back();
    fill(pids_.size() - 1);
  }
}

ManyPeers::~ManyPeers()
{
  end_all(pids_);
  munmap(const_cast<uint64_t *>(ready_), sizeof(uint64_t));
}

void ManyPeers::replace(size_t i)
{
  kill(pids_[i], SIGKILL);
  waitpid(pids_[i], nullptr, 0);
  fill(i);
}

void ManyPeers::replace_under(size_t threads, std::chrono::milliseconds then,
                              const std::function<void(size_t)> &look)
{
  std::atomic<bool> stop = false;
  std::vector<std::thread> lookers;
  for (size_t t = 0; t < threads; t++)
    lookers.emplace_back([&, t] {
      for (size_t i = t * 37; !stop; i = (i + 7) % size())
        look(i);
    });
  for (size_t i = 0; i < 40; i++)
    replace(i * 5);
  std::this_thread::sleep_for(then);
  stop = true;
  for (auto &looker : lookers)
    looker.join();
}

void ManyPeers::fill(size_t i)
{
  *ready_ = 0;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    die_with(parent);
    word = static_cast<uint64_t>(word_of(i));
    *ready_ = 1;
    for (;;)
      pause();
  }
  require(child > 0, "fork");
  while (*ready_ == 0)
    usleep(50);
  pids_[i] = child;
}

} // namespace cma_test
