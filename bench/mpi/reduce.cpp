// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Sums of doubles among the ranks of one machine, in five ways: by MPI as it is; by
// process_vm_readv(2) in pieces that stay in the cache, and a loop; by cma_reduce(), one
// peer at a time, and all in one call; and by a loop over mappings of the peers' memory,
// which were made before. In all but MPI's own a reduction is rank 0's work, as that of
// an inner node of a tree is; of an allreduce each rank makes a share, and fetches the
// others'.

#include "world.hpp"

#include <cma.h>
#include <cma_reduce.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace bench {
namespace {

constexpr std::size_t kSizes[] = {1UL << 10, 16UL << 10, 64UL << 10, 256UL << 10,
                                  1UL << 20, 4UL << 20,  16UL << 20};
constexpr std::size_t kPiece = (64UL << 10) / sizeof(double);

void must(bool truth, const char *what)
{
  if (!truth)
    give_up(what);
}

void add(double *out, const double *one, const double *other, std::size_t count)
{
  for (std::size_t i = 0; i < count; i++)
    out[i] = one[i] + other[i];
}

/// A rank, and where it has its elements and the results.
struct Peer {
  pid_t pid;
  std::uint64_t window;
  double *elements;
  double *results;
};

/// The memory of all ranks, for vectors of one size.
struct Node {
  std::size_t count;
  int slots;
  Outgoing elements;
  Incoming results;
  std::vector<Peer> peers;

  explicit Node(std::size_t bytes, std::uint64_t window)
      : count(bytes / sizeof(double)), slots(slots_for(bytes)), elements(count, slots),
        results(count, slots), peers(static_cast<std::size_t>(ranks))
  {
    const Peer mine{getpid(), window, elements.at(0), results.at(0)};
    MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, peers.data(), sizeof(mine), MPI_BYTE,
                  MPI_COMM_WORLD);
  }

  /// The other ranks, the next one first, so that not all begin with the same.
  [[nodiscard]] std::vector<int> others() const
  {
    std::vector<int> all;
    for (int i = 1; i < ranks; i++)
      all.push_back((rank + i) % ranks);
    return all;
  }
  [[nodiscard]] const double *elements_of(int peer, int slot) const
  {
    return peers[static_cast<std::size_t>(peer)].elements + Outgoing::first(slot);
  }
  [[nodiscard]] const double *results_of(int peer, int slot) const
  {
    return peers[static_cast<std::size_t>(peer)].results +
           static_cast<std::size_t>(slot) * count;
  }
};

class Way {
public:
  explicit Way(Node &node) : node_(node) {}
  virtual ~Way() = default;
  Way(const Way &) = delete;
  Way &operator=(const Way &) = delete;

  virtual void reduce(int slot)
  {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
      sum(slot, 0, node_.count);
  }

  virtual void allreduce(int slot)
  {
    const std::size_t share = node_.count / static_cast<std::size_t>(ranks);
    MPI_Barrier(MPI_COMM_WORLD);
    sum(slot, static_cast<std::size_t>(rank) * share, share);
    MPI_Barrier(MPI_COMM_WORLD);
    for (const int peer : node_.others())
      fetch(peer, slot, static_cast<std::size_t>(peer) * share, share);
  }

protected:
  /// Makes these elements of the result.
  virtual void sum(int slot, std::size_t first, std::size_t count) = 0;
  /// Takes these elements of the result from the peer that made them.
  virtual void fetch(int peer, int slot, std::size_t first, std::size_t count) = 0;

  double *own(int slot) { return node_.elements.at(slot); }
  double *result(int slot) { return node_.results.at(slot); }
  [[nodiscard]] const Node &node() const { return node_; }

private:
  Node &node_;
};

class ByMpi : public Way {
public:
  using Way::Way;
  void reduce(int slot) override
  {
    MPI_Reduce(own(slot), result(slot), static_cast<int>(node().count), MPI_DOUBLE,
               MPI_SUM, 0, MPI_COMM_WORLD);
  }
  void allreduce(int slot) override
  {
    MPI_Allreduce(own(slot), result(slot), static_cast<int>(node().count), MPI_DOUBLE,
                  MPI_SUM, MPI_COMM_WORLD);
  }

protected:
  void sum(int /*slot*/, std::size_t /*first*/, std::size_t /*count*/) override {}
  void fetch(int /*peer*/, int /*slot*/, std::size_t /*first*/,
             std::size_t /*count*/) override
  {
  }
};

