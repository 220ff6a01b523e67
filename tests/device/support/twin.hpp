// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The same request by every road. A Route is a way to carry a request out:
 * the system call, which is the reference, the ways of the device, and libcma. A Twin
 * holds a peer and memory on both sides, and runs a request by each route on
 * memory that is filled alike before every run; result, errno and every byte
 * of both sides, the untouched ones too, must come out as they did by the
 * system call.
 */
#pragma once

#include "library.hpp"
#include "memory.hpp"
#include "peer.hpp"

#include <initializer_list>
#include <vector>

namespace cma_test {

enum class Route {
  Syscall,
  Pid,
  PidStrict,
  Pidfd,
  PidfdStrict,
  Handle,
  HandleStrict,
  Published, ///< by the window that the peer publishes, at its own addresses
  PublishedStrict,
  Window, ///< a handle, too: remote addresses are offsets from the window's beginning
  First,  ///< libcma by pid, from a peer that is new to it: the system call's
  Later,  ///< libcma by pid, from a peer that is not: the module's
};
constexpr std::initializer_list<Route> device_routes = {
    Route::Pid,         Route::PidStrict, Route::Pidfd,
    Route::PidfdStrict, Route::Handle,    Route::HandleStrict,
};
const char *name_of(Route route);

/// A peer by all its names.
struct Target {
  pid_t pid = 0;
  int pidfd = -1;
  int handle = 0;
  int window = 0; ///< the handle of a window
};

/// A request as it goes into the kernel: nothing in it need make sense.
struct Call {
  bool write = false;
  const iovec *local = nullptr;
  uint64_t local_count = 0;
  const iovec *remote = nullptr;
  uint64_t remote_count = 0;
  uint32_t flags = 0; ///< further CMA_COPY_*, unknown to the system call
};

/// The ioctl that carries a call to a peer along a device route.
cma_ioc_copy as_ioctl(Route route, const Target &target, const Call &call);
Outcome run(const Device &device, Route route, const Target &target, const Call &call);

/// A request that owns its segments.
struct Request {
  bool write = false;
  std::vector<iovec> local;
  std::vector<iovec> remote;
  uint32_t flags = 0;

  Call call() const
  {
    return {write, local.data(), local.size(), remote.data(), remote.size(), flags};
  }
};

/// Cuts [address, address + length) into count segments, the last the rest.
std::vector<iovec> cut(uintptr_t address, size_t length, size_t count);

class Twin {
public:
  /// Memory of a kind on each side; throws std::system_error without it.
  Twin(size_t local_size, size_t remote_size, Kind local_kind = Kind::Anonymous,
       Kind remote_kind = Kind::Anonymous);

  Twin(const Twin &) = delete;
  Twin &operator=(const Twin &) = delete;
  ~Twin();

  const Device &device() const { return device_; }
  Peer &peer() { return peer_; }
  const Arena &local() const { return local_; }
  const Arena &remote() const { return remote_; }
  const Target &target() const { return target_; }

  /// Runs the request by every route, expects the same each time, and
  /// tells what the system call gave.
  Outcome same(const Request &request);
  Outcome same(const Call &call);
  /// As same(), by these device routes alone.
  Outcome same(const Call &call, std::initializer_list<Route> routes);
  /// By cma_copy(), which reports a fault; First or Later.
  Outcome copy(Route route, const Call &call, cma_request &request);

private:
  struct Picture {
    Outcome outcome;
    std::vector<uint8_t> local;
    std::vector<uint8_t> remote;
  };
  Picture take(Route route, const Call &call);
  Outcome carry_out(Route route, const Call &call);
  /// The contexts of First, each time anew, and of Later.
  const Context &context(Route route);

  Device device_;
  Context first_;
  Context later_;
  bool known_ = false; ///< to the latter
  Peer peer_;
  Arena local_;
  Arena remote_;
  std::vector<uint8_t> local_before_ = pattern(local_.size(), 1);
  std::vector<uint8_t> remote_before_ = pattern(remote_.size(), 2);
  Target target_;
};

} // namespace cma_test
