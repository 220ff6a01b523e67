// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "actor.hpp"
#include "world.hpp"

#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_fuzz {
namespace {

constexpr size_t page = 4096;
constexpr uintptr_t own_base = 0x100000000000;
constexpr size_t own_pages = 1024; // two chunks
constexpr uintptr_t view_base = 0x200000000000;
constexpr uintptr_t view_stride = 0x10000000;
constexpr std::array<size_t, 8> lengths = {1, 2, 3, 16, 64, 256, 512, 1024};

sigjmp_buf fault;

void faulted(int)
{
  siglongjmp(fault, 1);
}

void nothing(int)
{
}

void on(int signal, void (*handler)(int))
{
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_NODEFER;
  sigaction(signal, &action, nullptr);
}

/// The byte at an address, or -1 for a signal.
int byte_at(uintptr_t address)
{
  if (sigsetjmp(fault, 1) != 0)
    return -1;
  return *reinterpret_cast<volatile uint8_t *>(address);
}

/// What the system call reads there, or -1.
int byte_of(pid_t pid, uintptr_t address)
{
  uint8_t byte = 0;
  iovec here = {&byte, 1};
  iovec there = {reinterpret_cast<void *>(address), 1};
  return process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 ? byte : -1;
}

void tell(const char *path, const char *what)
{
  const cma_test::Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (fd && write(fd.get(), what, 1) < 0)
    return;
}

void *pointer(uintptr_t address)
{
  return reinterpret_cast<void *>(address);
}

} // namespace

