// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// A context after fork(2): dead in the child, alive in the parent, and in a child
// that shares the parent's memory.
#include "device.hpp"
#include <csignal>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

char text[] = "text";

bool reads(const Context &context, pid_t pid)
{
  char copied[sizeof(text)] = "";
  return cma_read(context.get(), cma_pid(pid), copied, address_of(text), sizeof(text)) ==
             sizeof(text) &&
         std::string(copied) == text;
}

// Tries everything in a child. Returns 0 if all of it is refused.
int use_in_child(const Context &context)
{
  const iovec one = {text, 1};
  cma_limits limits = {};
  limits.size = sizeof(limits);
  cma_request request = {};
  request.peer = cma_pid(::getpid());
  request.local = request.remote = &one;
  request.local_count = request.remote_count = 1;
  request.fault_addr = 1;
  const cma_peer peer = cma_pid(::getpid());
  cma_context *c = context.get();
  const auto address = address_of(text);

  EXPECT_EQ(cma_backend(c), CMA_BACKEND_NONE);
  EXPECT_EQ(cma_query(c, &limits), -ESTALE);
  EXPECT_EQ(cma_handle_open(c, peer), -ESTALE);
  EXPECT_EQ(cma_handle_close(c, 1), -ESTALE);
  EXPECT_EQ(cma_copy(c, &request), -ESTALE);
  EXPECT_EQ(request.fault_addr, 0U);
  EXPECT_EQ(cma_readv(c, peer, &one, 1, &one, 1, 0), -ESTALE);
  EXPECT_EQ(cma_writev(c, peer, &one, 1, &one, 1, 0), -ESTALE);
  EXPECT_EQ(cma_read(c, peer, text, address, 1), -ESTALE);
  EXPECT_EQ(cma_write(c, peer, text, address, 1), -ESTALE);
  return testing::Test::HasFailure() ? 1 : 0;
}

TEST(Fork, ChildIsRefusedByTheSystemCalls)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  EXPECT_EQ(in_child([&] { return use_in_child(context); }), 0);
  EXPECT_TRUE(reads(context, ::getpid()));
}

TEST(Fork, ChildIsRefusedByTheDevice)
{
  testing::StrictMock<Device> device;
  const Context context = open_context(CMA_OPEN_DEVICE);
  EXPECT_EQ(in_child([&] { return use_in_child(context); }), 0);
}

TEST(Fork, ChildIsRefusedWhereThePageIsNotCleared)
{
  hooks::madvise = [](int) { return -EINVAL; };
  const Context context = open_context(CMA_OPEN_SYSCALL);
  EXPECT_EQ(in_child([&] { return use_in_child(context); }), 0);
  EXPECT_TRUE(reads(context, ::getpid()));
}

TEST(Fork, ChildOpensItsOwn)
{
  Context context = open_context(CMA_OPEN_SYSCALL);
  const pid_t parent = ::getpid();
  EXPECT_EQ(in_child([&] {
              context.reset();
              return reads(open_context(CMA_OPEN_SYSCALL), parent) ? 0 : 1;
            }),
            0);
}

TEST(Fork, ChildGivesBackWhatItInherited)
{
  const size_t before = open_descriptors();
  testing::StrictMock<Device> device;
  Context one = open_context(CMA_OPEN_DEVICE);
  Context other = open_context(CMA_OPEN_SYSCALL);
  ASSERT_GT(cma_handle_open(other.get(), cma_pid(::getpid())), 0);
  EXPECT_EQ(in_child([&] {
              one.reset();
              other.reset();
              return open_descriptors() == before ? 0 : 1;
            }),
            0);
  EXPECT_TRUE(reads(other, ::getpid()));
}

TEST(Fork, ParentsHandlesOutliveTheChild)
{
  Context context = open_context(CMA_OPEN_SYSCALL);
  const int handle = cma_handle_open(context.get(), cma_pid(::getpid()));
  ASSERT_GT(handle, 0);
  in_child([&] {
    context.reset();
    return 0;
  });
  char byte = 0;
  EXPECT_EQ(cma_read(context.get(), cma_handle(handle), &byte, address_of(text), 1), 1);
  EXPECT_EQ(byte, text[0]);
}

TEST(Fork, ChildThatSharesMemoryMayAct)
{
  const Context context = open_context(CMA_OPEN_SYSCALL);
  bool good = false;
  const auto run = [&] { good = reads(context, ::getpid()); };
  using Run = decltype(run);
  std::vector<char> stack(1 << 18);
  const pid_t child = ::clone(
      [](void *argument) {
        (*static_cast<Run *>(argument))();
        return 0;
      },
      stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD,
      const_cast<void *>(static_cast<const void *>(&run)));
  ASSERT_GT(child, 0);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(good);
}

TEST(Fork, OneContextsGuardIsNotAnothers)
{
  Context first = open_context(CMA_OPEN_SYSCALL);
  const Context second = open_context(CMA_OPEN_SYSCALL);
  first.reset();
  EXPECT_TRUE(reads(second, ::getpid()));
}

} // namespace
