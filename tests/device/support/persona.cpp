// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Users, groups and capabilities, by raw system calls: one thread's alone; see
// persona.hpp.
#include "persona.hpp"
#include "peer.hpp"

#include <csignal>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cma_test {
namespace {

using Capabilities = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

void set_capabilities(const Capabilities &data)
{
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  require(syscall(SYS_capset, &header, data.data()) == 0, "capset");
}

Capabilities get_capabilities()
{
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  Capabilities data{};
  require(syscall(SYS_capget, &header, data.data()) == 0, "capget");
  return data;
}

/// Which word of Capabilities a capability is in, and its bit there.
size_t word_of(int capability)
{
  return static_cast<size_t>(capability) / 32;
}
uint32_t bit_of(int capability)
{
  return 1U << (capability % 32);
}

} // namespace

Persona::Persona(uid_t uid, gid_t gid)
{
  if (setresgid(gid, gid, 0) < 0 || setresuid(uid, uid, 0) < 0)
    throw std::runtime_error("setresuid");
}

Persona::~Persona()
{
  if (setresuid(0, 0, 0) < 0 || setresgid(0, 0, 0) < 0)
    _exit(1);
  prctl(PR_SET_DUMPABLE, 1);
}

void become(uid_t uid, gid_t gid)
{
  require(geteuid() != 0 || setgroups(0, nullptr) == 0, "setgroups");
  require(syscall(SYS_setresgid, gid, gid, gid) == 0, "setresgid");
  require(syscall(SYS_setresuid, uid, uid, uid) == 0, "setresuid");
  require(prctl(PR_SET_DUMPABLE, 1) == 0, "PR_SET_DUMPABLE");
}

void become_with(uid_t user, std::initializer_list<int> capabilities, bool effective)
{
  require(prctl(PR_SET_KEEPCAPS, 1) == 0, "PR_SET_KEEPCAPS");
  become(user);
  Capabilities data{};
  for (const int capability : capabilities) {
    auto &word = data.at(word_of(capability));
    word.permitted |= bit_of(capability);
    if (effective)
      word.effective |= bit_of(capability);
  }
  set_capabilities(data);
  require(prctl(PR_SET_DUMPABLE, 1) == 0, "PR_SET_DUMPABLE");
}

void drop_capability(int capability)
{
  Capabilities data = get_capabilities();
  auto &word = data.at(word_of(capability));
  word.permitted &= ~bit_of(capability);
  word.effective &= ~bit_of(capability);
  word.inheritable &= ~bit_of(capability);
  set_capabilities(data);
  require(prctl(PR_SET_DUMPABLE, 1) == 0, "PR_SET_DUMPABLE");
}

pid_t clone_sibling(uid_t user)
{
  alignas(16) static std::array<std::byte, 65536> stack;
  static volatile bool ready = false;
  static uid_t whose = user;
  const pid_t pid = clone(
      [](void *) -> int {
        // Thread-local storage is shared with the caller: nothing but raw system calls.
        syscall(SYS_setresuid, whose, whose, whose);
        syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
        syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        ready = true;
        while (true)
          syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
      },
      stack.data() + stack.size(), CLONE_VM | SIGCHLD, nullptr);
  require(pid > 0, "clone");
  while (!ready)
    sched_yield();
  return pid;
}

} // namespace cma_test
