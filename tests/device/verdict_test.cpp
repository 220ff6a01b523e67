// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Who may: the table of permission verdicts. Each row sets up a caller and a
 * target, and the caller asks by every route, for reading and for writing.
 * The device must say what process_vm_readv and process_vm_writev say to the
 * same caller at the same time, and that must be what the row expects.
 */
#include "support/judgement.hpp"
#include "support/persona.hpp"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

/// How the two came to be, and whom the caller asks for.
enum class Kin {
  Strangers,
  Child,   ///< the caller forks the target
  Self,    ///< the caller asks for himself
  Sibling, ///< the target shares the caller's memory, and is bob
  Zombie,  ///< the target has exited and was not waited for
  Thread,  ///< a second thread of the target
  Nobody,  ///< a pid that has been free since the target was reaped
  Kernel,  ///< a kernel thread
  Zero,    ///< pid 0
  Minus,   ///< pid -1
};

/// What one side does before, given the other's pid (0: not known yet); a message if it
/// cannot be done here.
using Step = const char *(*)(pid_t other);

struct Row {
  const char *name;
  int expected;
  Step caller;
  Step target;
  Kin kin = Kin::Strangers;
  int yama = 0;
  unsigned long caller_clone = 0;
  unsigned long target_clone = 0;
};

void PrintTo(const Row &row, std::ostream *out)
{
  *out << row.name;
}

const char *root(pid_t)
{
  return nullptr;
}
const char *as_alice(pid_t)
{
  become(alice);
  return nullptr;
}
const char *as_bob(pid_t)
{
  become(bob);
  return nullptr;
}
const char *as_nobody(pid_t)
{
  become(nobody);
  return nullptr;
}
const char *root_undumpable(pid_t)
{
  prctl(PR_SET_DUMPABLE, 0);
  return nullptr;
}
const char *alice_undumpable(pid_t)
{
  become(alice);
  prctl(PR_SET_DUMPABLE, 0);
  return nullptr;
}
const char *alice_of_bobs_group(pid_t)
{
  become(alice, bob);
  return nullptr;
}
const char *alice_in_fact_bob_in_effect(pid_t)
{
  require(setresgid(alice, bob, bob) == 0, "setresgid");
  require(setresuid(alice, bob, bob) == 0, "setresuid");
  return nullptr;
}
const char *alice_with_net_raw(pid_t)
{
  become_with(alice, {CAP_NET_RAW});
  return nullptr;
}
const char *alice_with_net_raw_permitted(pid_t)
{
  become_with(alice, {CAP_NET_RAW}, false);
  return nullptr;
}
const char *nobody_with_ptrace(pid_t)
{
  become_with(nobody, {CAP_SYS_PTRACE});
  return nullptr;
}
const char *nobody_with_ptrace_permitted(pid_t)
{
  become_with(nobody, {CAP_SYS_PTRACE}, false);
  return nullptr;
}
const char *root_without_ptrace(pid_t)
{
  drop_capability(CAP_SYS_PTRACE);
  return nullptr;
}
const char *alice_who_names_her_tracer(pid_t tracer)
{
  become(alice);
  require(prctl(PR_SET_PTRACER, tracer, 0, 0, 0) == 0, "PR_SET_PTRACER");
  return nullptr;
}
const char *alice_open_to_all(pid_t)
{
  become(alice);
  require(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0) == 0, "PR_SET_PTRACER");
  return nullptr;
}
const char *alice_in_her_namespace(pid_t)
{
  become(alice);
  if (unshare(CLONE_NEWUSER) < 0)
    return "no user namespaces for users";
  prctl(PR_SET_DUMPABLE, 1);
  return nullptr;
}
const char *alice_behind_hidepid(pid_t)
{
  require(unshare(CLONE_NEWNS) == 0, "CLONE_NEWNS");
  require(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
          "private mounts");
  require(mount("proc", "/proc", "proc", 0, "hidepid=2") == 0, "hidepid");
  become(alice);
  return nullptr;
}
const char *alice_in_an_empty_root(pid_t target)
{
  open_beforehand(target);
  char path[] = "/tmp/cma-root-XXXXXX";
  require(mkdtemp(path) != nullptr && chroot(path) == 0 && chdir("/") == 0, "chroot");
  rmdir(path);
  become(alice);
  return nullptr;
}
const char *alice_without_descriptors(pid_t target)
{
  open_beforehand(target);
  const rlimit none = {0, 0};
  require(setrlimit(RLIMIT_NOFILE, &none) == 0, "RLIMIT_NOFILE");
  become(alice);
  return nullptr;
}

