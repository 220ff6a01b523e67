// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// A peer with eight times as many chunks as may be cached, or of which some are copied
// from again and again. Counted is all that the machine does in a round of calls: chunks
// that come are made by the copier, and those that go are destroyed by others, which is
// put off. So rounds are long: what they put off comes up in them, as what was put off
// in the one before does.
//
// The first word of each piece tells when it was written.

#include "beyond.hpp"

#include "bound.hpp"
#include "idle_counter.hpp"
#include "instructions.hpp"
#include "measure.hpp"
#include "mechanism.hpp"
#include "memory.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <system_error>

namespace bench {
namespace {

constexpr std::size_t kChunk = 2UL << 20;
constexpr std::size_t kBound = 32;
constexpr std::size_t kChunks = 8 * kBound;
constexpr std::size_t kHot = kBound / 2;
constexpr int kRounds = 3;

enum class Order {
  kRandom,
  kCyclic,   ///< chunk by chunk
  kUncached, ///< at random, and nothing may be cached
  kMoved,    ///< what fits, after others filled the cache
};

struct Case {
  std::string name;
  bool write;
  std::size_t bytes;
  Order order;
};

const char *name(Order order)
{
  switch (order) {
  case Order::kRandom:
    return "8x the bound at random";
  case Order::kCyclic:
    return "8x the bound in turn";
  case Order::kUncached:
    return "no cache";
  default:
    return "moved on";
  }
}

std::vector<Case> all_cases()
{
  std::vector<Case> cases;
  for (const bool write : {false, true})
    for (const std::size_t bytes : {64UL, 4UL << 10, 64UL << 10, 1UL << 20})
      for (const auto order :
           {Order::kRandom, Order::kCyclic, Order::kUncached, Order::kMoved})
        cases.push_back(
            {(write ? "write " : "read ") + words(bytes) + " 4k, " + name(order), write,
             bytes, order});
  return cases;
}

/// Shares the processor with whoever has something to do, as programs do.
class Ordinary {
public:
  Ordinary() : policy_(sched_getscheduler(0))
  {
    sched_getparam(0, &param_);
    const sched_param none{.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_OTHER, &none) != 0)
      throw std::system_error(errno, std::generic_category(), "sched_setscheduler");
  }
  ~Ordinary() { sched_setscheduler(0, policy_, &param_); }
  Ordinary(const Ordinary &) = delete;
  Ordinary(Ordinary &&) = delete;
  Ordinary &operator=(const Ordinary &) = delete;
  Ordinary &operator=(Ordinary &&) = delete;

private:
  int policy_;
  sched_param param_{};
};

using Word = std::uint64_t;

/// One walk is not the other's again: it would find its pages known.
std::size_t random()
{
  static std::mt19937 engine(1);
  return engine();
}

/// The calls that a mechanism makes, each for another piece of the peer's memory.
class Walk {
public:
  Walk(const Case &which, const Mechanism &mechanism, const Buffer &own, const Peer &peer)
      : which_(which), inspector_(peer.place(Pages::kScattered).pid), own_(own.address()),
        place_(peer.place(Pages::kScattered)), stride_(std::max(which.bytes, kPage))
  {
    transfers_.push_back({.write = which.write,
                          .pid = place_.pid,
                          .window = place_.window,
                          .local = {{own_, which.bytes}},
                          .remote = {{place_.address, which.bytes}},
                          .as_list = true});
    call_ = mechanism.prepare(transfers_, Contact::kKnown).front();
  }

  /// What is to be called on, and what is there.
  void plan(std::size_t calls, Order order)
  {
    pieces_.clear();
    for (std::size_t i = 0; i < calls; ++i)
      pieces_.push_back(next(order));
    expected_.resize(kChunks * kChunk / stride_);
    for (const auto piece : pieces_)
      expected_[piece] = there(piece);
  }

