// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What cannot be done fails, with the right error and nothing changed, and what can
 * be done in part is done exactly so far.
 */
#include <cerrno>
#include <cstring>

#include <grp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.hpp"

namespace {

constexpr unsigned nobody = 65534;

/* Copy with one segment a side, and everything there is to know of the outcome. */
cma_request request_for(cma_peer peer, const iovec &local, const iovec &remote,
                        uint32_t flags = 0)
{
  cma_request request = {};
  request.peer = peer;
  request.flags = flags;
  request.local = &local;
  request.remote = &remote;
  request.local_count = request.remote_count = 1;
  return request;
}

void expect_fault(const Bench &bench, const cma_request &request, cma_side side,
                  const void *address)
{
  if (!(bench.limits.features & CMA_CAN_REPORT))
    return;
  auto expected = reinterpret_cast<uintptr_t>(address);
  expect(request.fault_side == side && request.fault_addr == expected,
         "the fault is reported on side {} at {:#x}, not on side {} at {:#x}",
         static_cast<int>(request.fault_side), request.fault_addr, static_cast<int>(side),
         expected);
}

void nothing_to_move(Bench &bench)
{
  char byte = 0;
  expect_result(cma_read(bench.context.get(), cma_pid(-1), &byte, 0, 0), 0,
                "no bytes from no process");
}

void special_pages(Bench &bench)
{
  std::string memory(page, 'x');
  iovec local = {memory.data(), 8};
  struct {
    const char *what;
    Peer::Special where;
    uint32_t flags;
  } cases[] = {{"reading a hole", Peer::hole, 0},
               {"writing a hole", Peer::hole, CMA_WRITE},
               {"reading PROT_NONE", Peer::no_access, 0},
               {"writing read-only memory", Peer::read_only, CMA_WRITE}};
  for (auto &test : cases) {
    iovec remote = {bench.peer.special(test.where), 8};
    cma_request request =
        request_for(cma_pid(bench.peer.pid()), local, remote, test.flags);
    expect_result(cma_copy(bench.context.get(), &request), -EFAULT, test.what);
    expect_fault(bench, request, CMA_SIDE_REMOTE, remote.iov_base);
    expect(memory == std::string(page, 'x'), "{}: bytes arrived", test.what);
  }
}

void up_to_a_hole(Bench &bench)
{
  constexpr size_t before = 100;
  bench.peer.fill(Peer::size - before, Peer::size, 6);
  std::string memory(2 * page, 'x');
  iovec local = {memory.data(), memory.size()};
  iovec remote = {bench.peer.special(Peer::hole) - before, memory.size()};
  cma_request request = request_for(cma_pid(bench.peer.pid()), local, remote);
  expect_result(cma_copy(bench.context.get(), &request), before, "a read into a hole");
  expect_fault(bench, request, CMA_SIDE_REMOTE, bench.peer.special(Peer::hole));
  for (size_t i = 0; i < memory.size(); i++)
    expect(memory[i] == (i < before ? pattern(6, Peer::size - before + i) : 'x'),
           "wrong byte {}", i);
}

void local_fault(Bench &bench)
{
  void *nowhere = mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  iovec local = {nowhere, 8};
  iovec remote = {bench.peer.arena(), 8};
  cma_request request = request_for(cma_pid(bench.peer.pid()), local, remote);
  ssize_t result = cma_copy(bench.context.get(), &request);
  munmap(nowhere, page);
  expect_result(result, -EFAULT, "reading into memory that is not ours to write");
  expect_fault(bench, request, CMA_SIDE_LOCAL, nowhere);
}

void wrong_names(Bench &bench)
{
  char byte;
  auto remote = reinterpret_cast<uintptr_t>(bench.peer.arena());
  cma_context *context = bench.context.get();
  expect_result(cma_read(context, cma_pid(-1), &byte, remote, 1), -ESRCH, "pid -1");
  expect_result(cma_read(context, cma_pidfd(-1), &byte, remote, 1), -EBADF, "pidfd -1");
  expect_result(cma_read(context, cma_handle(12345), &byte, remote, 1), -ENOENT,
                "handle 12345");
  expect_result(cma_handle_open(context, cma_pid(-1)), -ESRCH, "a handle for pid -1");
  expect_result(cma_handle_close(context, 12345), -ENOENT, "closing handle 12345");
}

/* By pid, and by a handle from before; as a zombie, and when it is gone. */
void dead_peer(Bench &bench)
{
  cma_context *context = bench.context.get();
  int go[2];
  expect(pipe(go) == 0, "pipe: {}", strerror(errno));
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(go[1]);
    (void)!read(go[0], &byte, 1);
    _exit(0);
  }
  close(go[0]);
  int handle = cma_handle_open(context, cma_pid(pid));
  char byte;
  auto remote = reinterpret_cast<uintptr_t>(bench.peer.arena());
  ssize_t alive = cma_read(context, cma_handle(handle), &byte, remote, 1);
  close(go[1]);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  ssize_t zombie = cma_read(context, cma_pid(pid), &byte, remote, 1);
  ssize_t zombie_handle = cma_read(context, cma_handle(handle), &byte, remote, 1);
  waitpid(pid, nullptr, 0);
  ssize_t gone = cma_read(context, cma_pid(pid), &byte, remote, 1);
  ssize_t gone_handle = cma_read(context, cma_handle(handle), &byte, remote, 1);
  int closed = cma_handle_close(context, handle);

