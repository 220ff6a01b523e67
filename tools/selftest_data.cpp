// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Bytes arrive, all of them, where they should and nowhere else: by every way to
 * name a peer, at sizes and offsets around the borders of pages, and in vectors of
 * every shape.
 */
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "selftest.hpp"

namespace {

constexpr size_t guard = 64; /* bytes on either side that must stay as they were */
constexpr size_t many = 5000;

enum class Way { pid, pidfd, handle };

/* The peer named in one of the ways, which ends with the object. */
class Name {
public:
  Name(const Bench &bench, Way way) : peer{cma::pid(bench.peer.pid())}
  {
    if (way == Way::pidfd)
      open_pidfd(bench);
    if (way == Way::handle)
      open_handle(bench);
  }
  Name(const Name &) = delete;
  Name &operator=(const Name &) = delete;
  ~Name()
  {
    if (pidfd >= 0)
      close(pidfd);
  }

  operator cma::Peer() const { return peer; }

private:
  void open_pidfd(const Bench &bench)
  {
    bench.need(CMA_CAN_PIDFD, "pidfds");
    pidfd = static_cast<int>(syscall(SYS_pidfd_open, bench.peer.pid(), 0));
    if (pidfd < 0)
      throw Skipped(fmt::format("pidfd_open: {}", strerror(errno)));
    peer = cma::pidfd(pidfd);
  }

  void open_handle(const Bench &bench)
  {
    bench.need(CMA_CAN_HANDLE, "handles");
    handle = bench.context.open(peer);
    peer = handle;
  }

