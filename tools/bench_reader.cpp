// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * One who reads the owner's memory. A sample: what the destination holds is erased;
 * copies for warming up bring caches and page tables to the state that this way leaves
 * them in; then, once all readers are so far, the copies that are timed, one behind the
 * other; and the proof that the bytes arrived.
 */
#include "bench_process.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <stdexcept>

#include <sys/socket.h>
#include <unistd.h>

namespace bench {

namespace {

uint64_t now()
{
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<uint64_t>(time.tv_nsec);
}

class Reader {
public:
  Reader(const Setup &setup, const Owned &owned, Shared &shared, size_t number)
      : setup{setup}, shared{&shared}, to{make_memory(setup.span, setup.pages)},
        ground{.owner = owned.pid,
               .remote = owned.memory,
               .span = setup.span,
               .window = owned.window,
               .ring = &shared.rings[number],
               .here = make_memory(setup.span, setup.pages, setup.home)},
        ways(kinds().size())
  {
  }

  Answer carry_out(const Order &order)
  {
    Answer answer = {};
    try {
      if (!ways[order.kind])
        ways[order.kind] = kinds()[order.kind].make(ground);
      if (order.length != 0)
        prepare(order);
    } catch (const std::exception &failure) {
      answer.problem = Problem(failure);
    }
    if (order.length != 0)
      arrive(order); /* whatever happened, for the others' sake */
    if (order.length != 0 && !answer.problem)
      try {
        answer.begin = now();
        ways[order.kind]->repeat(to, order.length, setup.span, order.times);
        answer.end = now();
        compare(order);
      } catch (const std::exception &failure) {
        answer.problem = Problem(failure);
      }
    return answer;
  }

private:
  void prepare(const Order &order)
  {
    for (Walk walk(order.length, setup.span); walk.once(); walk.step())
      std::memset(to + walk.offset, 0, order.length);
    const uint64_t once = Walk(order.length, setup.span).steps();
    ways[order.kind]->repeat(to, order.length, setup.span,
                             std::max(once, order.times / 8));
  }

  void arrive(const Order &order)
  {
    shared->arrived.fetch_add(1, std::memory_order_acq_rel);
    await([&] { return shared->arrived.load(std::memory_order_acquire) >= order.start; });
  }

  void compare(const Order &order) const
  {
    for (Walk walk(order.length, setup.span); walk.once(); walk.step())
      if (std::memcmp(to + walk.offset, ground.here + walk.offset, order.length) != 0)
        throw std::runtime_error("the bytes that arrived are not those that were sent");
  }

  const Setup &setup;
  Shared *shared;
  char *to;
  Ground ground;
  std::vector<std::unique_ptr<Way>> ways;
};

} // namespace

void read(const Setup &setup, const Owned &owned, Shared &shared, size_t number,
          int orders)
{
  Answer answer = {};
  std::unique_ptr<Reader> reader;
  try {
    if (!setup.processors.empty())
      pin(setup.processors[number + 1]);
    reader = std::make_unique<Reader>(setup, owned, shared, number);
  } catch (const std::exception &failure) {
    answer.problem = Problem(failure);
  }
  Order order;
  while (send(orders, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) &&
         reader && recv(orders, &order, sizeof(order), 0) == sizeof(order))
    answer = reader->carry_out(order);
  _exit(0);
}

} // namespace bench
