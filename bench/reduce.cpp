// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_reduce() beside what a program does without it: a process_vm_readv(2) of all of a
// peer's data into a buffer, and the same loop over that, peer by peer. The peers and
// their memory are known. Every result is checked.

#include "reduce.hpp"

#include "../userlib/reduce_loops.hpp"

#include <cma.hpp>
#include <cma_reduce.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>

namespace bench {
namespace {

/// More than it takes the library to have the module know a peer.
constexpr int kWarmUps = 40;
constexpr int kSamples = 7;
constexpr std::size_t kPeers = 4;

struct Case {
  const char *name;
  std::size_t bytes;
  std::size_t peers;
  bool new_memory = false; ///< of the peers: nobody has copied from it
};

constexpr Case kCases[] = {
    {"reduce 64 B 4k, one peer", 64, 1},
    {"reduce 64 KiB 4k, one peer", 64UL << 10, 1},
    {"reduce 1 MiB 4k, one peer", 1UL << 20, 1},
    {"reduce 1 MiB 4k, new memory", 1UL << 20, 1, true},
    {"reduce 1 MiB 4k, four peers", 1UL << 20, kPeers},
};

/// Element i of peer p is i + p.
void put_elements(const Place &there, std::size_t p)
{
  std::vector<double> values(kBufferBytes / sizeof(double));
  std::iota(values.begin(), values.end(), static_cast<double>(p));
  const iovec all{there.address, kBufferBytes};
  Inspector(there.pid).put({&all, 1}, std::as_bytes(std::span(values)));
}

/// The memory of all of them; element i of the caller's is i.
class Scene {
public:
  Scene()
  {
    for (std::size_t p = 0; p < kPeers; ++p) {
      peers_.push_back(std::make_unique<Peer>(Belongings{.huge = false, .window = true}));
      put_elements(place(p), p);
    }
  }