  cma::Peer peer;
  cma::Handle handle;
  int pidfd = -1;
};

template<typename Visit>
void each_range(Visit visit)
{
  for (size_t length : {size_t{1}, size_t{7}, size_t{64}, page - 1, page, page + 1,
                        3 * page + 5, 16 * page + 1, size_t{1} << 20, size_t{8} << 20})
    for (size_t offset : {page, page + 1, 2 * page - 1})
      visit(offset, length);
}

void expect_pattern(std::optional<size_t> difference, const char *where, size_t offset,
                    size_t length)
{
  if (difference)
    throw Failed(fmt::format("{} bytes at offset {}: wrong byte {} at offset {}", length,
                             offset, where, *difference));
}

void read_all(Bench &bench, Way way)
{
  Name name(bench, way);
  bench.peer.fill(0, Peer::size, 1);
  char *arena = bench.peer.arena();
  fill(arena, 0, Peer::size, 2);
  each_range([&](size_t offset, size_t length) {
    size_t end = offset + length;
    ssize_t result = cma_read(bench.context.get(), name, arena + offset,
                              reinterpret_cast<uintptr_t>(arena + offset), length);
    expect_result(result, static_cast<ssize_t>(length),
                  fmt::format("{} bytes at offset {}", length, offset));
    expect_pattern(find_difference(arena, offset, end, 1), "read", offset, length);
    expect_pattern(find_difference(arena, offset - guard, offset, 2), "before", offset,
                   length);
    expect_pattern(find_difference(arena, end, end + guard, 2), "behind", offset, length);
    fill(arena, offset, end, 2);
  });
}

void write_all(Bench &bench, Way way)
{
  Name name(bench, way);
  bench.peer.fill(0, Peer::size, 1);
  char *arena = bench.peer.arena();
  fill(arena, 0, Peer::size, 2);
  each_range([&](size_t offset, size_t length) {
    size_t end = offset + length;
    ssize_t result = cma_write(bench.context.get(), name, arena + offset,
                               reinterpret_cast<uintptr_t>(arena + offset), length);
    expect_result(result, static_cast<ssize_t>(length),
                  fmt::format("{} bytes at offset {}", length, offset));
    Peer &peer = bench.peer;
    expect_pattern(peer.find_difference(offset, end, 2), "written", offset, length);
    expect_pattern(peer.find_difference(offset - guard, offset, 1), "before", offset,
                   length);
    expect_pattern(peer.find_difference(end, end + guard, 1), "behind", offset, length);
    peer.fill(offset, end, 1);
  });
}

/* Random segments of one side, which together have so many bytes. */
std::vector<iovec> segments(std::mt19937 &random, char *arena, size_t bytes)
{
  std::vector<iovec> all;
  while (bytes) {
    size_t length = std::min<size_t>(bytes, random() % (3 * page));
    all.push_back({arena + random() % (Peer::size - length), length});
    bytes -= length;
  }
  return all;
}

/* The bytes of segments strung together, from an arena filled with a pattern. */
std::string strung(const std::vector<iovec> &segments, const char *arena, uint64_t seed)
{
  std::string bytes;
  for (const iovec &segment : segments) {
    size_t offset = static_cast<size_t>(static_cast<char *>(segment.iov_base) - arena);
    for (size_t i = 0; i < segment.iov_len; i++)
      bytes.push_back(pattern(seed, offset + i));
  }
  return bytes;
}

void random_vectors(Bench &bench)
{
  std::mt19937 random(20); /* always the same */
  bench.peer.fill(0, Peer::size, 3);
  std::string memory;
  for (int round = 0; round < 100; round++) {
    auto remote = segments(random, bench.peer.arena(), random() % (20 * page));
    std::string expected = strung(remote, bench.peer.arena(), 3);
    memory.assign(expected.size() + guard, '\0');
    std::vector<iovec> local;
    for (size_t at = 0; at < memory.size();) {
      size_t length = std::min<size_t>(memory.size() - at, random() % (2 * page));
      local.push_back({memory.data() + at, length});
      at += length;
    }
    ssize_t result =
        cma_readv(bench.context.get(), cma_pid(bench.peer.pid()), local.data(),
                  local.size(), remote.data(), remote.size(), 0);
    expect_result(result, static_cast<ssize_t>(expected.size()),
                  fmt::format("round {}", round));
    expect(memory == expected + std::string(guard, '\0'), "round {}: wrong bytes", round);
  }
}

/* Segments of 8 bytes each, every second one skipped. */
ssize_t read_pieces(Bench &bench, size_t count, unsigned int flags, std::string &memory)
{
  memory.assign(count * 8, '\0');
  std::vector<iovec> local;
  std::vector<iovec> remote;
  for (size_t i = 0; i < count; i++) {
    local.push_back({memory.data() + i * 8, 8});
    remote.push_back({bench.peer.arena() + i * 16, 8});
  }
  bench.peer.fill(0, count * 16, 4);
  ssize_t result = cma_readv(bench.context.get(), cma_pid(bench.peer.pid()), local.data(),
                             count, remote.data(), count, flags);
  if (result > 0)
    expect(memory == strung(remote, bench.peer.arena(), 4), "wrong bytes");
  return result;
}

void segments_1024(Bench &bench)
{
  std::string memory;
  expect_result(read_pieces(bench, 1024, 0, memory), 1024 * 8, "1024 segments");
  expect_result(read_pieces(bench, 1025, 0, memory), -EINVAL, "1025 segments");
}

void segments_many(Bench &bench)
{
  bench.need(CMA_CAN_MANY, "CMA_MANY");
  std::string memory;
  expect_result(read_pieces(bench, many, CMA_MANY, memory),
                static_cast<ssize_t>(many) * 8,
                fmt::format("{} segments with CMA_MANY", many));
}

/* The yardstick, where the backend is not the yardstick itself. */
void same_as_system_call(Bench &bench)
{
  if (bench.limits.backend != CMA_BACKEND_DEVICE)
    throw Skipped("the backend is the system call itself");
  bench.peer.fill(0, Peer::size, 5);
  std::string ours(4 * page, 'x');
  std::string theirs = ours;
  std::vector<iovec> remote = {{bench.peer.arena() + 5, page},
                               {bench.peer.special(Peer::hole) - 100, 200}};
  iovec from = {theirs.data(), theirs.size()};
  ssize_t expected = syscall(SYS_process_vm_readv, bench.peer.pid(), &from, 1UL,
                             remote.data(), remote.size(), 0UL);
  if (expected < 0)
    throw Skipped(fmt::format("process_vm_readv: {}", strerror(errno)));
  iovec local = {ours.data(), ours.size()};
  ssize_t result = cma_readv(bench.context.get(), cma_pid(bench.peer.pid()), &local, 1,
                             remote.data(), remote.size(), 0);
  expect_result(result, expected, "a read into a hole");
  expect(ours == theirs, "other bytes than process_vm_readv reads");
}

constexpr Item of_data[] = {
    {"read by pid", [](Bench &bench) { read_all(bench, Way::pid); }},
    {"read by pidfd", [](Bench &bench) { read_all(bench, Way::pidfd); }},
    {"read by handle", [](Bench &bench) { read_all(bench, Way::handle); }},
    {"write by pid", [](Bench &bench) { write_all(bench, Way::pid); }},
    {"write by pidfd", [](Bench &bench) { write_all(bench, Way::pidfd); }},
    {"write by handle", [](Bench &bench) { write_all(bench, Way::handle); }},
    {"vectors of random shapes", random_vectors},
    {"1024 segments, and not one more", segments_1024},
    {"5000 segments on request", segments_many},
    {"same as process_vm_readv", same_as_system_call},
};

} // namespace

std::span<const Item> data_items()
{
  return of_data;
}
