// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Every copy by every mechanism that it means something to. The peers' memory is
// laid out as the case says, before and after.

#include "copies.hpp"

#include "bound.hpp"
#include "mapped.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>

namespace bench {
namespace {

/// Calls before the first that counts: caches fill, lazy work gets done.
constexpr int kWarmUps = 3;

/// Segments of a vectored copy, each on a page of its own, no neighbours.
constexpr std::size_t kSegments = 64;

/// Ranks of a machine, of a large one, of the largest; and what nobody needs.
constexpr std::size_t kManyPeers[] = {64, 384, 1024, 10'000};
/// The default of a machine that has memory for so many programs, this guest's is not.
constexpr std::size_t kChunksForManyPeers = 32768;

struct Case {
  std::string name;
  bool write = false;
  std::size_t bytes = 0;
  Pages pages = Pages::kScattered;
  Contact contact = Contact::kKnown;
  std::size_t segments = 1;
  bool new_peer = false;   ///< a process that nobody has looked at yet, for each call
  bool as_list = false;    ///< the one segment handed over in a list
  bool new_memory = false; ///< of a known peer, for each call
  std::size_t peers = 0;   ///< so many peers in turn
};

/// Powers of four: 64 B to 4 MiB.
std::vector<std::size_t> sizes()
{
  std::vector<std::size_t> list;
  for (std::size_t bytes = 64; bytes <= kBufferBytes; bytes *= 4)
    list.push_back(bytes);
  return list;
}

/// The peer is known, and so is its memory.
void add_known(std::vector<Case> &cases, bool write)
{
  const std::string verb = write ? "write " : "read ";
  for (const auto pages : {Pages::kScattered, Pages::kHuge})
    for (const auto bytes : sizes())
      cases.push_back({.name = verb + words(bytes) + " " + name(pages),
                       .write = write,
                       .bytes = bytes,
                       .pages = pages});
  for (const auto bytes : {std::size_t{64}, kPage})
    cases.push_back(
        {.name = verb + std::to_string(kSegments) + " x " + words(bytes) + " 4k",
         .write = write,
         .bytes = kSegments * bytes,
         .segments = kSegments});
}

/// The peer is known, the memory is not.
void add_new_memory(std::vector<Case> &cases)
{
  for (const auto bytes : sizes())
    cases.push_back({.name = "read " + words(bytes) + " 4k, new memory",
                     .bytes = bytes,
                     .new_memory = true});
}

void add_first_contact(std::vector<Case> &cases)
{
  for (const std::size_t bytes : {64UL, 1UL << 20})
    for (const bool unseen : {false, true})
      cases.push_back({.name = "read " + words(bytes) +
                               " 4k, first contact: new open file" +
                               (unseen ? " and process" : ""),
                       .bytes = bytes,
                       .contact = Contact::kFirst,
                       .new_peer = unseen});
}

std::vector<Case> all_cases()
{
  std::vector<Case> cases;
  for (const bool write : {false, true})
    add_known(cases, write);
  add_new_memory(cases);
  cases.push_back({.name = "read 64 B 4k, as a list", .bytes = 64, .as_list = true});
  for (const auto peers : kManyPeers)
    cases.push_back({.name = "read 64 B 4k, " + std::to_string(peers) + " peers in turn",
                     .bytes = 64,
                     .peers = peers});
  cases.push_back(
      {.name = "read 64 B 4k, strict", .bytes = 64, .contact = Contact::kStrict});
  add_first_contact(cases);
  return cases;
}

std::vector<iovec> segments(const Case &which, std::byte *address)
{
  const auto bytes = which.bytes / which.segments;
  std::vector<iovec> list;
  for (std::size_t i = 0; i < which.segments; ++i)
    list.push_back({address + i * (kPage + bytes), bytes});
  return list;
}

/// The memory of both sides, and a peer that is known after the first copy.
class Scene {
public:
  Scene() { prove(); }

  /// The places' layout could have changed behind the benchmark's back.
  void prove() const
  {
    for (const auto pages : {Pages::kScattered, Pages::kHuge}) {
      prove_layout({getpid(), own(pages).address()}, pages);
      prove_layout({getpid(), other(pages).address()}, pages);
      prove_layout(peer_.place(pages), pages);
    }
  }

  [[nodiscard]] Transfer between(const Case &which, const Place &remote) const
  {
    return {.write = which.write,
            .pid = remote.pid,
            .window = remote.window,
            .local = segments(which, own(which.pages).address()),
            .remote = segments(which, remote.address),
            .as_list = which.as_list};
  }

  [[nodiscard]] Place known_peer(Pages pages) const { return peer_.place(pages); }

  /// For memcpy: the caller's own, laid out like the peer's.
  [[nodiscard]] Place stand_in(Pages pages) const
  {
    return {getpid(), other(pages).address()};
  }

private:
  [[nodiscard]] const Buffer &own(Pages pages) const
  {
    return pages == Pages::kHuge ? own_huge_ : own_scattered_;
  }
  [[nodiscard]] const Buffer &other(Pages pages) const
  {
    return pages == Pages::kHuge ? other_huge_ : other_scattered_;
  }

  Buffer own_scattered_{Pages::kScattered};
  Buffer own_huge_{Pages::kHuge};
  Buffer other_scattered_{Pages::kScattered};
  Buffer other_huge_{Pages::kHuge};
  Peer peer_{{.window = true}};
};

/// A new peer. A window makes its owner known to the module, so none is where
/// none is used.
std::unique_ptr<Peer> new_peer(const Mechanism &mechanism, std::size_t bytes)
{
  return std::make_unique<Peer>(
      Belongings{.bytes = std::max(bytes, kPage), .window = mechanism.wants_window});
}

int samples_of(const Case &which)
{
  if (which.peers > 0)
    return which.peers < 1000 ? 8 : 2;
  return which.bytes < 1UL << 20 ? 15 : 7;
}

std::uint64_t count_known(Meter &meter, const Case &which, const Mechanism &mechanism,
                          const Transfer &transfer)
{
  const std::vector transfers{transfer};
  const auto calls = mechanism.prepare(transfers, which.contact);
  const auto sample = [&] { return meter.sample(calls.front(), transfers.front()); };
  for (int i = 0; i < kWarmUps; ++i)
    sample();
  return least_of(samples_of(which), sample);
}

using ManyPeers = std::vector<std::unique_ptr<Peer>>;

ManyPeers make_peers(const Case &which)
{
  ManyPeers peers(which.peers);
  for (auto &peer : peers)
    peer =
        std::make_unique<Peer>(Belongings{.bytes = kPage, .huge = false, .window = true});
  return peers;
}

/// Each sample is a round of all transfers, and what one took on average: a mechanism
/// that knows some of its peers only does not hide behind those. One call after another,
/// as programs make them: to prove the bytes of each takes so long that the kernel would
/// have to be asked anew. They are proven beforehand.
std::uint64_t count_peers_in_turn(Meter &meter, const Case &which,
                                  const Mechanism &mechanism, const Scene &scene,
                                  const ManyPeers &peers)
{
  std::vector<Transfer> transfers;
  for (const auto &peer : peers)
    transfers.push_back(scene.between(which, peer->place(which.pages)));
  const auto calls = mechanism.prepare(transfers, which.contact);
  for (std::size_t i = 0; i < calls.size(); ++i)
    meter.sample(calls[i], transfers[i]);
  const auto round = [&] {
    std::uint64_t total = 0;
    for (const auto &call : calls) {
      ssize_t moved = 0;
      total += meter.count(call, moved);
      if (moved != static_cast<ssize_t>(which.bytes))
        throw std::runtime_error(which.name + ": moved " + std::to_string(moved));
    }
    return total / calls.size();
  };
  for (int i = 0; i < kWarmUps; ++i)
    round();
  return least_of(samples_of(which), round);
}

/// The peer is known, even its memory elsewhere; what is copied was never.
std::uint64_t count_new_memory(Meter &meter, const Case &which,
                               const Mechanism &mechanism, const Scene &scene)
{
  const Case elsewhere{.name = {}, .bytes = kPage, .pages = Pages::kHuge};
  return least_of(samples_of(which), [&] {
    const auto peer = new_peer(mechanism, kBufferBytes);
    const std::vector transfers{scene.between(elsewhere, peer->place(elsewhere.pages)),
                                scene.between(which, peer->place(which.pages))};
    const auto calls = mechanism.prepare(transfers, which.contact);
    for (int i = 0; i < kWarmUps; ++i)
      meter.sample(calls.front(), transfers.front());
    return meter.sample(calls.back(), transfers.back());
  });
}

std::uint64_t count_first(Meter &meter, const Case &which, const Mechanism &mechanism,
                          const Scene &scene)
{
  return least_of(samples_of(which), [&] {
    const auto peer = which.new_peer ? new_peer(mechanism, which.bytes) : nullptr;
    const auto remote = peer ? peer->place(which.pages) : scene.known_peer(which.pages);
    const std::vector transfers{scene.between(which, remote)};
    const auto calls = mechanism.prepare(transfers, which.contact);
    return meter.sample(calls.front(), transfers.front());
  });
}

std::uint64_t count(Meter &meter, const Case &which, const Mechanism &mechanism,
                    const Scene &scene, const ManyPeers &peers)
{
  if (which.contact == Contact::kFirst)
    return count_first(meter, which, mechanism, scene);
  if (which.new_memory)
    return count_new_memory(meter, which, mechanism, scene);
  if (which.peers > 0)
    return count_peers_in_turn(meter, which, mechanism, scene, peers);
  const auto remote = mechanism.name == "memcpy" ? scene.stand_in(which.pages)
                                                 : scene.known_peer(which.pages);
  return count_known(meter, which, mechanism, scene.between(which, remote));
}

/// Without a system call there is nothing that could know the peer.
bool works_for(const Mechanism &mechanism, const Case &which)
{
  return (mechanism.name != "memcpy" && mechanism.name != "mapping") ||
         (which.contact == Contact::kKnown && !which.new_memory && which.peers == 0);
}

} // namespace

std::vector<std::string> copy_names()
{
  return names_of(all_cases());
}

void count_copies(const Selection &selection, Meter &meter, Rows &rows)
{
  const Scene scene;
  auto all = mechanisms();
  all.push_back(mapping());
  for (const auto &which : all_cases()) {
    if (!selection.wants(which.name))
      continue;
    std::cout << which.name << std::endl;
    std::optional<Bound> bound;
    if (which.peers > 0)
      bound.emplace(kChunksForManyPeers);
    const ManyPeers peers = make_peers(which);
    for (const auto &mechanism : all) {
      if (!works_for(mechanism, which))
        continue;
      rows.push_back({{"case", which.name},
                      {"mechanism", mechanism.name},
                      {"bytes", which.bytes},
                      {"pages", name(which.pages)},
                      {"instructions", count(meter, which, mechanism, scene, peers)},
                      {"segments", which.segments},
                      {"known", which.contact == Contact::kKnown}});
    }
  }
  scene.prove();
}

} // namespace bench