class ByProcessVm : public Way {
public:
  using Way::Way;

protected:
  void sum(int slot, std::size_t first, std::size_t count) override
  {
    const auto others = node().others();
    for (std::size_t at = first; at < first + count; at += kPiece) {
      const std::size_t piece = std::min(kPiece, first + count - at);
      const double *so_far = own(slot) + at;
      for (const int peer : others) {
        read(peer, piece_.data(), node().elements_of(peer, slot) + at, piece);
        add(result(slot) + at, so_far, piece_.data(), piece);
        so_far = result(slot) + at;
      }
    }
  }
  void fetch(int peer, int slot, std::size_t first, std::size_t count) override
  {
    read(peer, result(slot) + first, node().results_of(peer, slot) + first, count);
  }

private:
  void read(int peer, double *to, const double *from, std::size_t count)
  {
    const std::size_t bytes = count * sizeof(double);
    const iovec local{to, bytes};
    const iovec remote{const_cast<double *>(from), bytes};
    must(process_vm_readv(node().peers[static_cast<std::size_t>(peer)].pid, &local, 1,
                          &remote, 1, 0) == static_cast<ssize_t>(bytes),
         "process_vm_readv");
  }

  std::vector<double> piece_ = std::vector<double>(kPiece);
};

/// The library, with a handle of each peer's window; handles[i] is rank i's.
struct Library {
  cma_context *context = nullptr;
  std::uint64_t window = 0;
  std::vector<int> handles;
};

class ByReduce : public Way {
public:
  ByReduce(Node &node, const Library &library, bool many)
      : Way(node), library_(library), many_(many)
  {
  }

protected:
  void sum(int slot, std::size_t first, std::size_t count) override
  {
    const auto others = node().others();
    std::vector<iovec> remote;
    std::vector<cma_operand> operands;
    remote.reserve(others.size());
    operands.reserve(others.size());
    for (const int peer : others)
      remote.push_back({const_cast<double *>(node().elements_of(peer, slot) + first),
                        count * sizeof(double)});
    for (std::size_t i = 0; i < others.size(); i++)
      operands.push_back({peer(others[i]), &remote[i], 1});
    const iovec local{own(slot) + first, count * sizeof(double)};
    const iovec out{result(slot) + first, count * sizeof(double)};
    if (many_)
      reduce_into(out, local, operands.data(), operands.size(), count);
    for (std::size_t i = 0; !many_ && i < operands.size(); i++)
      reduce_into(out, i == 0 ? local : out, &operands[i], 1, count);
  }
  void fetch(int from, int slot, std::size_t first, std::size_t count) override
  {
    const auto bytes = static_cast<ssize_t>(count * sizeof(double));
    must(cma_read(library_.context, peer(from), result(slot) + first,
                  reinterpret_cast<std::uintptr_t>(node().results_of(from, slot) + first),
                  static_cast<std::size_t>(bytes)) == bytes,
         "cma_read");
  }

private:
  [[nodiscard]] cma_peer peer(int of) const
  {
    return cma_handle(library_.handles[static_cast<std::size_t>(of)]);
  }
  void reduce_into(const iovec &out, const iovec &local, const cma_operand *operands,
                   std::size_t peers, std::size_t count)
  {
    cma_reduction reduction{};
    reduction.op = CMA_OP_SUM;
    reduction.type = CMA_TYPE_DOUBLE;
    reduction.count = count;
    reduction.local = &local;
    reduction.local_count = 1;
    reduction.out = &out;
    reduction.out_count = 1;
    reduction.operands = operands;
    reduction.operand_count = peers;
    must(cma_reduce(library_.context, &reduction) == static_cast<ssize_t>(count),
         "cma_reduce");
  }

  const Library &library_;
  bool many_;
};

/// What a peer has at these addresses, mapped as long as this lives.
class Mapping {
public:
  Mapping(const Library &library, int peer, const double *remote, std::size_t count)
      : bytes_(count * sizeof(double))
  {
    must(cma_map(library.context, library.handles[static_cast<std::size_t>(peer)],
                 reinterpret_cast<std::uintptr_t>(remote), bytes_, PROT_READ, 0,
                 &address_) == 0,
         "cma_map");
  }
  ~Mapping() { cma_unmap(address_, bytes_); }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;

  [[nodiscard]] const double *at(std::size_t first) const
  {
    return static_cast<const double *>(address_) + first;
  }

private:
  std::size_t bytes_;
  void *address_ = nullptr;
};

