// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What it costs an owner that others copy from it: its fork, its unmapping,
 * its page faults, beside those of an owner whom nobody knows. Times its own
 * calls with the clock, which counts instructions where tests/stress/cost
 * runs it. Prints one JSON object: operation, then state of the owner, to
 * nanoseconds, the least of several.
 */
#include "../device/support/memory.hpp"
#include "../device/support/peer.hpp"
#include "../device/support/twin.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t chunks = 64;
const size_t touched = 32 * page; ///< of each chunk
const size_t piece = 16 * page;   ///< that an operation is about
constexpr int times = 5;

/// The owner's memory: chunks to copy from, and as much where nobody looks.
struct Land {
  uintptr_t known;
  uintptr_t unknown;
};

int64_t now()
{
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void touch(uintptr_t address, size_t bytes)
{
  for (size_t i = 0; i < bytes; i += page)
    *reinterpret_cast<volatile uint64_t *>(address + i) = i;
}

/// The time of one piece of work; what it leaves is touched again.
template<class Work>
long timed(const Work &work, uintptr_t at)
{
  const int64_t start = now();
  work();
  const int64_t end = now();
  touch(at, piece);
  return end - start;
}

long time_fork()
{
  const int64_t start = now();
  const pid_t child = fork();
  if (child == 0)
    _exit(0);
  const int64_t end = now();
  waitpid(child, nullptr, 0);
  return end - start;
}

/// The first write after a fork, which copies the page or takes it back.
long time_copy_on_write(uintptr_t at)
{
  std::array<int, 2> ends{};
  require(pipe(ends.data()) == 0, "pipe");
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    close(ends[1]);
    _exit(static_cast<int>(read(ends[0], &byte, 1)));
  }
  const long time = timed([=] { touch(at, page); }, at);
  close(ends[0]);
  close(ends[1]);
  waitpid(child, nullptr, 0);
  return time;
}

struct Operation {
  const char *name;
  long (*run)(uintptr_t at);
  bool everywhere; ///< makes no difference where
};

const std::array<Operation, 5> operations = {{
    {"fork", [](uintptr_t) { return time_fork(); }, true},
    {"munmap of 64 KiB",
     [](uintptr_t at) {
       const long time = timed(
           [=] {
             unmap(at, piece);
             renew(at, piece);
           },
           at);
       return time;
     },
     false},
    {"MADV_DONTNEED of 64 KiB",
     [](uintptr_t at) {
       return timed([=] { madvise(reinterpret_cast<void *>(at), piece, MADV_DONTNEED); },
                    at);
     },
     false},
    {"fault on a new page",
     [](uintptr_t at) {
       madvise(reinterpret_cast<void *>(at), piece, MADV_DONTNEED);
       return timed([=] { touch(at, page); }, at);
     },
     false},
    {"copy-on-write fault", time_copy_on_write, false},
}};

/// One owner, in one state: how many of its chunks others know; below 0: none of it.
class Owner {
public:
  explicit Owner(int known) : known_(known)
  {
    if (known >= 0) {
      const Outcome handle = device_.open(CMA_PEER_PID, peer_.pid());
      require(handle.error == 0, "CMA_IOC_OPEN");
      target_.handle = static_cast<int>(handle.result);
    }
  }
  Owner(const Owner &) = delete;
  Owner &operator=(const Owner &) = delete;
  ~Owner()
  {
    unmap(land_.known, chunks * huge_page);
    unmap(land_.unknown, huge_page);
  }

  long least(const Operation &operation, bool known)
  {
    long least = -1;
    for (int i = 0; i < times; i++) {
      copy_all();
      const uintptr_t at = known ? land_.known : land_.unknown;
      const long time = peer_.call([at, run = operation.run] { return run(at); });
      least = least < 0 ? time : std::min(least, time);
    }
    return least;
  }

private:
  void copy_all()
  {
    const iovec local = segment(reinterpret_cast<uintptr_t>(buffer_.data()), touched);
    for (int i = 0; i < known_; i++)
      for (int twice = 0; twice < 2; twice++) {
        const iovec remote =
            segment(land_.known + static_cast<size_t>(i) * huge_page, touched);
        require(run(device_, Route::Handle, target_, {false, &local, 1, &remote, 1, 0}) ==
                    gives(touched),
                "a copy");
      }
  }

  int known_;
  Land land_ = {make_memory(Kind::Anonymous, chunks *huge_page),
                make_memory(Kind::Anonymous, huge_page)};
  Peer peer_{[this] {
    for (size_t i = 0; i < chunks; i++)
      touch(land_.known + i * huge_page, touched);
    touch(land_.unknown, touched);
  }};
  Device device_;
  Target target_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(touched);
};

std::string name_of_state(int known)
{
  if (known < 0)
    return "unknown";
  return known == 0 ? "attached" : std::to_string(known) + " chunks cached";
}

void print_operation(const Operation &operation, bool known, bool last)
{
  const char *where = operation.everywhere ? ""
                      : known              ? ", in a known chunk"
                                           : ", elsewhere";
  printf("  \"%s%s\": {", operation.name, where);
  constexpr std::array states = {-1, 0, 1, 16, 64};
  for (const int state : states) {
    Owner owner(state);
    printf("\"%s\": %ld%s", name_of_state(state).c_str(), owner.least(operation, known),
           state == states.back() ? "" : ", ");
  }
  printf("}%s\n", last ? "" : ",");
  fflush(stdout);
}

} // namespace
} // namespace cma_test

int main()
{
  using namespace cma_test;
  try {
    printf("{\n");
    for (const Operation &operation : operations) {
      const bool last = &operation == &operations.back();
      if (!operation.everywhere)
        print_operation(operation, false, false);
      print_operation(operation, true, last);
    }
    printf("}\n");
  } catch (const std::exception &error) {
    fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
