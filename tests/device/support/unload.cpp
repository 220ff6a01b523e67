// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The module goes while those whose memory it knows change it and exit: what
 * they have it do then must be done before its work queues go.
 */
#include "helper.hpp"
#include "peer.hpp"
#include "twin.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace cma_test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

const size_t owners = std::max<size_t>(2, (40U << 12) / page); // a quarter of a GB
constexpr size_t chunks = 60;     // of each owner, 2 MB apart
const size_t known = 24 * page;   // of each chunk: enough to be cached
const size_t changed = 30 * page; // where each chunk changes then

/// In an owner: changes every chunk, for ever.
long change(uintptr_t base)
{
  while (true)
    for (size_t i = 0; i < chunks; i++)
      madvise(reinterpret_cast<void *>(base + i * huge_page + changed), page,
              MADV_DONTNEED);
}

/// Has the module know all chunks of a process.
bool get_known(const Device &device, pid_t pid, uintptr_t base)
{
  std::vector<uint8_t> bytes(known);
  const iovec here = segment(reinterpret_cast<uintptr_t>(bytes.data()), known);
  for (size_t i = 0; i < chunks; i++) {
    const iovec there = segment(base + i * huge_page, known);
    for (int twice = 0; twice < 2; twice++) // the first may only fetch the pages
      if (run(device, Route::Pid, {pid}, {false, &here, 1, &there, 1, 0}) != gives(known))
        return false;
  }
  return true;
}

bool unload()
{
  const auto end = Clock::now() + 60s;
  while (syscall(SYS_delete_module, "cma", O_NONBLOCK) < 0) {
    if ((errno != EAGAIN && errno != EWOULDBLOCK && errno != EBUSY) || Clock::now() > end)
      return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

} // namespace

int unload_among_exits(std::chrono::milliseconds pause)
{
  std::vector<std::unique_ptr<Peer>> peers;
  const uintptr_t base = make_memory(Kind::Anonymous, chunks * huge_page);
  madvise(reinterpret_cast<void *>(base), chunks * huge_page, MADV_NOHUGEPAGE);
  for (size_t i = 0; i < owners; i++)
    peers.push_back(std::make_unique<Peer>([=] {
      for (size_t k = 0; k < chunks; k++)
        for (size_t at = 0; at < known; at += page)
          *reinterpret_cast<volatile uint8_t *>(base + k * huge_page + at) = 1;
    }));
  {
    const Device device;
    for (const auto &peer : peers)
      if (!get_known(device, peer->pid(), base))
        return 1;
  }
  for (const auto &peer : peers)
    peer->post([=] { return change(base); });
  std::thread ending([&] {
    std::this_thread::sleep_for(pause);
    for (const auto &peer : peers) {
      peer->kill(SIGKILL);
      std::this_thread::sleep_for(pause);
    }
  });
  const bool gone = unload();
  ending.join();
  if (!gone)
    perror("delete_module");
  return gone ? 0 : 1;
}

} // namespace cma_test
