// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Malformed requests without number: garbage in every field, a few fields at
 * a time, so that each check is passed often enough to get behind it. The
 * module must survive, with a clean kernel log; the answers must be of the
 * documented kinds. Peers are only the fuzzing process's own victim: whatever
 * is written, is written there.
 *
 * CMA_TEST_SEED=n repeats a run, CMA_TEST_ROUNDS=n sets its length.
 */
#include "support/helper.hpp"
#include "support/mapping.hpp"
#include "support/twin.hpp"
#include "support/window.hpp"

#include <climits>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sys/mman.h>

namespace cma_test {
namespace {

/// What the process that fuzzes tells the test, in memory that both see.
struct Report {
  std::array<long, 256> answers; ///< how often each errno came; [0]: success
};

class Fuzzer {
public:
  Fuzzer(unsigned long seed, pid_t victim, uintptr_t memory, size_t size)
      : random_(seed), victim_(victim), pidfd_(pidfd_open(victim)), memory_(memory),
        size_(size),
        segments_(reinterpret_cast<cma_iovec *>(make_memory(Kind::Anonymous, page)))
  {
    handle_ = static_cast<int>(device_.open(CMA_PEER_PID, victim).result);
    mapping_.emplace(device_.fd(), handle_, memory, size, PROT_READ);
  }

  void round(Report &report)
  {
    alignas(8) std::array<uint8_t, 256> bytes{};
    const unsigned nr = one_in(8) ? any_but_windows[below(std::size(any_but_windows))]
                                  : unsigned{CMA_IOC_NR_COPY};
    const uint32_t size = fill_in(nr, bytes.data());
    // The size field last: mostly right, so that the rest is looked at.
    const uint32_t stated = one_in(20) ? static_cast<uint32_t>(number()) : size;
    memcpy(bytes.data(), &stated, sizeof(stated));
    if (one_in(10))
      bytes.at(below(size)) ^= 1U << below(8);
    const unsigned long command = one_in(50) ? number() : _IO(CMA_IOC_MAGIC, nr);
    void *argument = one_in(50) ? reinterpret_cast<void *>(number())
                                : static_cast<void *>(bytes.data());
    const Outcome outcome = device_.call(command, argument);
    report.answers.at(static_cast<size_t>(outcome.error) % 256)++;
    if (nr == CMA_IOC_NR_OPEN && outcome.error == 0)
      device_.close(reinterpret_cast<cma_ioc_open *>(bytes.data())->handle);
  }

private:
  static constexpr unsigned any_but_windows[] = {
      CMA_IOC_NR_INFO,     CMA_IOC_NR_COPY, CMA_IOC_NR_OPEN,  CMA_IOC_NR_CLOSE,
      CMA_IOC_NR_POPULATE, CMA_IOC_NR_SHOW, CMA_IOC_NR_REDUCE};

  unsigned below(size_t limit) { return static_cast<unsigned>(random_() % limit); }
  bool one_in(unsigned many) { return below(many) == 0; }

