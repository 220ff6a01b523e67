// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What /proc/PID/fdinfo tells of an open file of the device, and what it does not;
 * and how many there are of each kind in /sys/class/misc/cma.
 */
#include "support/mapping.hpp"
#include "support/persona.hpp"
#include "support/twin.hpp"
#include "support/window.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace cma_test {
namespace {

std::string path_of(pid_t pid, const Device &device)
{
  return "/proc/" + std::to_string(pid) + "/fdinfo/" + std::to_string(device.fd());
}

/// Each line's words after "cma-KEY:".
std::vector<std::string> lines(const Device &device, const std::string &key,
                               pid_t pid = getpid())
{
  std::vector<std::string> found;
  std::ifstream file(path_of(pid, device));
  for (std::string line; std::getline(file, line);)
    if (line.rfind("cma-" + key + ":\t", 0) == 0)
      found.push_back(line.substr(key.size() + 6));
  return found;
}

using Lines = std::vector<std::string>;

struct Memory {
  explicit Memory(size_t length)
      : base(make_memory(Kind::Anonymous, length)), size(length)
  {
  }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  ~Memory() { unmap(base, size); }

  const uintptr_t base;
  const size_t size;
};

std::string hexadecimal(int64_t number)
{
  std::ostringstream text;
  text << "0x" << std::hex << number;
  return text.str();
}

TEST(Fdinfo, AFileAsItWasOpened)
{
  const Device device;
  EXPECT_EQ(lines(device, "access"), Lines{"rw"});
  EXPECT_EQ(lines(device, "copies"), Lines{"0"});
  EXPECT_EQ(lines(device, "bytes"), Lines{"0"});
  EXPECT_EQ(lines(device, "verdicts"), Lines{"0"});
  EXPECT_EQ(lines(device, "handles"), Lines{"0"});
  EXPECT_EQ(lines(device, "windows"), Lines{"0"});
  const Device reads(Fd(open("/dev/cma", O_RDONLY | O_CLOEXEC)));
  EXPECT_EQ(lines(reads, "access"), Lines{"r"});
}

TEST(Fdinfo, WhatMoved)
{
  Twin twin(4 * page, 4 * page);
  const auto copy = [&](Route route, size_t length, bool write = false) {
    const iovec here = segment(twin.local().base(), length);
    const iovec there = segment(twin.remote().base(), length);
    return run(twin.device(), route, twin.target(), {write, &here, 1, &there, 1, 0});
  };
  int64_t bytes = 0;
  for (int i = 0; i < 10; i++) // by each way through the module
    for (const size_t length : {size_t{8}, 3 * page})
      bytes += copy(Route::Handle, length, i % 2 != 0).result;
  EXPECT_EQ(lines(twin.device(), "verdicts"), Lines{"0"});
  bytes += copy(Route::Pid, 100).result;
  EXPECT_EQ(bytes, static_cast<int64_t>(10 * (8 + 3 * page) + 100));
  EXPECT_EQ(lines(twin.device(), "copies"), Lines{"21"});
  EXPECT_EQ(lines(twin.device(), "bytes"), Lines{std::to_string(bytes)});
  EXPECT_EQ(lines(twin.device(), "verdicts"), Lines{"1"});
  const Device other;
  EXPECT_EQ(lines(other, "copies"), Lines{"0"});
}

TEST(Fdinfo, HandlesAndWhomTheyAreFor)
{
  const Device device;
  const Memory memory(2 * page);
  auto peer = std::make_unique<Peer>();
  const std::string pid = std::to_string(peer->pid());
  const int64_t name = create_window(device, memory.base, 1234, 0640).result;
  ASSERT_EQ(device.open(CMA_PEER_PID, peer->pid()), gives(1));
  ASSERT_EQ(open_window(device, name, CMA_ACCESS_READ), gives(2));
  EXPECT_EQ(lines(device, "handle"), (Lines{"1 pid " + pid + " rw", "2 window r"}));
  EXPECT_EQ(lines(device, "handles"), Lines{"2"});
  EXPECT_EQ(lines(device, "window"), Lines{"1234 bytes rw 0640"});
  EXPECT_EQ(lines(device, "windows"), Lines{"1"});
  peer.reset();
  EXPECT_EQ(lines(device, "handle").at(0), "1 pid -1 rw") << "its number is free again";
  device.close(1);
  EXPECT_EQ(lines(device, "handles"), Lines{"1"});
  auto destroy = sized<cma_ioc_window_destroy>();
  destroy.window = static_cast<uint64_t>(name);
  EXPECT_EQ(device.call(CMA_IOC_WINDOW_DESTROY, &destroy), gives(0));
  EXPECT_EQ(lines(device, "windows"), Lines{"0"});
}

/// The text outgrows the page that it is first written to.
TEST(Fdinfo, ThousandsOfThem)
{
  constexpr size_t many = 3000;
  constexpr size_t told = 1024;
  const Device device;
  const Memory memory(page);
  Peer peer;
  for (size_t i = 0; i < many; i++) {
    ASSERT_GT(device.open(CMA_PEER_PID, peer.pid()).result, 0);
    ASSERT_GT(create_window(device, memory.base, page, 0600).result, 0);
  }
  EXPECT_EQ(lines(device, "handle").size(), told);
  EXPECT_EQ(lines(device, "handles"), Lines{std::to_string(many)});
  EXPECT_EQ(lines(device, "window").size(), told);
  EXPECT_EQ(lines(device, "windows"), Lines{std::to_string(many)});
}

/// Who may look may do less than use the memory: neither where it is, nor the name by
/// which a window is opened.
TEST(Fdinfo, TellsNeitherAddressesNorNames)
{
  const Device device;
  const Memory memory(2 * page);
  const int64_t name = create_window(device, memory.base, page, 0600).result;
  ASSERT_GT(name, 0);
  ASSERT_EQ(device.open(CMA_PEER_PID, getpid()), gives(1));
  ASSERT_EQ(open_window(device, name), gives(2));
  std::ifstream file(path_of(getpid(), device));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find("cma-window:"), std::string::npos);
  const std::string base = hexadecimal(static_cast<int64_t>(memory.base)).substr(2);
  EXPECT_EQ(text.find(base.substr(0, base.size() - 3)), std::string::npos) << text;
  EXPECT_EQ(text.find(std::to_string(memory.base)), std::string::npos) << text;
  EXPECT_EQ(text.find(hexadecimal(name).substr(2)), std::string::npos) << text;
  EXPECT_EQ(text.find(std::to_string(name)), std::string::npos) << text;
}

