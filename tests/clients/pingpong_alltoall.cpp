// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * An MPI program that knows nothing of cma: a ping-pong and an alltoall from
 * 1 byte to 16 MiB, every byte checked. A byte's value depends on who sent it,
 * to whom, in which round, how long the message is and where in it the byte
 * stands, so that a message that is late, short, shifted or somebody else's
 * does not pass.
 *
 * On success rank 0 prints how many bytes messages of 64 KiB and more carried
 * between processes: the least that a single-copy transport has moved.
 */
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <mpi.h>

namespace {

constexpr size_t largest = 16 << 20;
constexpr size_t large = 64 << 10;
constexpr size_t sizes[] = {1,       7,      64,    1000,      4095,    4096,
                            4097,    30000,  large, large + 1, 1 << 20, (1 << 20) + 3,
                            4 << 20, largest};

int rank, ranks;
uint64_t carried;

struct Message {
  int from, to, round;
  size_t size;

  /* Eight bytes of it at once. */
  uint64_t word(size_t index) const
  {
    uint64_t x = (index + 1) * 0x9e3779b97f4a7c15 + size +
                 (static_cast<uint64_t>(from) << 56) + (static_cast<uint64_t>(to) << 48) +
                 (static_cast<uint64_t>(round) << 40);
    return x ^ (x >> 29);
  }

  template<typename Visit>
  void each_word(Visit visit) const
  {
    for (size_t at = 0; at < size; at += sizeof(uint64_t))
      visit(at, word(at / sizeof(uint64_t)),
            size - at < sizeof(uint64_t) ? size - at : sizeof(uint64_t));
  }
};

void write(unsigned char *memory, const Message &message)
{
  message.each_word([&](size_t at, uint64_t word, size_t length) {
    memcpy(memory + at, &word, length);
  });
}

void check(const unsigned char *memory, const Message &message, const char *what)
{
  message.each_word([&](size_t at, uint64_t word, size_t length) {
    if (memcmp(memory + at, &word, length) == 0)
      return;
    fprintf(stderr,
            "%s: wrong bytes at offset %zu of %zu, round %d, from "
            "%d to %d\n",
            what, at, message.size, message.round, message.from, message.to);
    MPI_Abort(MPI_COMM_WORLD, 1);
  });
}

int rounds(size_t size)
{
  return size > (1 << 20) ? 1 : 3;
}

void count(const Message &message)
{
  if (message.size >= large)
    carried += message.size;
}

/* The second half of what a receiver gets must be untouched: memory is twice
 * as long as the message, and what lies behind it is guarded by a mark. */
constexpr unsigned char mark = 0xa5;
constexpr size_t guard = 64;

void receive(unsigned char *memory, const Message &message)
{
  memset(memory, 0, message.size);
  memset(memory + message.size, mark, guard);
  MPI_Status status;
  int length;
  MPI_Recv(memory, static_cast<int>(message.size), MPI_BYTE, message.from, message.round,
           MPI_COMM_WORLD, &status);
  MPI_Get_count(&status, MPI_BYTE, &length);
  bool guarded = true;
  for (size_t i = 0; i < guard; i++)
    guarded &= memory[message.size + i] == mark;
  if (static_cast<size_t>(length) != message.size || !guarded) {
    fprintf(stderr, "ping-pong: %d bytes instead of %zu%s\n", length, message.size,
            guarded ? "" : ", and bytes behind them");
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  check(memory, message, "ping-pong");
}

void send(unsigned char *memory, const Message &message)
{
  write(memory, message);
  MPI_Send(memory, static_cast<int>(message.size), MPI_BYTE, message.to, message.round,
           MPI_COMM_WORLD);
  count(message);
}

void ping_pong(size_t size)
{
  static std::vector<unsigned char> memory(largest + guard);
  for (int round = 0; round < rounds(size); round++) {
    Message ping{0, 1, round, size};
    Message pong{1, 0, round, size};
    if (rank == 0) {
      send(memory.data(), ping);
      receive(memory.data(), pong);
    } else if (rank == 1) {
      receive(memory.data(), ping);
      send(memory.data(), pong);
    }
  }
}

/* size bytes from everybody to everybody. */
void alltoall(size_t size)
{
  static std::vector<unsigned char> out, in;
  out.resize(size * static_cast<size_t>(ranks));
  in.assign(size * static_cast<size_t>(ranks), 0);
  for (int round = 0; round < rounds(size); round++) {
    for (int peer = 0; peer < ranks; peer++) {
      Message message{rank, peer, round, size};
      write(out.data() + size * static_cast<size_t>(peer), message);
      if (peer != rank)
        count(message);
    }
    MPI_Alltoall(out.data(), static_cast<int>(size), MPI_BYTE, in.data(),
                 static_cast<int>(size), MPI_BYTE, MPI_COMM_WORLD);
    for (int peer = 0; peer < ranks; peer++)
      check(in.data() + size * static_cast<size_t>(peer), {peer, rank, round, size},
            "alltoall");
  }
}

} // namespace

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks < 2) {
    fprintf(stderr, "two processes at least: mpirun -n 2 %s\n", argv[0]);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  for (size_t size : sizes)
    ping_pong(size);
  for (size_t size : sizes)
    alltoall(size);
  uint64_t all = 0;
  MPI_Reduce(&carried, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0)
    printf("large messages carried %llu bytes\n", static_cast<unsigned long long>(all));
  MPI_Finalize();
  return 0;
}
