// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Locks of processes that map each other. What waits with locks of the one
 * held must not need the other's: each test here makes both sides want both,
 * as often as it can. A module that waits where it must not hangs for ever.
 */
#include "../device/support/mapping.hpp"
#include "scenario.hpp"
#include "system.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

using std::chrono::steady_clock;

std::chrono::duration<double> span()
{
  return std::chrono::duration<double>(2 * settings().scale);
}

int32_t open_peer(const Device &device, pid_t pid)
{
  const Outcome handle = device.open(CMA_PEER_PID, pid);
  require(handle.error == 0, "CMA_IOC_OPEN");
  return static_cast<int32_t>(handle.result);
}

/// Something that goes on in a thread of its own until the object ends.
class Busy {
public:
  template<class Action>
  explicit Busy(Action action)
      : thread_([this, action] {
          while (!over_)
            action();
        })
  {
  }
  Busy(const Busy &) = delete;
  Busy &operator=(const Busy &) = delete;
  ~Busy()
  {
    over_ = true;
    thread_.join();
  }

private:
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

const size_t shared_size = 64 * page;

/// Every way to take one's own mmap_lock for writing, and to lose pages that a peer maps.
void change(uintptr_t memory)
{
  thread_local Random random(settings().seed + static_cast<uint64_t>(gettid()));
  const size_t first = random.below(shared_size / page);
  const size_t bytes = random.between(1, shared_size / page - first) * page;
  const uintptr_t at = memory + first * page;
  void *other = nullptr;
  switch (random.below(3)) {
  case 0:
    madvise(reinterpret_cast<void *>(at), bytes, MADV_DONTNEED);
    break;
  case 1:
    renew(at, bytes);
    break;
  default:
    other =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *static_cast<volatile char *>(other) = 1;
    munmap(other, bytes);
  }
}

/// Maps the same address of a peer and uses that, while the own memory changes.
long map_and_change(pid_t pid, uintptr_t memory)
{
  const Device device;
  const Mapping mapping(device.fd(), open_peer(device, pid), memory, shared_size,
                        PROT_READ | PROT_WRITE);
  require(mapping.error() == 0, "a mapping");
  std::atomic<long> touched = 0;
  const auto touch = [&] {
    thread_local Random random(settings().seed + static_cast<uint64_t>(gettid()));
    auto *byte = reinterpret_cast<volatile uint8_t *>(
        mapping.at(random.below(shared_size / page) * page));
    if (random.percent(50))
      *byte = 1;
    else
      static_cast<void>(*byte);
    touched++;
  };
  const auto change_own = [=] { change(memory); };
  const Busy toucher(touch);
  const Busy changer(change_own);
  const Busy another(change_own);
  const auto end = steady_clock::now() + span();
  while (touched < enough(1000, 200) || steady_clock::now() < end)
    touch();
  return touched;
}

/// Hazard 2: each in a fault that wants the other's mmap_lock.
TEST(Mutual, MappingEachOther)
{
  const uintptr_t memory = make_memory(Kind::Anonymous, shared_size);
  Peer one;
  Peer two;
  one.post([=, pid = two.pid()] { return map_and_change(pid, memory); });
  two.post([=, pid = one.pid()] { return map_and_change(pid, memory); });
  const long by_one = one.answer();
  const long by_two = two.answer();
  EXPECT_GT(by_one, 0);
  EXPECT_GT(by_two, 0);
  printf("  %ld and %ld touches\n", by_one, by_two);
  unmap(memory, shared_size);
}

/// An owner's field, all of whose pages are known by one chunk, and what it says of them.
/// Each page begins with the number of its last write.
class Known {
public:
  static constexpr size_t pages = 64;
  static inline const size_t size = pages * page;