  [[nodiscard]] Place place(std::size_t p) const
  {
    return peers_[p]->place(Pages::kScattered);
  }
  [[nodiscard]] double *own() const { return reinterpret_cast<double *>(own_.address()); }
  [[nodiscard]] std::byte *scratch() const { return scratch_.address(); }

private:
  std::vector<std::unique_ptr<Peer>> peers_;
  Buffer own_{Pages::kScattered};
  Buffer scratch_{Pages::kScattered};
};

/// Where the peers' elements are.
std::vector<Place> places_of(const Scene &scene, const Case &which)
{
  std::vector<Place> places;
  for (std::size_t p = 0; p < which.peers; ++p)
    places.push_back(scene.place(p));
  return places;
}

/// @return elements reduced
Call by_process_vm(const Scene &scene, const Case &which,
                   const std::vector<Place> &places)
{
  const auto loop = cma::find_best_loop(CMA_OP_SUM, CMA_TYPE_DOUBLE);
  return [&scene, which, places, loop]() -> ssize_t {
    const iovec to{scene.scratch(), which.bytes};
    const std::size_t count = which.bytes / sizeof(double);
    for (const auto &place : places) {
      const iovec from{place.address, which.bytes};
      if (process_vm_readv(place.pid, &to, 1, &from, 1, 0) !=
          static_cast<ssize_t>(which.bytes))
        return -1;
      loop(scene.own(), scene.own(), scene.scratch(), count);
    }
    return static_cast<ssize_t>(count);
  };
}

/// What cma_reduce() is given, which lies behind pointers.
struct Request {
  std::vector<iovec> remote;
  std::vector<cma_operand> operands;
  iovec local{};
  cma_reduction reduction{};
};

/// The windows are of all of the peers' memory: addresses are the same by each way.
Call by_cma(const Scene &scene, const Case &which, const std::vector<Place> &places,
            const cma::Context &context, const std::vector<cma::Peer> &peers)
{
  const auto request = std::make_shared<Request>();
  for (const auto &place : places)
    request->remote.push_back({place.address, which.bytes});
  for (std::size_t p = 0; p < which.peers; ++p)
    request->operands.push_back({peers[p], &request->remote[p], 1});
  request->local = {scene.own(), which.bytes};
  auto &reduction = request->reduction;
  reduction.op = CMA_OP_SUM;
  reduction.type = CMA_TYPE_DOUBLE;
  reduction.count = which.bytes / sizeof(double);
  reduction.local = &request->local;
  reduction.operands = request->operands.data();
  reduction.local_count = 1;
  reduction.operand_count = which.peers;
  return [&context, request] { return cma_reduce(context.get(), &request->reduction); };
}

std::uint64_t sample(const Meter &meter, const Call &call, const Scene &scene,
                     const Case &which)
{
  const std::span own(scene.own(), which.bytes / sizeof(double));
  std::iota(own.begin(), own.end(), 0.0);
  ssize_t result = 0;
  const auto counted = meter.count(call, result);
  if (result != static_cast<ssize_t>(own.size()))
    throw std::runtime_error("reduced " + std::to_string(result) + " elements");
  const auto peers = static_cast<double>(which.peers);
  for (std::size_t i = 0; i < own.size(); ++i)
    if (own[i] != static_cast<double>(i) * (peers + 1) + peers * (peers - 1) / 2)
      throw std::runtime_error("a sum is wrong");
  return counted;
}

/// How the library is given a peer, or nothing: by the system call.
using Naming = std::function<cma::Peer(const Place &)>;

struct Mechanism {
  const char *name;
  Naming naming;
};

/// The handles that they open live as long as @p handles.
std::vector<Mechanism> mechanisms(const cma::Context &context,
                                  std::vector<cma::Handle> &handles)
{
  const auto keep = [&handles](cma::Handle handle) {
    return cma::Peer(handles.emplace_back(std::move(handle)));
  };
  return {{"process_vm", nullptr},
          {"cma_pid", [](const Place &place) { return cma::pid(place.pid); }},
          {"cma_handle",
           [&context, keep](const Place &place) {
             return keep(context.open(cma::pid(place.pid)));
           }},
          {"cma_window", [&context, keep](const Place &place) {
             return keep(context.open_window(place.window));
           }}};
}

Call prepare(const Scene &scene, const Case &which, const std::vector<Place> &places,
             const cma::Context &context, const Mechanism &mechanism)
{
  if (!mechanism.naming)
    return by_process_vm(scene, which, places);
  std::vector<cma::Peer> peers;
  peers.reserve(places.size());
  for (const auto &place : places)
    peers.push_back(mechanism.naming(place));
  return by_cma(scene, which, places, context, peers);
}

/// The peer is known by other memory of it, and what is reduced is not.
std::uint64_t sample_new(const Meter &meter, const Scene &scene, const Case &which,
                         const cma::Context &context, const Mechanism &mechanism)
{
  const Peer peer(Belongings{.window = true});
  const auto elsewhere = peer.place(Pages::kHuge);
  const auto there = peer.place(Pages::kScattered);
  put_elements(elsewhere, 0);
  put_elements(there, 0);
  const auto known = prepare(scene, which, {elsewhere}, context, mechanism);
  for (int i = 0; i < kWarmUps; ++i)
    sample(meter, known, scene, which);
  return sample(meter, prepare(scene, which, {there}, context, mechanism), scene, which);
}

std::uint64_t count(const Meter &meter, const Scene &scene, const Case &which,
                    const cma::Context &context, const Mechanism &mechanism)
{
  if (which.new_memory)
    return least_of(kSamples,
                    [&] { return sample_new(meter, scene, which, context, mechanism); });
  const auto call = prepare(scene, which, places_of(scene, which), context, mechanism);
  for (int i = 0; i < kWarmUps; ++i)
    sample(meter, call, scene, which);
  return least_of(kSamples, [&] { return sample(meter, call, scene, which); });
}

void add(Rows &rows, const Meter &meter, const Scene &scene, const Case &which,
         const cma::Context &context, const Mechanism &mechanism)
{
  const auto pages = which.bytes / kPage;
  rows.push_back({{"case", which.name},
                  {"mechanism", mechanism.name},
                  {"bytes", which.bytes},
                  {"pages", name(Pages::kScattered)},
                  {"instructions", count(meter, scene, which, context, mechanism)},
                  {"segments", std::max(pages, std::size_t{1})},
                  {"known", true},
                  {"unit", pages > 0 ? "page" : "segment"}});
}

} // namespace

std::vector<std::string> reduce_names()
{
  return names_of(kCases);
}

void count_reductions(const Selection &selection, Meter &meter, Rows &rows)
{
  if (std::ranges::none_of(reduce_names(),
                           [&](const auto &name) { return selection.wants(name); }))
    return;
  const Scene scene;
  const cma::Context context(CMA_OPEN_DEVICE);
  std::vector<cma::Handle> handles; // which end before the context
  for (const auto &which : kCases) {
    if (!selection.wants(which.name))
      continue;
    std::cout << which.name << std::endl;
    for (const auto &mechanism : mechanisms(context, handles))
      add(rows, meter, scene, which, context, mechanism);
  }
}

} // namespace bench