  /// A number of the kind that breaks things.
  uint64_t number()
  {
    switch (below(5)) {
    case 0:
      return below(20);
    case 1:
      return 1UL << below(64);
    case 2:
      return (1UL << below(64)) - 1;
    case 3:
      return ~static_cast<uint64_t>(below(5000));
    default:
      return random_();
    }
  }
  /// An address: in the memory that both processes have at the same place, or a number. A
  /// number that happens to be an address of the fuzzer's own would be his end, so there
  /// only addresses that nobody has are numbers.
  uint64_t address()
  {
    if (!one_in(6))
      return memory_ + below(size_);
    const uint64_t wild = number();
    return wild < (1UL << 20) || wild >= (1UL << 47) ? wild : 0;
  }
  uint64_t list(unsigned count)
  {
    for (unsigned i = 0; i < count; i++)
      segments_[next_ + i] = {address(), one_in(6) ? number() : below(3 * page)};
    auto *start = segments_ + next_;
    next_ += count;
    return one_in(40) ? number() : reinterpret_cast<uintptr_t>(start);
  }
  /// One of those that a copy takes, mostly.
  uint32_t peer_type()
  {
    constexpr uint32_t good[] = {CMA_PEER_PID, CMA_PEER_PIDFD, CMA_PEER_HANDLE,
                                 CMA_PEER_PUBLISHED};
    return one_in(12) ? static_cast<uint32_t>(number()) : good[below(std::size(good))];
  }
  int32_t peer(uint32_t type)
  {
    const int32_t good = type == CMA_PEER_PID || type == CMA_PEER_PUBLISHED ? victim_
                         : type == CMA_PEER_PIDFD                           ? pidfd_.get()
                                                                            : handle_;
    const int32_t choices[] = {0, -1, INT_MIN, INT_MAX, INT_MAX - 1};
    return one_in(6) ? choices[below(std::size(choices))] : good;
  }
  uint32_t fill_in(unsigned nr, uint8_t *bytes)
  {
    if (nr == CMA_IOC_NR_COPY) {
      auto copy = sized<cma_ioc_copy>();
      copy.flags = one_in(12) ? static_cast<uint32_t>(number()) : below(32);
      copy.peer_type = peer_type();
      copy.peer = peer(copy.peer_type);
      next_ = 0;
      const unsigned here = below(12);
      const unsigned there = below(12);
      copy.local_iov = list(here);
      copy.remote_iov = list(there);
      copy.local_cnt = one_in(20) ? number() : here;
      copy.remote_cnt = one_in(20) ? number() : there;
      copy.copied = random_();
      copy.reserved = one_in(30) ? static_cast<uint32_t>(number()) : 0;
      memcpy(bytes, &copy, sizeof(copy));
      return sizeof(copy);
    }
    if (nr == CMA_IOC_NR_OPEN) {
      auto open = sized<cma_ioc_open>();
      open.flags = one_in(8) ? static_cast<uint32_t>(number()) : 0;
      open.peer_type = peer_type();
      open.peer = peer(open.peer_type);
      open.window = one_in(8) ? number() : 0;
      open.access = static_cast<uint32_t>(below(5));
      memcpy(bytes, &open, sizeof(open));
      return sizeof(open);
    }
    if (nr == CMA_IOC_NR_CLOSE) {
      auto close = sized<cma_ioc_close>();
      close.handle = static_cast<int32_t>(number());
      if (close.handle == handle_)
        close.handle = 0;
      memcpy(bytes, &close, sizeof(close));
      return sizeof(close);
    }
    if (nr == CMA_IOC_NR_POPULATE) {
      auto populate = sized<cma_ioc_populate>();
      populate.flags = one_in(8) ? static_cast<uint32_t>(number()) : 0;
      populate.address = one_in(4) ? number() : mapping_->at(below(size_));
      populate.length = one_in(4) ? number() : below(size_);
      memcpy(bytes, &populate, sizeof(populate));
      return sizeof(populate);
    }
    if (nr == CMA_IOC_NR_SHOW) {
      auto show = sized<cma_ioc_show>();
      show.how = one_in(8) ? static_cast<uint32_t>(number()) : 1 + below(3);
      show.address = one_in(4) ? number() : mapping_->at(below(size_ / page) * page);
      show.length = one_in(4) ? number() : below(size_ / page) * page;
      memcpy(bytes, &show, sizeof(show));
      return sizeof(show);
    }
    if (nr == CMA_IOC_NR_REDUCE) {
      auto reduce = sized<cma_ioc_reduce>();
      reduce.flags = one_in(12) ? static_cast<uint32_t>(number()) : 0;
      reduce.op = one_in(12) ? static_cast<uint32_t>(number()) : 1 + below(7);
      reduce.type = one_in(12) ? static_cast<uint32_t>(number()) : 1 + below(10);
      reduce.local = address();
      reduce.out = one_in(2) ? address() : reduce.local;
      reduce.length = one_in(6) ? number() : below(size_) / 8 * 8;
      reduce.operand_cnt = one_in(20) ? static_cast<uint32_t>(number()) : 1 + below(4);
      for (cma_ioc_operand &operand : reduce.operand) {
        operand.peer_type = peer_type();
        operand.peer = peer(operand.peer_type);
        operand.address = address();
      }
      memcpy(bytes, &reduce, sizeof(reduce));
      return sizeof(reduce);
    }
    return sizeof(cma_ioc_info);
  }

  std::mt19937_64 random_;
  Device device_;
  pid_t victim_;
  Fd pidfd_;
  int handle_ = 0;
  uintptr_t memory_;
  size_t size_;
  cma_iovec *segments_;
  std::optional<Mapping> mapping_; ///< of that memory, the victim's
  unsigned next_ = 0;
};

TEST(Fuzz, MalformedRequests)
{
  const unsigned long seed = from_environment("CMA_TEST_SEED", 20260117);
  const unsigned long rounds = from_environment("CMA_TEST_ROUNDS", 100'000);
  std::cout << "CMA_TEST_SEED=" << seed << " CMA_TEST_ROUNDS=" << rounds << "\n";
  const size_t size = 16 * page;
  const uintptr_t memory = make_memory(Kind::Anonymous, size);
  unmap(memory + 5 * page, page);
  auto *report =
      new (mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
          Report{};
  Peer victim;
  ASSERT_EQ(victim.call([] { return long{publish_all().error}; }), 0);
  Peer fuzzing;
  const pid_t pid = victim.pid();
  fuzzing.call([=]() -> long {
    Fuzzer fuzzer(seed, pid, memory, size);
    for (unsigned long i = 0; i < rounds; i++)
      fuzzer.round(*report);
    return 0;
  });
  // Every way out was taken often, and no other.
  std::set<int> documented = {0,     EINVAL, EFAULT, ESRCH,     EBADF,
                              E2BIG, ENOENT, ENOTTY, EOPNOTSUPP};
  if ((Device().info().features & CMA_FEATURE_REDUCE) != 0)
    documented.insert(EAGAIN);
  for (size_t error = 0; error < report->answers.size(); error++) {
    if (documented.contains(static_cast<int>(error)))
      EXPECT_GT(report->answers.at(error), 20)
          << strerrorname_np(static_cast<int>(error));
    else
      EXPECT_EQ(report->answers.at(error), 0) << strerrorname_np(static_cast<int>(error));
  }
  munmap(report, page);
  unmap(memory, size);
  // And the device still works.
  Twin twin(page, page);
  EXPECT_EQ(twin.same({false, cut(twin.local().base(), page, 1),
                       cut(twin.remote().base(), page, 1), 0}),
            gives(page));
}

} // namespace
} // namespace cma_test