  void go()
  {
    auto &first = *static_cast<volatile Word *>(static_cast<void *>(own_));
    for (const auto piece : pieces_) {
      transfers_[0].remote[0].iov_base = place_.address + piece * stride_;
      first = which_.write ? (expected_[piece] = ++calls_) : ~Word{0};
      if (call_() != static_cast<ssize_t>(which_.bytes))
        throw std::system_error(errno, std::generic_category(), which_.name);
      if (first != expected_[piece])
        throw std::runtime_error(which_.name + ": not the peer's bytes");
    }
  }

  void prove() const
  {
    for (const auto piece : pieces_)
      if (there(piece) != expected_[piece])
        throw std::runtime_error(which_.name + ": the peer has not got the bytes");
  }

private:
  std::size_t next(Order order)
  {
    const auto in_chunk = kChunk / stride_;
    if (order == Order::kMoved)
      return chunk_++ % kHot * in_chunk;
    const auto chunk = order == Order::kCyclic ? chunk_++ : random();
    return chunk % kChunks * in_chunk + random() % in_chunk;
  }

  [[nodiscard]] Word there(std::size_t piece) const
  {
    const iovec segment{place_.address + piece * stride_, sizeof(Word)};
    Word word = 0;
    std::memcpy(&word, inspector_.get({&segment, 1}).data(), sizeof word);
    return word;
  }

  const Case &which_;
  Inspector inspector_;
  std::byte *own_;
  Place place_;
  std::size_t stride_;
  Transfers transfers_;
  Call call_;
  std::size_t chunk_ = 0;
  std::vector<std::size_t> pieces_;
  std::vector<Word> expected_;
  Word calls_ = 0;
};

/// What a round takes at least.
std::size_t calls_of(const Case &which)
{
  return which.bytes < 64UL << 10 ? 8192 : which.bytes < 1UL << 20 ? 2048 : 256;
}

/// Has the cache give back what it has.
void empty_cache()
{
  for (int i = 0; i < 100; ++i) {
    std::size_t chunks = 0;
    std::ifstream("/sys/class/misc/cma/chunks") >> chunks;
    if (chunks == 0)
      return;
    std::ofstream("/proc/sys/vm/drop_caches") << 2 << std::flush;
    usleep(20'000);
  }
  throw std::runtime_error("the cache cannot be emptied");
}

/// Instructions of a call, on average in a round; the least of several, since other
/// threads have their work, too.
std::uint64_t count(const Case &which, const Mechanism &mechanism, const Buffer &own,
                    const Peer &peer)
{
  const Bound bound(which.order == Order::kUncached ? 0 : kBound);
  if (which.order == Order::kUncached)
    empty_cache();
  Walk walk(which, mechanism, own, peer);
  walk.plan(kChunks, which.order == Order::kMoved ? Order::kCyclic : which.order);
  walk.go();
  const auto calls = calls_of(which);
  if (which.order == Order::kMoved) {
    walk.plan(8 * calls, which.order);
    walk.go();
  }
  return least_of(kRounds, [&] {
    walk.plan(calls, which.order);
    const auto before = instructions();
    walk.go();
    const auto work = instructions() - before;
    walk.prove();
    return work / calls;
  });
}

} // namespace

std::vector<std::string> beyond_names()
{
  return names_of(all_cases());
}

void count_beyond(const Selection &selection, Rows &rows)
{
  std::optional<Peer> peer;
  std::optional<Buffer> own;
  const Ordinary ordinary;
  for (const auto &which : all_cases()) {
    if (!selection.wants(which.name))
      continue;
    if (!peer) {
      own.emplace(Pages::kScattered);
      peer.emplace(Belongings{.bytes = kChunks * kChunk, .huge = false, .window = true});
      const IdleCounter waits_until_the_machine_is_at_rest;
    }
    std::cout << which.name << std::endl;
    for (const auto &mechanism : mechanisms()) {
      if (mechanism.name == "memcpy")
        continue;
      rows.push_back({{"case", which.name},
                      {"mechanism", mechanism.name},
                      {"bytes", which.bytes},
                      {"pages", bench::name(Pages::kScattered)},
                      {"instructions", count(which, mechanism, *own, *peer)},
                      {"segments", 1}});
    }
  }
}

} // namespace bench
