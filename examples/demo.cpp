// SPDX-License-Identifier: MIT OR BSD-2-Clause
/**
 * @file demo.cpp
 * Moves data between two processes through /dev/cma, checks every byte on both
 * sides, and compares the cost of a call with that of process_vm_readv(2).
 *
 * It uses only what an installed libcma offers. Time is the clock's; in the
 * instruction-count model of tests/vm/run --icount a nanosecond is one executed
 * instruction, and --instructions says that this is where it runs. Elsewhere only
 * ratios are shown: they are what one run on one machine can tell.
 */
#include "peer.hpp"

#include <algorithm>
#include <cma.hpp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <functional>
#include <string_view>
#include <sys/utsname.h>
#include <unistd.h>

namespace {

using demo::Layout;

struct Case {
  const char *name;
  Layout layout;
};

const Case kCases[] = {
    {"64 B", {.length = 64}},
    {"4 KiB", {.length = 4 << 10}},
    {"64 KiB", {.length = 64 << 10}},
    {"1 MiB", {.length = 1 << 20}},
    {"4 MiB", {.length = 4 << 20}},
    {"64 x 64 B", {.count = 64, .length = 64, .stride = 5000}},
};

enum class Direction { Read, Write };

/** The two ends of every copy: this process's buffer and the other's. */
class Demo {
public:
  Demo() : context_(CMA_OPEN_DEVICE), buffer_(demo::kBufferBytes) {}

  void introduce();
  /** @return whether all that was moved arrived */
  bool show_moves();
  void show_costs(bool instructions);

private:
  std::size_t copy(Direction direction, const Layout &layout);
  bool moves(Direction direction, const Layout &layout);
  std::uint64_t here() const { return reinterpret_cast<std::uint64_t>(buffer_.data()); }

  cma::Context context_;
  demo::Peer peer_;
  std::vector<std::byte> buffer_;
  std::uint64_t seed_ = 0;
};

void Demo::introduce()
{
  // After a copy as long as this the device makes all that follow: see cma_copy(3).
  copy(Direction::Read, {.length = 1 << 20});
  utsname system;
  uname(&system);
  std::printf("\ncma %s on Linux %s, through /dev/cma, between processes %d and %d\n",
              context_.limits().module_version, system.release, getpid(), peer_.pid());
}

/** The copy of whole vectors: as many segments as there are, in one call. */
cma_request request(cma::Peer peer, Direction direction, const std::vector<iovec> &local,
                    const std::vector<iovec> &remote)
{
  cma_request request = {};
  request.peer = peer;
  request.flags = direction == Direction::Write ? CMA_WRITE : 0;
  request.local = local.data();
  request.local_count = local.size();
  request.remote = remote.data();
  request.remote_count = remote.size();
  return request;
}

std::size_t Demo::copy(Direction direction, const Layout &layout)
{
  const auto peer = cma::pid(peer_.pid());
  if (layout.count > 1) {
    const auto local = layout.at(here()), remote = layout.at(peer_.buffer());
    auto vectors = request(peer, direction, local, remote);
    return context_.copy(vectors);
  }
  if (direction == Direction::Read)
    return context_.read(peer, {buffer_.data(), layout.length}, peer_.buffer());
  return context_.write(peer, {buffer_.data(), layout.length}, peer_.buffer());
}

/** Copies what neither side has seen before, and compares what both then have. */
bool Demo::moves(Direction direction, const Layout &layout)
{
  demo::fill(buffer_, ++seed_);
  peer_.fill(++seed_);
  const auto mine = layout.at(here());
  const auto sent =
      direction == Direction::Read ? peer_.checksum(layout) : demo::checksum(mine);
  const bool whole = copy(direction, layout) == layout.bytes();
  const bool same = demo::checksum(mine) == sent && peer_.checksum(layout) == sent;
  std::printf("   %016lx %s", sent, whole && same ? "ok  " : "WRONG");
  return whole && same;
}

bool Demo::show_moves()
{
  bool good = true;
  std::printf("\n%12s   %-23s%s\n", "moved", "read, its checksum",
              "written, its checksum");
  for (const auto &[name, layout] : kCases) {
    std::printf("%12s", name);
    good &= moves(Direction::Read, layout);
    good &= moves(Direction::Write, layout);
    std::printf("\n");
  }
  return good;
}

std::uint64_t now()
{
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_RAW, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

/** The least of some calls' times: what a call takes when nothing interrupts it. */
double least_time(const std::function<void()> &call)
{
  std::uint64_t least = UINT64_MAX;
  for (int i = 0; i < 20; ++i) {
    const auto start = now();
    call();
    least = std::min(least, now() - start);
  }
  return static_cast<double>(least);
}

/** One cell: the cost where it can be compared with other runs, and its share. */
void show_cost(double cost, double reference, bool instructions)
{
  char absolute[32] = "";
  if (instructions)
    std::snprintf(absolute, sizeof(absolute), "%.0f", cost);
  std::printf("%10s %4.0f %%", absolute, 100 * cost / reference);
}

void Demo::show_costs(bool instructions)
{
  const auto pid = cma::pid(peer_.pid());
  const auto handle = context_.open(pid);
  const double clock = least_time([] {});
  std::printf("\n%12s%17s%17s%17s\n", instructions ? "instructions" : "cost",
              "process_vm_readv", "cma, by pid", "cma, by handle");
  for (const auto &test : kCases) {
    const auto local = test.layout.at(here());
    const auto remote = test.layout.at(peer_.buffer());
    const double reference = least_time([&] {
                               process_vm_readv(peer_.pid(), local.data(), local.size(),
                                                remote.data(), remote.size(), 0);
                             }) -
                             clock;
    std::printf("%12s", test.name);
    show_cost(reference, reference, instructions);
    for (const cma::Peer peer : {pid, cma::Peer(handle)}) {
      auto read = request(peer, Direction::Read, local, remote);
      show_cost(least_time([&] { context_.copy(read); }) - clock, reference,
                instructions);
    }
    std::printf("\n");
  }
}

} // namespace

int main(int argc, char **argv)
try {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "--peer")
    return demo::Peer::main();

  Demo demo;
  demo.introduce();
  const bool good = demo.show_moves();
  demo.show_costs(role == "--instructions");
  std::printf("\n%s\n", good ? "Every byte arrived." : "Data was damaged on the way.");
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception &error) {
  std::fprintf(stderr, "demo: %s\n", error.what());
  return EXIT_FAILURE;
}
