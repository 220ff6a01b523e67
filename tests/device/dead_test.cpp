// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What is left of a process that has died while others hold on to it, by handles,
 * windows and mappings: an answer, and soon not even its mm_struct.
 */
#include "support/mapping.hpp"
#include "support/peer.hpp"
#include "support/rounds.hpp"
#include "support/twin.hpp"
#include "support/window.hpp"

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr size_t processes = 100;

/// How many mm_structs the kernel has.
size_t address_spaces()
{
  // Free ones that a CPU keeps at hand count as used until they are given back.
  std::ofstream("/sys/kernel/slab/mm_struct/shrink") << "1";
  std::ifstream slabs("/proc/slabinfo");
  std::string name;
  size_t used = 0;
  while (slabs >> name && name != "mm_struct")
    slabs.ignore(1000, '\n');
  slabs >> used;
  return used;
}

/// Memory that each of many processes has of its own, at the same address.
struct Own {
  pid_t pid;
  int64_t window;
};

class Dead : public testing::Test {
protected:
  void SetUp() override
  {
    own = static_cast<Own *>(
        mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(own, MAP_FAILED);
    madvise(own, page, MADV_NOHUGEPAGE);
  }
  void TearDown() override
  {
    end();
    unmap(address(), page);
  }

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(own); }

  /// A process that does what it is to do first, and then nothing; others get hold of it.
  void begin_one(const std::function<void()> &first)
  {
    const pid_t pid = fork();
    if (pid == 0) {
      own->pid = getpid();
      first();
      raise(SIGSTOP);
      _exit(0);
    }
    ASSERT_GT(pid, 0);
    pids.push_back(pid);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  void end()
  {
    end_all(pids);
    pids.clear();
  }

  Outcome copy(int32_t handle, void *to, size_t bytes) const
  {
    const iovec local = segment(reinterpret_cast<uintptr_t>(to), bytes);
    const iovec remote = segment(address(), bytes);
    return run(device, Route::Handle, {0, -1, handle}, {false, &local, 1, &remote, 1, 0});
  }
  int32_t handle_of(pid_t pid) const
  {
    return static_cast<int32_t>(device.open(CMA_PEER_PID, pid).result);
  }

  /// Let many processes live, get hold of each with this, and let them die: what they
  /// leave is to be gone while all is held that was got hold of.
  void expect_given_back(
      const std::function<void(pid_t)> &hold, const std::function<void()> &first = [] {})
  {
    for (size_t i = 0; i < processes; i++) {
      begin_one(first);
      if (HasFatalFailure())
        return;
      hold(pids.back());
    }
    const size_t most = address_spaces();
    size_t now = most;
    end();
    for (int wait = 0; wait < 100 && now + processes * 3 / 4 > most; wait++) {
      usleep(100'000);
      now = address_spaces();
    }
    EXPECT_LE(now + processes * 3 / 4, most);
  }

  Own *own = nullptr;
  std::vector<pid_t> pids;
  const Device device;
};

TEST_F(Dead, LeaveNoAddressSpaceToAHandle)
{
  std::vector<int32_t> handles;
  expect_given_back([&](pid_t pid) { handles.push_back(handle_of(pid)); });
  Own theirs{};
  for (const int32_t handle : handles) {
    EXPECT_EQ(copy(handle, &theirs, sizeof(theirs)), fails(ESRCH));
    EXPECT_EQ(
        Mapping(device.fd(), handle, CMA_MAP_OFFSET(handle, address()), page, PROT_READ)
            .error(),
        ESRCH);
    EXPECT_EQ(device.close(handle), gives(0));
  }
}

TEST_F(Dead, LeaveNoAddressSpaceToWhoCopiedByTheCache)
{
  std::vector<int32_t> handles;
  expect_given_back([&](pid_t pid) {
    handles.push_back(handle_of(pid));
    for (int i = 0; i < 3; i++) {
      Own theirs{};
      EXPECT_EQ(copy(handles.back(), &theirs, sizeof(theirs)), gives(sizeof(theirs)));
      EXPECT_EQ(theirs.pid, pid);
    }
  });
  Own theirs{};
  for (const int32_t handle : handles)
    EXPECT_EQ(copy(handle, &theirs, sizeof(theirs)), fails(ESRCH));
}

TEST_F(Dead, LeaveNoAddressSpaceToAMapping)
{
  std::vector<std::unique_ptr<Mapping>> mappings;
  expect_given_back([&](pid_t pid) {
    mappings.push_back(std::make_unique<Mapping>(device.fd(), handle_of(pid), address(),
                                                 page, PROT_READ));
    EXPECT_EQ(mappings.back()->load(0), pid & 0xff);
  });
  for (const auto &mapping : mappings) {
    EXPECT_EQ(mapping->load(0), Mapping::bus);
    EXPECT_EQ(device.populate(mapping->at(0), page), fails(ESRCH));
  }
}

TEST_F(Dead, LeaveNoAddressSpaceToTheirWindows)
{
  auto *const names = static_cast<int64_t *>(
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::vector<int64_t> windows;
  std::vector<int32_t> handles;
  expect_given_back(
      [&](pid_t) {
        windows.push_back(*names);
        handles.push_back(static_cast<int32_t>(open_window(device, *names).result));
      },
      [&] { *names = create_window(device, address(), page, 0600).result; });
  for (size_t i = 0; i < windows.size(); i++) {
    EXPECT_GT(windows[i], 0);
    EXPECT_GT(handles[i], 0);
    EXPECT_EQ(open_window(device, windows[i]), fails(ESRCH));
    char byte = 0;
    const iovec local = segment(reinterpret_cast<uintptr_t>(&byte), 1);
    const iovec remote = segment(0, 1);
    for (const Route route : {Route::Handle, Route::HandleStrict})
      EXPECT_EQ(
          run(device, route, {0, -1, handles[i]}, {false, &local, 1, &remote, 1, 0}),
          fails(ESRCH));
  }
  munmap(names, page);
}

/// The address of a mm_struct that was given back is the next process's.
TEST_F(Dead, AreNotTakenForTheLiving)
{
  std::vector<int32_t> old;
  for ([[maybe_unused]] const int round : Rounds(2, 3, std::chrono::seconds(10))) {
    std::vector<int32_t> handles;
    Own theirs{};
    expect_given_back([&](pid_t pid) {
      handles.push_back(handle_of(pid));
      EXPECT_EQ(copy(handles.back(), &theirs, sizeof(theirs)), gives(sizeof(theirs)));
      EXPECT_EQ(theirs.pid, pid);
      const iovec local = segment(reinterpret_cast<uintptr_t>(&theirs), sizeof(theirs));
      const iovec remote = segment(address(), sizeof(theirs));
      EXPECT_EQ(run(device, Route::HandleStrict, {0, -1, handles.back()},
                    {false, &local, 1, &remote, 1, 0}),
                gives(sizeof(theirs)));
    });
    old.insert(old.end(), handles.begin(), handles.end());
    for (const int32_t handle : old)
      EXPECT_EQ(copy(handle, &theirs, sizeof(theirs)), fails(ESRCH));
  }
}

} // namespace
} // namespace cma_test