/// A domain that may open no file: one of paths, which are no matter to ptrace.
const char *alice_in_a_landlock_domain(pid_t target)
{
  open_beforehand(target);
  become(alice);
  landlock_ruleset_attr rules = {};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                            LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
  const Fd ruleset(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules.handled_access_fs), 0)));
  if (!ruleset)
    return "this kernel has no Landlock";
  require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
  require(syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0,
          "landlock_restrict_self");
  require(open("/proc/self/mem", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES,
          "the domain does not hold");
  return nullptr;
}

/// Puts something of alice's own over what /proc shows of the victim, and proves that a
/// plain user, and so a naive check, falls for it.
const char *alice_with_a_fake(pid_t victim, const char *own, const char *shadowed)
{
  require(unshare(CLONE_NEWNS) == 0, "CLONE_NEWNS");
  require(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
          "private mounts");
  const std::string theirs = "/proc/" + std::to_string(victim);
  become_with(alice, {CAP_SYS_ADMIN}); // so that her own entries are hers already
  if (mount(own, (theirs + shadowed).c_str(), nullptr, MS_BIND, nullptr) < 0)
    return "this kernel lets nobody mount over /proc/PID";
  become_with(alice, {});
  const Fd fooled(open((theirs + "/mem").c_str(), O_RDWR | O_CLOEXEC));
  require(static_cast<bool>(fooled), "the fake does not work");
  return nullptr;
}
const char *alice_with_a_fake_mem(pid_t victim)
{
  return alice_with_a_fake(victim, "/proc/self/mem", "/mem");
}
const char *alice_with_a_fake_directory(pid_t victim)
{
  return alice_with_a_fake(victim, "/proc/self", "");
}

const char *alice_with_ptrace_permitted(pid_t)
{
  become_with(alice, {CAP_SYS_PTRACE}, false);
  return nullptr;
}