TEST(Fdinfo, WhereAnotherUserMayNotTrace)
{
  const Device device;
  const std::string path = path_of(getpid(), device);
  Peer user([] { become(alice); });
  EXPECT_EQ(user.call([&]() -> long {
    const Outcome opened = Outcome::of(open(path.c_str(), O_RDONLY));
    return opened.error != 0 ? opened.error
                             : Outcome::of(read(static_cast<int>(opened.result),
                                                std::array<char, 8>().data(), 8))
                                   .error;
  }),
            EACCES);
}

/// Pids as the /proc has them that is looked at.
TEST(Fdinfo, APidThatTheReaderHasNot)
{
  const Device device;
  ASSERT_EQ(device.open(CMA_PEER_PID, getpid()), gives(1));
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
      _exit(10);
    const pid_t first = fork();
    if (first == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("proc", "/proc", "proc", 0, nullptr) != 0)
        _exit(11);
      _exit(lines(device, "handle") == Lines{"1 pid 0 rw"} ? 0 : 12);
    }
    int status = 0;
    waitpid(first, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 13);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

struct There {
  int64_t files, handles, windows, mappings, spaces, chunks;

  bool operator==(const There &) const = default;

  static There now()
  {
    return {module_counter("files"),   module_counter("handles"),
            module_counter("windows"), module_counter("mappings"),
            module_counter("spaces"),  module_counter("chunks")};
  }
};

/// What is there when what went has gone, which takes grace periods.
There settled()
{
  There now = There::now();
  for (int wait = 0; wait < 1000 && (now.spaces != 0 || now.chunks != 0); wait++) {
    usleep(10000);
    now = There::now();
  }
  return now;
}

TEST(Fdinfo, HowManyThereAre)
{
  ASSERT_EQ(settled(), There{});
  {
    const Device device;
    const Memory memory(4 * page);
    Peer peer;
    const int64_t name = create_window(device, memory.base, 2 * page, 0600).result;
    const int64_t handle = open_window(device, name).result;
    ASSERT_EQ(device.open(CMA_PEER_PID, peer.pid()).error, 0);
    const auto id = static_cast<int32_t>(handle);
    const Mapping mapping(device.fd(), id, 0, 2 * page, PROT_READ);
    ASSERT_EQ(mapping.error(), 0);
    ASSERT_GE(mapping.load(0), 0);
    const There now = There::now();
    EXPECT_EQ(now.files, 1);
    EXPECT_EQ(now.handles, 2);
    EXPECT_EQ(now.windows, 1);
    EXPECT_EQ(now.mappings, 1);
    EXPECT_EQ(now.spaces, 2);
    EXPECT_GE(now.chunks, 1);
    ASSERT_EQ(device.close(id), gives(0));
    EXPECT_EQ(There::now().handles, 1);
  }
  EXPECT_EQ(settled(), There{});
}

} // namespace
} // namespace cma_test