  expect(handle > 0, "no handle: {}", strerror(-handle));
  expect_result(alive, 1, "a handle while its process lives");
  expect_result(zombie, -ESRCH, "the pid of a zombie");
  expect_result(zombie_handle, -ESRCH, "a handle of a zombie");
  expect_result(gone, -ESRCH, "a pid that is gone");
  expect_result(gone_handle, -ESRCH, "a handle whose process is gone");
  expect_result(closed, 0, "closing that handle");
}

/* The exit status of a child that runs an item's part. */
template<typename Part>
int in_child(Part part)
{
  pid_t pid = fork();
  if (pid == 0)
    _exit(part());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void after_fork(Bench &bench)
{
  int status = in_child([&] {
    char byte;
    return cma_read(bench.context.get(), cma_pid(bench.peer.pid()), &byte,
                    reinterpret_cast<uintptr_t>(bench.peer.arena()), 1) == -ESTALE
               ? 0
               : 1;
  });
  expect(status == 0, "a child can use its parent's context");
}

/* Run as nobody: this process's memory must be out of reach, with an explanation. */
int be_refused(unsigned int flags, const char *memory)
{
  if (setgroups(0, nullptr) || setresgid(nobody, nobody, nobody) ||
      setresuid(nobody, nobody, nobody))
    return 3;
  cma::Context context = open_context(flags);
  char byte;
  ssize_t result = cma_read(context.get(), cma_pid(getppid()), &byte,
                            reinterpret_cast<uintptr_t>(memory), 1);
  if (result != -EPERM)
    return 1;
  return explain(context, cma_pid(getppid()), -EPERM).size() > 20 ? 0 : 2;
}

void refused(Bench &bench)
{
  if (geteuid() != 0)
    throw Skipped("only root can become a user who is to be refused");
  unsigned int flags = bench.limits.backend == CMA_BACKEND_SYSCALL ? CMA_OPEN_SYSCALL : 0;
  int status = in_child([&] { return be_refused(flags, bench.peer.arena()); });
  if (status == 3)
    throw Skipped("this root may not become another user");
  expect(status != 1, "nobody can read the memory of root's process");
  expect(status == 0, "refused, but not explained");
}

constexpr Item of_errors[] = {
    {"nothing to move is no error", nothing_to_move},
    {"memory that is not there: EFAULT", special_pages},
    {"up to a hole: so many bytes", up_to_a_hole},
    {"local memory that is not there: EFAULT", local_fault},
    {"no such process, pidfd, handle", wrong_names},
    {"a process that ended: ESRCH", dead_peer},
    {"a context in a child: ESTALE", after_fork},
    {"access refused, and explained", refused},
};

} // namespace

std::span<const Item> error_items()
{
  return of_errors;
}
