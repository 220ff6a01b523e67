// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The rules are those of ptrace(2), "Ptrace access mode checking", for
// PTRACE_MODE_ATTACH_REALCREDS, in the kernel's order; of Yama, its
// Documentation/admin-guide/LSM/Yama.rst. The first rule that would refuse is the
// answer; where none would, it is a policy that cannot be read from here.
#include "refusal.hpp"
#include "procfs.hpp"
#include <cstring>
#include <linux/capability.h>
#include <uapi/cma.h>

namespace cma {
namespace {

struct Case {
  pid_t pid;
  ProcessStatus self, peer;
  bool ptrace_capability; // in our own user namespace
};

bool same_ids(const Case &c)
{
  const ProcessStatus &peer = c.peer;
  const auto uid = c.self.uid;
  const auto gid = c.self.gid;
  return uid == peer.uid && uid == peer.euid && uid == peer.suid && gid == peer.gid &&
         gid == peer.egid && gid == peer.sgid;
}

// Of a user namespace that is not the initial one, or of which that cannot be told. In
// the initial one every id is its own.
bool in_child_user_namespace(const char *uid_map)
{
  char text[64] = "";
  unsigned int inside = 1;
  unsigned int outside = 1;
  unsigned int count = 0;
  return read_file(uid_map, text, sizeof(text)) <= 0 ||
         std::sscanf(text, "%u %u %u", &inside, &outside, &count) != 3 || inside != 0 ||
         outside != 0 || count != 0xffffffff;
}

enum class Namespace { same, other, unseen };

// Whether the peer lives in the caller's user namespace. The link that tells is shown
// to those who may look into the peer (PTRACE_MODE_READ), of whom Yama does not ask
// anything.
Namespace user_namespace(const Case &c)
{
  char path[64];
  char own[64] = "";
  char other[64] = "";
  std::snprintf(path, sizeof(path), "/proc/%d/ns/user", c.pid);
  if (sys::readlink("/proc/self/ns/user", own, sizeof(own) - 1) <= 0)
    return Namespace::unseen;
  if (sys::readlink(path, other, sizeof(other) - 1) > 0)
    return std::strcmp(own, other) == 0 ? Namespace::same : Namespace::other;
  std::snprintf(path, sizeof(path), "/proc/%d/uid_map", c.pid);
  return in_child_user_namespace("/proc/self/uid_map") || in_child_user_namespace(path)
             ? Namespace::unseen
             : Namespace::same;
}

// What ids that have no number in the caller's user namespace are shown as.
bool has_foreign_ids(const Case &c)
{
  constexpr std::uint32_t overflow = 65534;
  return in_child_user_namespace("/proc/self/uid_map") &&
         (c.peer.uid == overflow || c.peer.gid == overflow);
}

// The kernel gives the files in /proc/PID to root if the process is not dumpable.
bool dumpable(const Case &c)
{
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/status", c.pid);
  struct stat status = {};
  return sys::stat(path, &status) < 0 || status.st_uid == c.peer.euid;
}

bool is_descendant(const Case &c)
{
  ProcessStatus status = c.peer;
  for (int depth = 0; depth < 100 && status.parent > 0; depth++) {
    if (status.parent == c.self.thread_group)
      return true;
    if (read_process_status(status.parent, status) < 0)
      return false;
  }
  return false;
}

int yama_scope()
{
  char scope[8];
  const ssize_t length =
      read_file("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
  return length > 0 ? scope[0] - '0' : 0;
}

bool explain_ids(Text &text, const Case &c)
{
  if (same_ids(c) || has_foreign_ids(c))
    return false;
  text.add(
      "Process %d runs as user %u and group %u (effective %u and %u, saved %u and %u), "
      "this one as user %u and group %u: memory is open only to a process whose real "
      "ids are all of these, or that has CAP_SYS_PTRACE in the peer's user namespace",
      c.pid, c.peer.uid, c.peer.gid, c.peer.euid, c.peer.egid, c.peer.suid, c.peer.sgid,
      c.self.uid, c.self.gid);
  if (c.ptrace_capability)
    text.add("; this process has it in its own alone. Run both in one user namespace.");
  else
    text.add(". Run both as the same user, or give this program the capability "
             "(setcap cap_sys_ptrace+ep).");
  return true;
}

bool explain_dumpable(Text &text, const Case &c)
{
  if (dumpable(c) || (c.ptrace_capability && user_namespace(c) == Namespace::same))
    return false;
  text.add("Process %d is not dumpable: it changed its ids or capabilities, its program "
           "file is not readable, or it called prctl(PR_SET_DUMPABLE, 0). It can allow "
           "access by prctl(PR_SET_DUMPABLE, 1); else it needs CAP_SYS_PTRACE here.",
           c.pid);
  return true;
}

// Asked for when ids are the same and the peer is dumpable: then only this, or a policy,
// keeps the link from being seen.
bool explain_user_namespace(Text &text, const Case &c)
{
  const Namespace where = user_namespace(c);
  if (where == Namespace::same)
    return false;
  text.add("Process %d %s in another user namespace, over which this process has no "
           "capabilities, whatever its ids: as when each of the two runs in a container "
           "of its own. Run both in one user namespace, or this one in a parent of it.",
           c.pid, where == Namespace::other ? "lives" : "seems to live");
  return true;
}

bool explain_capabilities(Text &text, const Case &c)
{
  const auto more = c.peer.capabilities_permitted & ~c.self.capabilities_permitted;
  if (more == 0 || c.ptrace_capability)
    return false;
  text.add("Process %d has capabilities that this one has not (mask %016llx): run it "
           "without them, or give this program CAP_SYS_PTRACE.",
           c.pid, static_cast<unsigned long long>(more));
  return true;
}

bool explain_yama(Text &text, const Case &c)
{
  const int scope = yama_scope();
  if (scope == 3) {
    text.add("Yama forbids access to other processes' memory to everyone "
             "(kernel.yama.ptrace_scope = 3). Only a reboot with another setting "
             "allows it.");
    return true;
  }
  if (scope == 0 || c.ptrace_capability)
    return false;
  if (scope == 2) {
    text.add(
        "Yama leaves access to other processes' memory to CAP_SYS_PTRACE "
        "(kernel.yama.ptrace_scope = 2). As root: sysctl kernel.yama.ptrace_scope=0, "
        "or give this program the capability (setcap cap_sys_ptrace+ep).");
    return true;
  }
  if (is_descendant(c))
    return false;
  text.add(
      "Yama lets a process access only its descendants and who allows it "
      "(kernel.yama.ptrace_scope = 1), and process %d is neither. Let it call "
      "prctl(PR_SET_PTRACER, %d) or prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY), which "
      "a child of fork(2) does not inherit; or start a program that does not by `cma run "
      "--policy consent`; or as root: sysctl kernel.yama.ptrace_scope=0.",
      c.pid, c.self.thread_group);
  return true;
}

void explain_other_policy(Text &text, const Case &c, enum cma_backend backend)
{
  char modules[256] = "";
  read_file("/sys/kernel/security/lsm", modules, sizeof(modules));
  text.add("User ids, capabilities and Yama would allow access to process %d", c.pid);
  if (backend == CMA_BACKEND_SYSCALL && c.self.seccomp == 2)
    text.add("; this process's system calls are filtered (seccomp), as in a container: "
             "let the filter pass process_vm_readv and process_vm_writev, or load the "
             "module cma and pass /dev/cma in.");
  else
    text.add(
        "; a security module refuses (AppArmor, SELinux, Landlock, ...%s%s): see the "
        "kernel's log, and let its policy permit ptrace between the two.",
        *modules != '\0' ? "; active: " : "", modules);
}

} // namespace

pid_t pid_of(cma_peer peer)
{
  switch (peer.type) {
  case CMA_PEER_PID:
  case CMA_PEER_PUBLISHED:
    return peer.id;
  case CMA_PEER_PIDFD:
    return pidfd_to_pid(peer.id);
  default:
    return 0;
  }
}

namespace {

void explain_rule(Text &text, cma_peer peer, enum cma_backend backend)
{
  if (peer.type == CMA_PEER_HANDLE)
    return text.add("Access through handle %d was allowed when it was opened and is not "
                    "any more: the credentials of either side, or a policy, changed. "
                    "cma_explain() says more of the peer's pid.",
                    peer.id);
  Case c = {};
  c.pid = pid_of(peer);
  if (c.pid <= 0 || read_process_status(::gettid(), c.self) < 0 ||
      read_process_status(c.pid, c.peer) < 0)
    return text.add("Access is refused to a process of which /proc shows nothing: it is "
                    "gone, or hidden (hidepid).");
  c.ptrace_capability = ((c.self.capabilities_effective >> CAP_SYS_PTRACE) & 1) != 0;

  const bool explained = explain_ids(text, c) || explain_dumpable(text, c) ||
                         explain_user_namespace(text, c) ||
                         explain_capabilities(text, c) || explain_yama(text, c);
  if (!explained)
    explain_other_policy(text, c, backend);
}

} // namespace

void explain_refusal(Text &text, cma_peer peer, enum cma_backend backend)
{
  explain_rule(text, peer, backend);
  text.add(" Or let the peer create a window (cma_window_create(3)%s), for which none of "
           "this is asked.",
           backend == CMA_BACKEND_DEVICE ? "" : ", which needs /dev/cma");
}

} // namespace cma
