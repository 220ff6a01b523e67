// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Times copies between processes on the machine as it is (bench/uml/run runs it
// within User Mode Linux). Google Benchmark repeats and interleaves; each
// benchmark is called CASE/MECHANISM, and each is proven to move its bytes.
//
// The scattered pages of the model, and no huge ones: User Mode Linux has none.

#include "readers.hpp"
#include "shared.hpp"

#include <unistd.h>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

constexpr int kWarmUps = 3;

/// Copies of each reader in a round: enough for their start not to matter.
constexpr int kCopiesOfRound = 128;
constexpr std::size_t kReadersBytes = 1UL << 20;

/// @return bytes that are others each time
std::span<const std::byte> contents_of(std::size_t bytes)
{
  constexpr std::size_t kShifts = 4096;
  static std::mt19937 random(1);
  static const auto noise = [] {
    std::vector<std::byte> list(kBufferBytes + kShifts);
    std::ranges::generate(list, [] { return static_cast<std::byte>(random()); });
    return list;
  }();
  return std::span(noise).subspan(random() % kShifts, bytes);
}

/// The C library's, unlike the model's.
Call by_library_memcpy(const Transfer &transfer)
{
  return [to = transfer.local[0], from = transfer.remote[0].iov_base] {
    std::memcpy(to.iov_base, from, to.iov_len);
    return static_cast<ssize_t>(to.iov_len);
  };
}

std::vector<Mechanism> kernel_mechanisms()
{
  auto list = mechanisms();
  std::erase_if(list, [](const auto &mechanism) { return mechanism.name == "memcpy"; });
  return list;
}

void time_copies(benchmark::State &state, const Mechanism &mechanism, const iovec &local,
                 const Place &from)
{
  const auto bytes = local.iov_len;
  const std::vector transfers{Transfer{.write = false,
                                       .pid = from.pid,
                                       .window = from.window,
                                       .local = {local},
                                       .remote = {{from.address, bytes}}}};
  const auto contents = contents_of(bytes);
  Inspector(from.pid).put(transfers[0].remote, contents);
  std::memset(local.iov_base, 0, bytes);
  const auto calls = mechanism.prepare(transfers, Contact::kKnown);
  const auto &call = calls.front();
  for (int i = 0; i < kWarmUps; ++i)
    call();
  for ([[maybe_unused]] auto _ : state)
    if (call() != static_cast<ssize_t>(bytes)) {
      state.SkipWithError("the copy fell short");
      break;
    }
  if (std::memcmp(local.iov_base, contents.data(), bytes) != 0)
    state.SkipWithError("the bytes moved are not the source's");
}

/// The time of a round, as of one copy of each reader.
void time_readers(benchmark::State &state, int number, const Mechanism &mechanism,
                  const Place &from)
{
  Readers readers(number, mechanism, from, kReadersBytes);
  readers.round(kWarmUps);
  for ([[maybe_unused]] auto _ : state)
    state.SetIterationTime(readers.round(kCopiesOfRound).count() / kCopiesOfRound);
}

/// All memory and processes that the benchmarks use.
class Scene {
public:
  Scene()
  {
    prove_layout({getpid(), own_.address()}, Pages::kScattered);
    prove_layout({getpid(), other_.address()}, Pages::kScattered);
    prove_layout(peer_.place(Pages::kScattered), Pages::kScattered);
    prove_layout(sender_.place(), Pages::kScattered);
  }

  void register_copies(const std::string &name, std::size_t bytes)
  {
    for (const auto &mechanism : kernel_mechanisms())
      add(name, bytes, mechanism, peer_.place(Pages::kScattered));
    add(name, bytes, sender_.double_copy(), sender_.place());
    add(name, bytes, plain("memcpy", by_library_memcpy), {getpid(), other_.address()});
  }

  void register_readers(const std::string &name, int number)
  {
    for (const auto &mechanism : kernel_mechanisms())
      benchmark::RegisterBenchmark((name + "/" + mechanism.name).c_str(), time_readers,
                                   number, mechanism, peer_.place(Pages::kScattered))
          ->UseManualTime()
          ->Iterations(1);
  }

private:
  void add(const std::string &name, std::size_t bytes, const Mechanism &mechanism,
           const Place &from)
  {
    benchmark::RegisterBenchmark((name + "/" + mechanism.name).c_str(), time_copies,
                                 mechanism, iovec{own_.address(), bytes}, from)
        ->UseRealTime();
  }

  Buffer own_{Pages::kScattered};
  Buffer other_{Pages::kScattered};
  Peer peer_{{.huge = false, .window = true}};
  Sender sender_;
};

int run(int argc, char **argv)
{
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  Scene scene;
  for (std::size_t bytes = 64; bytes <= kBufferBytes; bytes *= 4)
    scene.register_copies("read " + words(bytes) + " 4k", bytes);
  for (const int number : {1, 2, 4})
    scene.register_readers("read " + words(kReadersBytes) + " 4k, " +
                               std::to_string(number) + " at once",
                           number);
  return benchmark::RunSpecifiedBenchmarks() == 0;
}

} // namespace
} // namespace bench

int main(int argc, char **argv)
{
  try {
    return bench::run(argc, argv);
  } catch (const std::exception &error) {
    std::cerr << "bench-native: " << error.what() << '\n';
    return 1;
  }
}
