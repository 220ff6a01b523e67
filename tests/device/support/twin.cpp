// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Requests by every route, compared; see twin.hpp.
#include "twin.hpp"
#include "window.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace cma_test {
namespace {

uintptr_t memory_of_mine(Kind kind, size_t size)
{
  const uintptr_t address = make_memory(kind, size);
  if (address == 0)
    throw std::system_error(errno, std::generic_category(), name_of(kind));
  return address;
}

uintptr_t memory_of(Peer &peer, Kind kind, size_t size)
{
  const long address = peer.call([=]() -> long {
    const uintptr_t made = make_memory(kind, size);
    return made != 0 ? static_cast<long>(made) : -errno;
  });
  if (address < 0)
    throw std::system_error(static_cast<int>(-address), std::generic_category(),
                            name_of(kind));
  return static_cast<uintptr_t>(address);
}

uint64_t address_of(const void *pointer)
{
  return reinterpret_cast<uintptr_t>(pointer);
}

/// The first byte at which two pictures differ, in words.
std::string difference(const std::vector<uint8_t> &reference,
                       const std::vector<uint8_t> &seen)
{
  if (reference == seen) // in the fastest way there is: this is most of the time
    return {};
  const auto [a, b] = std::ranges::mismatch(reference, seen);
  return "byte " + std::to_string(a - reference.begin()) + " is " + std::to_string(*b) +
         " and not " + std::to_string(*a);
}

/// Unmaps where nothing may be thrown: in a destructor.
void drop(uintptr_t address, size_t size)
{
  if (munmap(reinterpret_cast<void *>(address), size) < 0)
    ADD_FAILURE() << "munmap: errno " << errno;
}

/// Holes in memory of ours, filled for a while, so that nothing else is mapped there.
class Plugs {
public:
  explicit Plugs(const Arena &arena)
  {
    for (size_t offset = 0; offset < arena.size(); offset += page) {
      void *there = reinterpret_cast<void *>(arena.at(offset));
      if (mmap(there, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
               -1, 0) == there)
        plugs_.push_back(arena.at(offset));
    }
  }
  Plugs(const Plugs &) = delete;
  Plugs &operator=(const Plugs &) = delete;
  ~Plugs()
  {
    for (const uintptr_t plug : plugs_)
      drop(plug, page);
  }

private:
  std::vector<uintptr_t> plugs_;
};

} // namespace

const char *name_of(Route route)
{
  switch (route) {
  case Route::Syscall:
    return "system call";
  case Route::Pid:
    return "pid";
  case Route::PidStrict:
    return "pid, strict";
  case Route::Pidfd:
    return "pidfd";
  case Route::PidfdStrict:
    return "pidfd, strict";
  case Route::Handle:
    return "handle";
  case Route::HandleStrict:
    return "handle, strict";
  case Route::Published:
    return "published";
  case Route::PublishedStrict:
    return "published, strict";
  case Route::Window:
    return "window";
  case Route::First:
    return "libcma, at first";
  case Route::Later:
    return "libcma, later";
  }
  return "?";
}

cma_ioc_copy as_ioctl(Route route, const Target &target, const Call &call)
{
  auto request = sized<cma_ioc_copy>();
  request.flags = call.flags | (call.write ? CMA_COPY_WRITE : 0);
  if (route == Route::PidStrict || route == Route::PidfdStrict ||
      route == Route::HandleStrict || route == Route::PublishedStrict)
    request.flags |= CMA_COPY_STRICT;
  if (route == Route::Pid || route == Route::PidStrict) {
    request.peer_type = CMA_PEER_PID;
    request.peer = target.pid;
  } else if (route == Route::Published || route == Route::PublishedStrict) {
    request.peer_type = CMA_PEER_PUBLISHED;
    request.peer = target.pid;
  } else if (route == Route::Pidfd || route == Route::PidfdStrict) {
    request.peer_type = CMA_PEER_PIDFD;
    request.peer = target.pidfd;
  } else {
    request.peer_type = CMA_PEER_HANDLE;
    request.peer = route == Route::Window ? target.window : target.handle;
  }
  request.local_iov = address_of(call.local);
  request.local_cnt = call.local_count;
  request.remote_iov = address_of(call.remote);
  request.remote_cnt = call.remote_count;
  return request;
}