const Row rows[] = {
    {"SameUser", 0, as_alice, as_alice},
    {"RootToUser", 0, root, as_alice},
    {"RootToRoot", 0, root, root},
    {"RootToUndumpable", 0, root, alice_undumpable},
    {"SysPtraceAlone", 0, nobody_with_ptrace, root},
    {"SysPtraceOnlyPermitted", EPERM, nobody_with_ptrace_permitted, root},
    {"RealIdsCount", 0, alice_in_fact_bob_in_effect, as_alice},
    {"EffectiveIdsDoNot", EPERM, alice_in_fact_bob_in_effect, as_bob},
    {"SameCapabilities", 0, alice_with_net_raw, alice_with_net_raw},
    {"PermittedCapabilitiesCount", 0, alice_with_net_raw_permitted, alice_with_net_raw},
    {"MoreCapabilities", EPERM, as_alice, alice_with_net_raw},
    {"NobodyToRoot", EPERM, as_nobody, root},
    {"UserToAnother", EPERM, as_bob, as_alice},
    {"OtherGroup", EPERM, as_alice, alice_of_bobs_group},
    {"UserToUndumpable", EPERM, as_alice, alice_undumpable},
    {"UserToUndumpableRoot", EPERM, as_alice, root_undumpable},
    {"RootWithoutSysPtrace", EPERM, root_without_ptrace, as_alice},

    {"Self", 0, as_alice, root, Kin::Self},
    {"SelfUndumpable", 0, alice_undumpable, root, Kin::Self},
    {"SelfWithoutSysPtrace", 0, root_without_ptrace, root, Kin::Self},
    {"SameMemoryOtherUser", 0, as_alice, as_bob, Kin::Sibling},
    {"AnotherThread", 0, as_alice, as_alice, Kin::Thread},
    {"AnotherThreadOfAStranger", EPERM, as_bob, as_alice, Kin::Thread},

    {"YamaRelationalStranger", EPERM, as_alice, as_alice, Kin::Strangers, 1},
    {"YamaRelationalChild", 0, as_alice, as_alice, Kin::Child, 1},
    {"YamaRelationalSelf", 0, as_alice, root, Kin::Self, 1},
    {"YamaRelationalNamedTracer", 0, as_alice, alice_who_names_her_tracer, Kin::Strangers,
     1},
    {"YamaRelationalAnyTracer", 0, as_alice, alice_open_to_all, Kin::Strangers, 1},
    {"YamaRelationalAnyTracerOtherUser", EPERM, as_bob, alice_open_to_all, Kin::Strangers,
     1},
    {"YamaRelationalRoot", 0, root, as_alice, Kin::Strangers, 1},
    {"YamaAdminUser", EPERM, as_alice, as_alice, Kin::Strangers, 2},
    {"YamaAdminChild", EPERM, as_alice, as_alice, Kin::Child, 2},
    {"YamaAdminAnyTracer", EPERM, as_alice, alice_open_to_all, Kin::Strangers, 2},
    {"YamaAdminSelf", 0, as_alice, root, Kin::Self, 2},
    {"YamaAdminRoot", 0, root, as_alice, Kin::Strangers, 2},

    {"IntoAChildUserNamespace", 0, as_alice, alice_in_her_namespace},
    {"OutOfAChildUserNamespace", EPERM, alice_in_her_namespace, as_alice},
    {"BetweenUserNamespaces", EPERM, alice_in_her_namespace, alice_in_her_namespace},
    {"IntoAChildPidNamespace", 0, as_alice, as_alice, Kin::Strangers, 0, 0, CLONE_NEWPID},
    {"APidOfAnotherNamespace", ESRCH, root, root, Kin::Strangers, 0, CLONE_NEWPID, 0},

    {"LandlockedToItself", 0, alice_in_a_landlock_domain, root, Kin::Self},
    {"LandlockedToItsChild", 0, alice_in_a_landlock_domain, as_alice, Kin::Child},
    {"LandlockedToAStranger", EPERM, alice_in_a_landlock_domain, as_alice},
    {"IntoALandlockDomain", 0, as_alice, alice_in_a_landlock_domain},
    {"BetweenLandlockDomains", EPERM, alice_in_a_landlock_domain,
     alice_in_a_landlock_domain},

    {"FakeMem", EPERM, alice_with_a_fake_mem, as_bob},
    {"FakeMemOfRoot", EPERM, alice_with_a_fake_mem, root},
    {"FakeDirectory", EPERM, alice_with_a_fake_directory, as_bob},

    {"Zombie", ESRCH, root, as_alice, Kin::Zombie},
    {"ZombieOfAnother", ESRCH, as_bob, as_alice, Kin::Zombie},
    {"KernelThread", ESRCH, root, root, Kin::Kernel},
    {"KernelThreadForAUser", ESRCH, as_alice, root, Kin::Kernel},
    {"NoSuchProcess", ESRCH, root, root, Kin::Nobody},
    {"PidZero", ESRCH, root, root, Kin::Zero},
    {"PidMinusOne", ESRCH, root, root, Kin::Minus},

    {"HidepidIsNoMatter", 0, alice_behind_hidepid, as_alice},
    {"HidepidNeitherForAnother", EPERM, alice_behind_hidepid, as_bob},
    {"AnEmptyRootIsNoMatter", 0, alice_in_an_empty_root, as_alice},
    {"AnEmptyRootNeitherForAnother", EPERM, alice_in_an_empty_root, as_bob},
    {"NoDescriptorsIsNoMatter", 0, alice_without_descriptors, as_alice},
};

/// Yama's scope 3 stays until the next boot: a run that goes on needs these last.
const Row last_rows[] = {
    {"Root", EPERM, root, as_alice, Kin::Strangers, 3},
    {"RootToRoot", EPERM, root, root, Kin::Strangers, 3},
    {"Child", EPERM, as_alice, as_alice, Kin::Child, 3},
    {"AnyTracer", EPERM, as_alice, alice_open_to_all, Kin::Strangers, 3},
    {"Self", 0, as_alice, root, Kin::Self, 3},
    {"SelfUndumpable", 0, alice_undumpable, root, Kin::Self, 3},
};

