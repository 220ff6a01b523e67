// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The peer of each moment is one that changes its credentials when it is told to. For a
// first contact there is a new one for each call.

#include "moments.hpp"

#include <cma.hpp>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iostream>
#include <memory>
#include <stdexcept>

extern "C" ssize_t preloaded_readv(pid_t pid, const iovec *local,
                                   unsigned long local_count, const iovec *remote,
                                   unsigned long remote_count, unsigned long flags);

namespace bench {
namespace {

/// More than it takes the library to have the module know a peer.
constexpr int kWarmUps = 40;
constexpr int kSamples = 5;
constexpr useconds_t kQuiet = 150'000;

enum class Moment { kFirst, kQuietPeer, kNewCredentials };

struct Case {
  std::string name;
  Moment moment;
  std::size_t bytes;
  bool preloaded; ///< under cma run; else by cma_read
};

constexpr std::array kMoments = {
    std::pair{Moment::kFirst, "first contact"},
    std::pair{Moment::kQuietPeer, "after 150 ms of quiet"},
    std::pair{Moment::kNewCredentials, "the peer's credentials changed"},
};

std::vector<Case> all_cases()
{
  std::vector<Case> cases;
  for (const auto &[moment, when] : kMoments)
    for (std::size_t bytes = 64; bytes <= kBufferBytes; bytes *= 4)
      for (const bool preloaded : {false, true})
        cases.push_back({"read " + words(bytes) + " 4k, " +
                             (preloaded ? "under cma run, " : "by cma_read, ") + when,
                         moment, bytes, preloaded});
  return cases;
}

/// Shared with peers, each of which counts its changes there.
std::uint32_t *changes()
{
  static void *const page =
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return static_cast<std::uint32_t *>(page);
}

/// Credentials that say the same, and are others.
void change_credentials(int /*signal*/)
{
  prctl(PR_SET_KEEPCAPS, prctl(PR_GET_KEEPCAPS) == 0 ? 1 : 0);
  __atomic_fetch_add(changes(), 1, __ATOMIC_RELEASE);
}

void live(std::byte *memory)
{
  std::signal(SIGUSR1, change_credentials);
  sleep_forever(memory);
}

void have_changed(pid_t pid)
{
  const auto before = __atomic_load_n(changes(), __ATOMIC_ACQUIRE);
  kill(pid, SIGUSR1);
  for (int i = 0; __atomic_load_n(changes(), __ATOMIC_ACQUIRE) == before; ++i) {
    if (i == 1000)
      throw std::runtime_error("the peer's credentials do not change");
    usleep(1000);
  }
}

std::unique_ptr<Peer> new_peer(const Case &which)
{
  changes(); // is there before the peer is
  return std::make_unique<Peer>(
      Belongings{.bytes = std::max(which.bytes, kPage), .huge = false}, live);
}

Transfer between(const Case &which, const Buffer &own, const Peer &peer)
{
  const auto place = peer.place(Pages::kScattered);
  return {.write = false,
          .pid = place.pid,
          .window = 0,
          .local = {{own.address(), which.bytes}},
          .remote = {{place.address, which.bytes}}};
}

Call by_process_vm(const Transfer &transfer)
{
  return [&transfer] {
    return process_vm_readv(transfer.pid, transfer.local.data(), 1,
                            transfer.remote.data(), 1, 0);
  };
}

Call by_cma(const Case &which, const cma::Context &context, const Transfer &transfer)
{
  if (which.preloaded)
    return [&transfer] {
      return preloaded_readv(transfer.pid, transfer.local.data(), 1,
                             transfer.remote.data(), 1, 0);
    };
  return [&context, &transfer] {
    return cma_read(context.get(), cma::pid(transfer.pid), transfer.local[0].iov_base,
                    reinterpret_cast<std::uintptr_t>(transfer.remote[0].iov_base),
                    transfer.local[0].iov_len);
  };
}

/// Of the first call that each of several new peers gets.
template<typename Make>
std::uint64_t count_first(Meter &meter, const Case &which, const Buffer &own, Make make)
{
  return least_of(kSamples, [&] {
    const auto peer = new_peer(which);
    const auto transfer = between(which, own, *peer);
    return meter.sample(make(transfer), transfer);
  });
}

template<typename Make>
std::uint64_t count(Meter &meter, const Case &which, const Buffer &own, Make make)
{
  if (which.moment == Moment::kFirst)
    return count_first(meter, which, own, make);
  const auto peer = new_peer(which);
  const auto transfer = between(which, own, *peer);
  const Call call = make(transfer);
  ssize_t moved = 0;
  for (int i = 0; i < kWarmUps; ++i)
    meter.count(call, moved);
  return least_of(kSamples, [&] {
    if (which.moment == Moment::kQuietPeer)
      usleep(kQuiet);
    else
      have_changed(transfer.pid);
    return meter.sample(call, transfer);
  });
}

} // namespace

std::vector<std::string> moment_names()
{
  return names_of(all_cases());
}

void count_moments(const Selection &selection, Meter &meter, Rows &rows)
{
  const Buffer own(Pages::kScattered);
  const cma::Context context(CMA_OPEN_DEVICE);
  const auto add = [&](const Case &which, const char *mechanism,
                       std::uint64_t instructions) {
    rows.push_back({{"case", which.name},
                    {"mechanism", mechanism},
                    {"bytes", which.bytes},
                    {"pages", bench::name(Pages::kScattered)},
                    {"instructions", instructions},
                    {"segments", 1},
                    {"known", which.moment != Moment::kFirst}});
  };
  for (const auto &which : all_cases()) {
    if (!selection.wants(which.name))
      continue;
    std::cout << which.name << std::endl;
    add(which, "process_vm", count(meter, which, own, by_process_vm));
    add(which, "cma_pid", count(meter, which, own, [&](const Transfer &transfer) {
          return by_cma(which, context, transfer);
        }));
  }
}

} // namespace bench