Actor::Actor(unsigned number) : number_(number)
{
  on(SIGBUS, faulted);
  on(SIGSEGV, faulted);
  on(SIGUSR1, nothing);
  on(SIGPIPE, nothing);
  mmap(pointer(own_base), own_pages * page, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  for (size_t i = 0; i < 16; i++)
    *reinterpret_cast<uint8_t *>(own(static_cast<uint8_t>(i))) =
        static_cast<uint8_t>(number * 64);
}

/// The pages that matter: on both sides of the border of two chunks.
uintptr_t Actor::own(uint8_t which) const
{
  return own_base + (own_pages / 2 - 8 + which % 16) * page;
}

void Actor::take(const Step &step)
{
  const uint8_t a = step.number[0];
  const uint8_t b = step.number[1];
  Shared &all = shared();
  const unsigned other = a % actors;
  switch (step.verb) {
  case Verb::Open:
    return open(step);
  case Verb::Close:
    device_.close(handles_.at(a % handles_.size()).number);
    return;
  case Verb::Expose:
    return expose(step);
  case Verb::Withdraw: {
    auto request = cma_test::sized<cma_ioc_window_destroy>();
    request.window = all.windows.at(a % all.windows.size());
    device_.call(CMA_IOC_WINDOW_DESTROY, &request);
    return;
  }
  case Verb::Read:
    return copy(step, false);
  case Verb::Write:
    return copy(step, true);
  case Verb::Garbage:
    return garbage(step);
  case Verb::Map:
    return map(step);
  case Verb::Unmap:
  case Verb::Move:
  case Verb::Protect:
    return change_view(step);
  case Verb::Populate:
  case Verb::Show:
    return show(step);
  case Verb::Load:
    return load(step);
  case Verb::Store:
    return store(step);
  case Verb::Kernel:
    return kernel(step);
  case Verb::Touch:
    if (sigsetjmp(fault, 1) == 0)
      *reinterpret_cast<volatile uint8_t *>(own(a)) = ++generation_;
    return;
  case Verb::Renew:
    return renew(step);
  case Verb::Drop:
    munmap(pointer(own(a)), lengths.at(b % 4) * page);
    return;
  case Verb::Advise:
    return advise(step);
  case Verb::Fork:
    return fork_child(step);
  case Verb::Exec: {
    char program[] = "/proc/self/exe";
    char option[] = "--after-exec";
    char *words[] = {program, option, nullptr};
    all.gone.at(number_) = true;
    execv(program, words);
    return;
  }
  case Verb::Exit:
    all.gone.at(number_) = true;
    _exit(0);
  case Verb::Signal:
    ::kill(all.pids.at(other), SIGUSR1);
    return;
  case Verb::Kill:
    if (other != number_) {
      all.gone.at(other) = true;
      ::kill(all.pids.at(other), SIGKILL);
    }
    return;
  case Verb::Reopen:
    device_ = cma_test::Device();
    return;
  case Verb::Pressure:
    return pressure(step);
  case Verb::Reduce:
    return reduce(step);
  case Verb::Count:
    break;
  }
}

/// Where nobody else is under way, both ways must see the same.
void Actor::judge(unsigned peer, uintptr_t address, int seen) const
{
  Shared &all = shared();
  if (!all.alone || all.gone.at(peer))
    return;
  const int right = byte_of(all.pids.at(peer), address);
  // A mapping may be refused where the system call is not; it never shows other bytes.
  if (seen >= 0 && right != seen)
    all.wrong = true;
}

void Actor::open(const Step &step)
{
  const auto [slot, whom, how] = step.number;
  Shared &all = shared();
  auto request = cma_test::sized<cma_ioc_open>();
  Handle handle;
  handle.peer = whom % actors;
  cma_test::Fd pidfd;
  switch (how % 4) {
  case 0:
    request.peer_type = how & 0x80 ? CMA_PEER_PUBLISHED : CMA_PEER_PID;
    request.peer = all.pids.at(handle.peer);
    handle.whole = true;
    break;
  case 1:
    pidfd.reset(
        static_cast<int>(syscall(SYS_pidfd_open, all.pids.at(handle.peer).load(), 0)));
    request.peer_type = CMA_PEER_PIDFD;
    request.peer = pidfd.get();
    handle.whole = true;
    break;
  default:
    request.peer_type = CMA_PEER_WINDOW;
    request.window = all.windows.at(whom % all.windows.size());
    request.access = how / 4U % 4;
  }
  if (device_.call(CMA_IOC_OPEN, &request).result != 0)
    return;
  handle.number = request.handle;
  handles_.at(slot % handles_.size()) = handle;
}

void Actor::expose(const Step &step)
{
  const auto [slot, where, how] = step.number;
  auto request = cma_test::sized<cma_ioc_window_create>();
  request.base = own(where) + (how % 8 == 7 ? 100 : 0);
  request.length = lengths.at(how % lengths.size()) * page;
  request.access = 1 + how / 8U % 3;
  request.mode = how / 32U % 2 != 0 ? 0600 : 0666;
  if (how / 64U == 3) {
    request.flags = CMA_WINDOW_PUBLISH;
    request.base = 0;
    request.length = INT64_MAX;
  }
  if (device_.call(CMA_IOC_WINDOW_CREATE, &request).result == 0)
    shared().windows.at(slot % 4) = request.window;
}

void Actor::copy(const Step &step, bool write)
{
  const auto [which, where, how] = step.number;
  Shared &all = shared();
  const Handle &handle = handles_.at(which % handles_.size());
  static std::array<uint8_t, 8> some;
  const bool much = how % 2 != 0;
  const size_t length = much ? lengths.at(how / 2U % lengths.size()) * page : some.size();
  std::array<cma_iovec, 3> here{};
  std::array<cma_iovec, 3> there{};
  auto request = cma_test::sized<cma_ioc_copy>();
  const uintptr_t remote = handle.whole ? own(where) : where % 16 * page;
  here.fill({much ? own(static_cast<uint8_t>(where + 3))
                  : reinterpret_cast<uintptr_t>(some.data()),
             length});
  there.fill({remote, length});
  request.flags = (write ? CMA_COPY_WRITE : 0) | (how & 0x10 ? CMA_COPY_STRICT : 0) |
                  (how & 0x20 ? CMA_COPY_REPORT : 0) |
                  (how & 0x40 ? CMA_COPY_LARGE | CMA_COPY_MANY : 0);
  if (which & 0x80)
    request.peer_type = how & 8 ? CMA_PEER_PUBLISHED : CMA_PEER_PID;
  else
    request.peer_type = CMA_PEER_HANDLE;
  request.peer = which & 0x80 ? all.pids.at(handle.peer).load() : handle.number;
  request.local_iov = reinterpret_cast<uintptr_t>(here.data());
  request.remote_iov = reinterpret_cast<uintptr_t>(there.data());
  request.local_cnt = request.remote_cnt = 1 + how / 0x40U % 3;
  if (!much && (where & 1) != 0) {
    request.flags |= CMA_COPY_SINGLE;
    request.local_iov = here[0].base;
    request.remote_iov = there[0].base;
    request.local_cnt = request.remote_cnt = length;
  }
  const auto outcome = device_.copy(request);
  if (!write && !much && handle.whole && outcome.result >= 8)
    judge(handle.peer, remote, some[0]);
}

/// Of one to four handles; into zeros, a bitwise or of one gives its bytes.
void Actor::reduce(const Step &step)
{
  const auto [which, where, how] = step.number;
  alignas(8) static std::array<uint8_t, 8> some;
  const bool much = how % 2 != 0;
  auto request = cma_test::sized<cma_ioc_reduce>();
  request.op = much ? 1 + how / 8U % CMA_REDUCE_BXOR : CMA_REDUCE_BOR;
  request.type = 1 + how % CMA_REDUCE_DOUBLE;
  request.length = much ? lengths.at(how / 2U % lengths.size()) * page : some.size();
  request.flags = which & 0x40 ? CMA_COPY_STRICT : 0;
  some.fill(0);
  request.local = much ? own(static_cast<uint8_t>(where + 3)) + which % 64U
                       : reinterpret_cast<uintptr_t>(some.data());
  request.out = much && (which & 0x20) != 0 ? own(where) : request.local;
  request.operand_cnt = much ? 1 + which / 4U % CMA_REDUCE_OPERANDS : 1;
  uintptr_t address = 0;
  for (unsigned i = 0; i < CMA_REDUCE_OPERANDS; i++) {
    const Handle &handle = handles_.at((which + i) % handles_.size());
    address = (handle.whole ? own(where) : where % 16U * page) + (much ? how % 64U : 0);
    request.operand[i] = {CMA_PEER_HANDLE, handle.number, address};
  }
  const auto outcome = device_.call(CMA_IOC_REDUCE, &request);
  const Handle &first = handles_.at(which % handles_.size());
  if (!much && first.whole && outcome.result == 0 && request.reduced == some.size())
    judge(first.peer, own(where), some[0]);
}

void Actor::garbage(const Step &step)
{
  const auto [command, seed, size] = step.number;
  std::minstd_rand random(seed + 1U);
  alignas(8) std::array<uint8_t, 128> bytes{};
  for (uint8_t &each : bytes)
    each = random() % 3 == 0 ? static_cast<uint8_t>(random()) : 0;
  const uint32_t stated = 8U * (size % 16U);
  std::copy_n(reinterpret_cast<const uint8_t *>(&stated), sizeof(stated), bytes.begin());
  // One more than there are.
  device_.call(_IO(CMA_IOC_MAGIC, command % (CMA_IOC_NR_REDUCE + 2U)), bytes.data());
}

void Actor::map(const Step &step)
{
  const auto [slot, which, how] = step.number;
  const Handle &handle = handles_.at(which % handles_.size());
  View made;
  made.base = view_base + slot % views_.size() * view_stride;
  made.pages = lengths.at(how % lengths.size());
  made.peer = handle.peer;
  made.intact = handle.whole;
  made.shows = handle.whole ? own(how / 8U % 16) : 0;
  const int protection = PROT_READ | (how & 0x80 ? 0 : PROT_WRITE);
  const int flags = MAP_SHARED | MAP_FIXED | (which & 0x80 ? MAP_POPULATE : 0);
  void *mapped =
      mmap(pointer(made.base), made.pages * page, protection, flags, device_.fd(),
           static_cast<off_t>(CMA_MAP_OFFSET(handle.number, made.shows)));
  views_.at(slot % views_.size()) = mapped == MAP_FAILED ? View{} : made;
}

void Actor::change_view(const Step &step)
{
  const auto [slot, from, how] = step.number;
  View &shown = view(step);
  if (shown.base == 0)
    return;
  const size_t first = from % shown.pages;
  const size_t count = std::min(lengths.at(how % lengths.size()), shown.pages - first);
  void *begin = pointer(shown.base + first * page);
  shown.intact = false;
  if (step.verb == Verb::Unmap)
    munmap(begin, count * page);
  else if (step.verb == Verb::Protect)
    mprotect(begin, count * page,
             how & 0x10   ? PROT_READ | PROT_WRITE
             : how & 0x20 ? PROT_READ
                          : PROT_NONE);
  else
    mremap(begin, count * page, count * page, MREMAP_MAYMOVE | MREMAP_FIXED,
           pointer(view_base + (4U + slot % 4U) * view_stride + first * page));
}

void Actor::show(const Step &step)
{
  const auto [slot, from, how] = step.number;
  const View &shown = view(step);
  if (shown.base == 0)
    return;
  const size_t first = from % shown.pages;
  const size_t count = std::min(lengths.at(how % lengths.size()), shown.pages - first);
  const uintptr_t begin = shown.base + first * page;
  if (step.verb == Verb::Populate)
    device_.populate(begin, count * page);
  else
    device_.show(CMA_SHOW_PAGES + how / 8U % 3, begin, count * page);
}

void Actor::load(const Step &step)
{
  const View &shown = view(step);
  if (shown.base == 0)
    return;
  const size_t offset = step.number[1] % shown.pages * page;
  const int seen = byte_at(shown.base + offset);
  if (shown.intact)
    judge(shown.peer, shown.shows + offset, seen);
}

void Actor::store(const Step &step)
{
  const auto [slot, which, how] = step.number;
  const View &shown = view(step);
  if (shown.base == 0)
    return;
  auto *there =
      reinterpret_cast<volatile uint8_t *>(shown.base + which % shown.pages * page);
  if (sigsetjmp(fault, 1) != 0)
    return;
  switch (how % 4) {
  case 0:
    *there = how;
    return;
  case 1:
    __atomic_fetch_add(there, 1, __ATOMIC_SEQ_CST);
    return;
  case 2:
    __atomic_exchange_n(there, how, __ATOMIC_SEQ_CST);
    return;
  default:
    for (size_t i = 0; i < shown.pages * page; i += page)
      reinterpret_cast<volatile uint8_t *>(shown.base)[i] = how;
  }
}

/// The kernel's own accesses: read(2) into a mapping, write(2) from one.
void Actor::kernel(const Step &step)
{
  const View &shown = view(step);
  if (shown.base == 0)
    return;
  void *there = pointer(shown.base + step.number[1] % shown.pages * page);
  const bool into = step.number[2] % 2 != 0;
  const cma_test::Fd fd(::open(into ? "/dev/zero" : "/dev/null", O_RDWR | O_CLOEXEC));
  if ((into ? read(fd.get(), there, 100) : write(fd.get(), there, 100)) < 0)
    return;
}

/// Another mapping takes the place of one's own memory.
void Actor::renew(const Step &step)
{
  const auto [where, length, kind] = step.number;
  const size_t size = lengths.at(length % lengths.size()) * page;
  const volatile uintptr_t begin =
      size > 16 * page ? own_base + where % 2 * (own_pages / 2) * page : own(where);
  cma_test::Fd file;
  if (kind % 4 == 1) {
    file.reset(static_cast<int>(syscall(SYS_memfd_create, "fuzz", MFD_CLOEXEC)));
    if (ftruncate(file.get(), static_cast<off_t>(size)) != 0)
      return;
  }
  if (mmap(pointer(begin), size, kind % 4 == 2 ? PROT_READ : PROT_READ | PROT_WRITE,
           (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_FIXED, file.get(),
           0) == MAP_FAILED)
    return;
  if (kind % 4 == 3)
    madvise(pointer(begin), size, MADV_HUGEPAGE);
  if (sigsetjmp(fault, 1) == 0)
    *reinterpret_cast<volatile uint8_t *>(begin) = ++generation_;
}

void Actor::advise(const Step &step)
{
  constexpr std::array advices = {MADV_DONTNEED,   MADV_FREE,          MADV_PAGEOUT,
                                  MADV_COLD,       MADV_MERGEABLE,     MADV_HUGEPAGE,
                                  MADV_NOHUGEPAGE, MADV_DONTFORK,      MADV_WIPEONFORK,
                                  MADV_REMOVE,     MADV_POPULATE_WRITE};
  const auto [where, length, advice] = step.number;
  madvise(pointer(own(where)), lengths.at(length % 4) * page,
          advices.at(advice % advices.size()));
}

void Actor::fork_child(const Step &step)
{
  const pid_t child = fork();
  if (child == 0) {
    if (sigsetjmp(fault, 1) == 0)
      for (size_t i = 0; i < 16; i++)
        *reinterpret_cast<volatile uint8_t *>(own(static_cast<uint8_t>(i))) = 0xee;
    usleep(step.number[0] % 8U * 1000U);
    _exit(0);
  }
  if (step.number[1] % 2 != 0 && sigsetjmp(fault, 1) == 0)
    *reinterpret_cast<volatile uint8_t *>(own(step.number[2])) = ++generation_;
  if (child > 0)
    waitpid(child, nullptr, 0);
}

void Actor::pressure(const Step &step)
{
  switch (step.number[0] % 3) {
  case 0:
    return tell("/proc/sys/vm/drop_caches", "2");
  case 1:
    return tell("/proc/sys/vm/compact_memory", "1");
  default:
    madvise(pointer(own_base), own_pages * page, MADV_PAGEOUT);
  }
}

} // namespace cma_fuzz