class Verdict : public testing::TestWithParam<Row> {
protected:
  const Row &row = GetParam();
  Answers &answers = Answers::fresh();

  /// The target's pid as the test sees it; the object that keeps it alive.
  std::optional<Peer> target;

  const char *make_target(Peer &caller);
  pid_t whom(Peer &caller);
};

/// In the caller: forks a target of its own, which dies with it.
pid_t fork_target(Step step)
{
  static std::optional<Peer> child;
  child.emplace([step] { step(0); });
  return child->pid();
}

const char *Verdict::make_target(Peer &caller)
{
  const pid_t caller_pid = caller.pid();
  const Step step = row.target;
  const char *missing = nullptr;
  if (row.kin == Kin::Strangers || row.kin == Kin::Zombie || row.kin == Kin::Thread ||
      row.kin == Kin::Nobody) {
    target.emplace(std::function<void()>{}, row.target_clone);
    missing = reinterpret_cast<const char *>(
        target->call([=]() { return reinterpret_cast<long>(step(caller_pid)); }));
  }
  if (row.kin == Kin::Zombie || row.kin == Kin::Nobody) {
    target->kill(SIGKILL);
    target->wait_exited();
  }
  if (row.kin == Kin::Nobody)
    target->wait();
  return missing;
}

pid_t Verdict::whom(Peer &caller)
{
  const Step step = row.target;
  switch (row.kin) {
  case Kin::Child:
    return static_cast<pid_t>(caller.call([=]() -> long { return fork_target(step); }));
  case Kin::Sibling:
    return static_cast<pid_t>(caller.call([]() -> long { return clone_sibling(bob); }));
  case Kin::Self:
    return caller.pid();
  case Kin::Thread:
    return static_cast<pid_t>(target->call([]() -> long {
      static std::atomic<pid_t> tid = 0;
      std::thread([] {
        tid = gettid();
        pause();
      }).detach();
      while (tid == 0)
        sched_yield();
      return tid;
    }));
  case Kin::Kernel:
    return 2; // kthreadd
  case Kin::Zero:
    return 0;
  case Kin::Minus:
    return -1;
  default:
    return target->pid();
  }
}

TEST_P(Verdict, IsTheKernels)
{
  const Yama yama(row.yama);
  if (!yama.in_force())
    GTEST_SKIP() << "Yama is not there, or cannot be set so";
  Peer caller({}, row.caller_clone);
  const Step step = row.caller;
  if (const char *missing = make_target(caller))
    GTEST_SKIP() << missing;
  const pid_t known = target ? target->pid() : 0;
  const auto *missing = reinterpret_cast<const char *>(
      caller.call([=] { return reinterpret_cast<long>(step(known)); }));
  if (missing != nullptr)
    GTEST_SKIP() << missing;

  const pid_t pid = whom(caller);
  caller.call([=, &answers = answers]() -> long {
    answers.judge(pid);
    return 0;
  });
  const Outcome expected =
      row.expected == 0 ? gives(sizeof(Answers::Words)) : fails(row.expected);
  answers.expect(Route::Syscall, expected);
  for (const Route route : device_routes)
    answers.expect(route, expected);
}

/// The one known difference, on the safe side: procfs cannot be asked about a capability
/// that is permitted and not effective without lending it.
TEST(KnownDifference, SysPtracePermittedOnBothSidesIsRefused)
{
  Answers &answers = Answers::fresh();
  const auto step = [] { alice_with_ptrace_permitted(0); };
  Peer target(step);
  Peer caller(step);
  const pid_t pid = target.pid();
  caller.call([=, &answers]() -> long {
    answers.judge(pid);
    return 0;
  });
  answers.expect(Route::Syscall, gives(sizeof(Answers::Words)));
  for (const Route route : device_routes)
    answers.expect(route, fails(EPERM));
}

std::string row_name(const testing::TestParamInfo<Row> &info)
{
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Table, Verdict, testing::ValuesIn(rows), row_name);
INSTANTIATE_TEST_SUITE_P(YamaForever, Verdict, testing::ValuesIn(last_rows), row_name);

} // namespace
} // namespace cma_test