class ByMapping : public Way {
public:
  ByMapping(Node &node, const Library &library) : Way(node)
  {
    const auto slots = static_cast<std::size_t>(node.slots);
    for (int peer = 0; peer < ranks; peer++) {
      if (peer == rank) {
        elements_.emplace_back();
        results_.emplace_back();
        continue;
      }
      elements_.push_back(
          std::make_unique<Mapping>(library, peer, node.elements_of(peer, 0),
                                    node.count + Outgoing::first(node.slots - 1)));
      results_.push_back(std::make_unique<Mapping>(
          library, peer, node.results_of(peer, 0), node.count * slots));
    }
  }

protected:
  void sum(int slot, std::size_t first, std::size_t count) override
  {
    constexpr std::size_t kInCache = 512;
    const auto others = node().others();
    for (std::size_t at = first; at < first + count; at += kInCache) {
      const std::size_t piece = std::min(kInCache, first + count - at);
      const double *so_far = own(slot) + at;
      for (const int peer : others) {
        const auto &there = *elements_[static_cast<std::size_t>(peer)];
        add(result(slot) + at, so_far, there.at(Outgoing::first(slot) + at), piece);
        so_far = result(slot) + at;
      }
    }
  }
  void fetch(int peer, int slot, std::size_t first, std::size_t count) override
  {
    const auto &there = *results_[static_cast<std::size_t>(peer)];
    std::copy_n(there.at(static_cast<std::size_t>(slot) * node().count + first), count,
                result(slot) + first);
  }

private:
  std::vector<std::unique_ptr<Mapping>> elements_, results_;
};

bool all_have(bool mine)
{
  int all = static_cast<int>(mine);
  MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
  return all != 0;
}

/// Every rank opens its memory to its own user, and the others'.
Library open_library()
{
  Library library;
  must(all_have(cma_open(&library.context, CMA_OPEN_DEVICE) == 0), "/dev/cma");
  must(cma_window_create(library.context, nullptr, INTPTR_MAX, CMA_ACCESS_READ, 0600,
                         &library.window) == 0,
       "cma_window_create");
  std::vector<std::uint64_t> windows(static_cast<std::size_t>(ranks));
  MPI_Allgather(&library.window, 1, MPI_UINT64_T, windows.data(), 1, MPI_UINT64_T,
                MPI_COMM_WORLD);
  for (const std::uint64_t window : windows) {
    library.handles.push_back(cma_window_open(library.context, window, CMA_ACCESS_READ));
    must(library.handles.back() > 0, "cma_window_open");
  }
  return library;
}

struct Named {
  const char *name;
  std::unique_ptr<Way> way;
};

Named way_of(char letter, Node &node, const Library &library)
{
  switch (letter) {
  case 'm':
    return {"mpi", std::make_unique<ByMpi>(node)};
  case 'p':
    return {"process_vm", std::make_unique<ByProcessVm>(node)};
  case 's':
    return {"reduce_single", std::make_unique<ByReduce>(node, library, false)};
  case 'r':
    return {"reduce_many", std::make_unique<ByReduce>(node, library, true)};
  case 'a':
    return {"mapping", std::make_unique<ByMapping>(node, library)};
  default:
    give_up("the ways are some of m, p, s, r and a");
  }
}

void check_sums(Node &node, int round)
{
  for (int slot = 0; slot < node.slots; slot++)
    for (std::size_t i = 0; i < node.count; i++) {
      double expected = 0;
      for (int of = 0; of < ranks; of++)
        expected += value(of, round, Outgoing::first(slot) + i);
      if (node.results.at(slot)[i] != expected)
        give_up("element " + std::to_string(i) + " of " + std::to_string(node.count) +
                " of a sum is wrong");
    }
}

void run(std::size_t bytes, const std::string &ways, const Library &library)
{
  Node node(bytes, library.window);
  for (const char letter : ways) {
    const Named named = way_of(letter, node, library);
    Pattern pattern{"", bytes, node.slots, {}, {}, {}};
    pattern.fill = [&node](int round) {
      node.elements.fill(round);
      node.results.wipe();
    };
    pattern.move = [&named](int slot) { named.way->reduce(slot); };
    pattern.check = [&node](int round) {
      if (rank == 0)
        check_sums(node, round);
    };
    report("reduce", bytes, time_of(pattern), named.name);
    pattern.move = [&named](int slot) { named.way->allreduce(slot); };
    pattern.check = [&node](int round) { check_sums(node, round); };
    report("allreduce", bytes, time_of(pattern), named.name);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

} // namespace

void reductions(const std::string &ways)
{
  // Where Yama forbids ranks to read each other, as Open MPI's smsc/cma does.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  Library library;
  if (ways.find_first_of("sra") != std::string::npos)
    library = open_library();
  for (const std::size_t bytes : kSizes)
    run(bytes, ways, library);
  cma_close(library.context);
}

} // namespace bench