Outcome run(const Device &device, Route route, const Target &target, const Call &call)
{
  if (route == Route::Syscall)
    return Outcome::of(syscall(call.write ? SYS_process_vm_writev : SYS_process_vm_readv,
                               target.pid, call.local, call.local_count, call.remote,
                               call.remote_count, 0UL));
  auto request = as_ioctl(route, target, call);
  return device.copy(request);
}

std::vector<iovec> cut(uintptr_t address, size_t length, size_t count)
{
  std::vector<iovec> segments;
  for (size_t left = count; left > 0; left--) {
    const size_t piece = length / left;
    segments.push_back(segment(address, piece));
    address += piece;
    length -= piece;
  }
  return segments;
}

Twin::Twin(size_t local_size, size_t remote_size, Kind local_kind, Kind remote_kind)
    : local_(getpid(), memory_of_mine(local_kind, local_size), local_size),
      remote_(peer_.pid(), memory_of(peer_, remote_kind, remote_size), remote_size)
{
  target_ = {peer_.pid(), peer_.pidfd(), 0};
  const Outcome opened = device_.open(CMA_PEER_PID, peer_.pid());
  if (opened.error != 0)
    throw std::system_error(opened.error, std::generic_category(), "CMA_IOC_OPEN");
  target_.handle = static_cast<int>(opened.result);
  if (peer_.call([] { return long{publish_all().error}; }) != 0)
    throw std::runtime_error("CMA_WINDOW_PUBLISH");
}

Twin::~Twin()
{
  drop(local_.base(), local_.size());
}

const Context &Twin::context(Route route)
{
  const Plugs plugs(local_);
  if (route == Route::First)
    return first_ = open_context(CMA_OPEN_DEVICE);
  if (!later_)
    later_ = open_context(CMA_OPEN_DEVICE);
  known_ = known_ || make_known(later_, target_.pid, remote_.base());
  return later_;
}

Outcome Twin::carry_out(Route route, const Call &call)
{
  if (route != Route::First && route != Route::Later)
    return run(device_, route, target_, call);
  return outcome_of((call.write ? cma_writev : cma_readv)(
      context(route).get(), cma_pid(target_.pid), call.local, call.local_count,
      call.remote, call.remote_count, call.flags));
}

Outcome Twin::copy(Route route, const Call &call, cma_request &request)
{
  request = {};
  request.peer = cma_pid(target_.pid);
  request.flags = call.flags | (call.write ? CMA_WRITE : 0);
  request.local = call.local;
  request.local_count = call.local_count;
  request.remote = call.remote;
  request.remote_count = call.remote_count;
  return outcome_of(cma_copy(context(route).get(), &request));
}

Twin::Picture Twin::take(Route route, const Call &call)
{
  local_.put(local_before_);
  remote_.put(remote_before_);
  const Outcome outcome = carry_out(route, call);
  return {outcome, local_.bytes(), remote_.bytes()};
}

Outcome Twin::same(const Request &request)
{
  return same(request.call());
}

Outcome Twin::same(const Call &call)
{
  // What only an ioctl takes is no flag of libcma's.
  constexpr uint32_t flags = CMA_MANY | CMA_LARGE | CMA_STRICT;
  if ((call.flags & ~flags) != 0)
    return same(call, {Route::Pid, Route::PidStrict, Route::Pidfd, Route::Handle,
                       Route::Published});
  return same(call, {Route::Pid, Route::PidStrict, Route::Pidfd, Route::Handle,
                     Route::Published, Route::First, Route::Later});
}

Outcome Twin::same(const Call &call, std::initializer_list<Route> routes)
{
  const Picture reference = take(Route::Syscall, call);
  for (const Route route : routes) {
    SCOPED_TRACE(std::string(call.write ? "write" : "read") + " by " + name_of(route));
    const Picture picture = take(route, call);
    EXPECT_EQ(picture.outcome, reference.outcome);
    EXPECT_EQ(difference(reference.local, picture.local), "");
    EXPECT_EQ(difference(reference.remote, picture.remote), "");
  }
  return reference.outcome;
}

} // namespace cma_test