  static Known &fresh()
  {
    return *new (mmap(nullptr, sizeof(Known), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Known;
  }
  void release() { munmap(this, sizeof(*this)); }

  uintptr_t address() const { return address_; }
  void *at(size_t index) const
  {
    return reinterpret_cast<void *>(address_ + index * page);
  }

  /// In the owner. Pages of the second half are dropped first, as a rule.
  void write(size_t index)
  {
    const uint64_t number = ++announced_.at(index);
    if (index >= pages / 2)
      madvise(at(index), page, MADV_DONTNEED);
    *static_cast<volatile uint64_t *>(at(index)) = number;
    settled_.at(index) = number;
  }

  /// In whoever maps the field: looks at a page there, which must not show what was over
  /// before.
  void judge(const Mapping &mapping, size_t index)
  {
    if (!is_right(mapping, index))
      wrong++;
  }
  void judge_all(const Mapping &mapping)
  {
    for (size_t i = 0; i < pages; i++)
      judge(mapping, i);
  }

  std::atomic<bool> over = false;
  std::atomic<uint64_t> looks = 0;
  std::atomic<uint64_t> wrong = 0;
  std::atomic<uint64_t> moved = 0;

private:
  bool is_right(const Mapping &mapping, size_t index)
  {
    const uint64_t oldest = settled_.at(index);
    const uint64_t seen =
        *reinterpret_cast<const volatile uint64_t *>(mapping.at(index * page));
    const uint64_t newest = announced_.at(index);
    const bool dropped = seen == 0 && newest > oldest;
    looks++;
    return dropped || (oldest <= seen && seen <= newest);
  }

  uintptr_t address_ = make_memory(Kind::Anonymous, size);
  std::array<std::atomic<uint64_t>, pages> announced_{};
  std::array<std::atomic<uint64_t>, pages> settled_{};
};

/// Moves that many pages from one on to a node; how many are there then.
size_t move_pages_to(const Known &field, size_t first, size_t count, int node)
{
  constexpr int move_all = 4; // MPOL_MF_MOVE_ALL: those shared with a child, too
  std::vector<void *> addresses;
  for (size_t i = first; i < first + count; i++)
    addresses.push_back(field.at(i));
  const std::vector<int> nodes(count, node);
  std::vector<int> status(count, -1);
  syscall(SYS_move_pages, 0, count, addresses.data(), nodes.data(), status.data(),
          move_all);
  return static_cast<size_t>(std::count(status.begin(), status.end(), node));
}

/// A child of the owner, with which it shares rmap locks: maps the owner, and gets its
/// first notifier, by a copy out of its memory.
[[noreturn]] void map_parent(Known &field, pid_t owner)
{
  const size_t bytes = 32 * page; // enough to be cached at once
  const Device device;
  const Mapping mapping(device.fd(), open_peer(device, owner), field.address(),
                        Known::size, PROT_READ);
  require(mapping.error() == 0, "a mapping of the parent");
  field.judge_all(mapping);
  const Buffer buffer(bytes);
  const iovec local = segment(buffer.address(), bytes);
  const iovec remote = segment(field.address(), bytes);
  const Outcome copy =
      run(device, Route::Pid, {getpid(), -1, -1}, {false, &local, 1, &remote, 1, 0});
  require(copy == gives(bytes), "a copy from oneself");
  field.judge_all(mapping);
  _exit(0);
}

/// Makes mm_take_all_locks() slow, in the owner's children, too: VMAs that it visits
/// before the rmap lock of the field.
void make_many_vmas()
{
  constexpr size_t count = 2000;
  auto *space =
      static_cast<char *>(mmap(nullptr, 2 * count * page, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  for (size_t i = 0; i < count; i++)
    mprotect(space + 2 * i * page, page, PROT_READ);
}

/// In the owner: its pages move and change, and children come that map it.
long be_parent(Known &field)
{
  const auto start = steady_clock::now();
  const auto migrate = [&] {
    thread_local int node = 0;
    node = 1 - node;
    for (size_t first = 0; first < Known::pages; first += 16)
      field.moved += move_pages_to(field, first, 16, node);
  };
  const auto send_out = [&] {
    madvise(reinterpret_cast<void *>(field.address()), Known::size / 4, MADV_PAGEOUT);
    usleep(5000);
  };
  const auto write = [&](size_t parity) {
    thread_local Random random(settings().seed + parity);
    field.write(2 * random.below(Known::pages / 2) + parity);
    usleep(50);
  };
  const Busy mover(migrate);
  const Busy another(migrate);
  const Busy sender(send_out);
  const Busy writer([&] { write(0); });
  const Busy other_writer([&] { write(1); });
  long children = 0;
  // On a debug kernel each takes more than ten seconds.
  for (; children < enough(5, 2) || steady_clock::now() < start + span(); children++) {
    const pid_t owner = getpid();
    const pid_t child = fork();
    if (child == 0)
      map_parent(field, owner);
    int status = 0;
    waitpid(child, &status, 0);
    require(status == 0, "a child that maps");
  }
  return children;
}

/// Hazard 10: while a process that maps the owner gets its first notifier, that is, while
/// all its locks are taken one by one, the owner's pages move, under one of them.
class Unmapping : public testing::Test {
protected:
  ~Unmapping() override { field_.release(); }

  /// In one who maps the owner, until that has had enough: looks at all pages.
  void post_looks()
  {
    reader_.post([this] {
      const Device device;
      const Mapping mapping(device.fd(), open_peer(device, owner_.pid()),
                            field_.address(), Known::size, PROT_READ);
      while (!field_.over)
        field_.judge_all(mapping);
      return 0L;
    });
  }

  /// Nothing changes any more, so that all can be cached.
  void expect_all_cached()
  {
    owner_.call([this] {
      for (size_t i = 0; i < Known::pages; i++)
        field_.write(i);
      protect(field_.address(), Known::size, PROT_READ);
      protect(field_.address(), Known::size, PROT_READ | PROT_WRITE);
      return 0L;
    });
    const Device device;
    const Mapping mapping(device.fd(), open_peer(device, owner_.pid()), field_.address(),
                          Known::size, PROT_READ);
    field_.judge_all(mapping);
    const uint64_t fills = counter("fills").value_or(0);
    const Buffer buffer(Known::size);
    const iovec local = segment(buffer.address(), Known::size);
    const iovec remote = segment(field_.address(), Known::size);
    owner_.call([this] {
      protect(field_.address(), Known::size, PROT_READ);
      return 0L;
    });
    EXPECT_EQ(run(device, Route::Pid, {owner_.pid(), -1, -1},
                  {false, &local, 1, &remote, 1, 0}),
              gives(Known::size));
    EXPECT_GT(counter("fills").value_or(0), fills) << "pages cannot be cached any more";
  }

  /// The owner's end gives all of its pages back.
  void expect_no_leak()
  {
    if (!cgroup_)
      return;
    EXPECT_GT(cgroup_.anonymous_pages(), 0U) << "nobody counts";
    owner_.kill(SIGKILL);
    owner_.wait();
    size_t pages = 1;
    for (int tries = 0; pages != 0 && tries < 100; tries++) {
      usleep(100000);
      put_value("/proc/sys/vm/drop_caches", "1"); // and what each CPU has at hand
      empty_swap();
      pages = cgroup_.anonymous_pages();
    }
    EXPECT_EQ(pages, 0U) << "pages leaked";
  }

  Known &field_ = Known::fresh();

private:
  const Cgroup cgroup_;

protected:
  Peer owner_{[this] {
    cgroup_.add(getpid());
    make_many_vmas();
    madvise(reinterpret_cast<void *>(field_.address()), Known::size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < Known::pages; i++)
      field_.write(i);
  }};
  Peer reader_;
};

TEST_F(Unmapping, WhileAllLocksAreTaken)
{
  if (numa_nodes() < 2)
    GTEST_SKIP() << "this guest has one NUMA node";
  post_looks();
  owner_.post([this] { return be_parent(field_); });
  const long children = owner_.answer();
  field_.over = true;
  EXPECT_EQ(reader_.answer(), 0);
  printf("  %ld children, %lu pages moved, %lu looks\n", children, field_.moved.load(),
         field_.looks.load());
  expect_all_cached();
  EXPECT_EQ(field_.wrong, 0U) << "stale bytes in a mapping";
  EXPECT_GE(children, enough(5, 2));
  EXPECT_GT(field_.moved, 0U) << "nothing changed";
  expect_no_leak();
}

} // namespace
} // namespace cma_test
