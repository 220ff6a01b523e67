// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The four mechanisms. What a Call refers to (segment lists, an open device)
// lives as long as it does, or is the Transfer's.

#include "mechanism.hpp"

#include "uapi/cma.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

namespace bench {
namespace {

constexpr const char *kDevice = "/dev/cma";

// A list of iovec is handed to the device as it is.
static_assert(sizeof(iovec) == sizeof(cma_iovec));

/// An open file of the device.
class Device {
public:
  Device() : fd_(open(kDevice, O_RDWR | O_CLOEXEC))
  {
    if (fd_ < 0)
      throw std::system_error(errno, std::generic_category(), kDevice);
  }
  ~Device() { close(fd_); }
  Device(const Device &) = delete;
  Device(Device &&) = delete;
  Device &operator=(const Device &) = delete;
  Device &operator=(Device &&) = delete;

  /// @return bytes moved, or -1 with errno
  ssize_t copy(cma_ioc_copy &request) const
  {
    return ioctl(fd_, CMA_IOC_COPY, &request) == 0 ? static_cast<ssize_t>(request.copied)
                                                   : -1;
  }

  /// @return a handle
  [[nodiscard]] int open_handle(pid_t pid) const
  {
    cma_ioc_open request{};
    request.size = sizeof request;
    request.peer_type = CMA_PEER_PID;
    request.peer = pid;
    if (ioctl(fd_, CMA_IOC_OPEN, &request) != 0)
      throw std::system_error(errno, std::generic_category(), "CMA_IOC_OPEN");
    return request.handle;
  }

private:
  int fd_;
};

/// Everything but the peer.
cma_ioc_copy request_for(const Transfer &transfer, Contact contact)
{
  const auto number = [](const void *address) {
    return reinterpret_cast<std::uintptr_t>(address);
  };
  cma_ioc_copy request{};
  request.size = sizeof request;
  request.flags = (transfer.write ? CMA_COPY_WRITE : 0U) |
                  (contact == Contact::kStrict ? CMA_COPY_STRICT : 0U);
  if (transfer.local.size() == 1 && !transfer.as_list) {
    request.flags |= CMA_COPY_SINGLE;
    request.local_iov = number(transfer.local[0].iov_base);
    request.local_cnt = transfer.local[0].iov_len;
    request.remote_iov = number(transfer.remote[0].iov_base);
    request.remote_cnt = transfer.remote[0].iov_len;
  } else {
    request.local_iov = number(transfer.local.data());
    request.local_cnt = transfer.local.size();
    request.remote_iov = number(transfer.remote.data());
    request.remote_cnt = transfer.remote.size();
  }
  return request;
}

using SharedDevice = std::shared_ptr<Device>;

Call by_pid(const Transfer &transfer, Contact contact, const SharedDevice &device)
{
  auto request = request_for(transfer, contact);
  request.peer_type = CMA_PEER_PID;
  request.peer = transfer.pid;
  return [device, request]() mutable { return device->copy(request); };
}

Call by_handle(const Transfer &transfer, Contact contact, const SharedDevice &device)
{
  auto request = request_for(transfer, contact);
  request.peer_type = CMA_PEER_HANDLE;
  if (contact == Contact::kFirst)
    return [device, request, pid = transfer.pid]() mutable {
      request.peer = device->open_handle(pid);
      return device->copy(request);
    };
  request.peer = device->open_handle(transfer.pid);
  return [device, request]() mutable { return device->copy(request); };
}

Call by_process_vm(const Transfer &transfer)
{
  const auto copy = transfer.write ? process_vm_writev : process_vm_readv;
  return [&transfer, copy] {
    return copy(transfer.pid, transfer.local.data(), transfer.local.size(),
                transfer.remote.data(), transfer.remote.size(), 0);
  };
}

/// Copies eight bytes an instruction, as the kernels' own copy does in this
/// model (the C library's would take 32 and count as four times faster).
void copy_words(void *to, const void *from, std::size_t bytes)
{
  std::size_t words = bytes / 8;
  asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
  std::size_t rest = bytes % 8;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
}

/// The floor: the remote segments are the caller's own, both lists cut alike.
Call by_memcpy(const Transfer &transfer)
{
  return [&transfer] {
    ssize_t copied = 0;
    for (std::size_t i = 0; i < transfer.local.size(); ++i) {
      const auto &to = transfer.write ? transfer.remote[i] : transfer.local[i];
      const auto &from = transfer.write ? transfer.local[i] : transfer.remote[i];
      copy_words(to.iov_base, from.iov_base, from.iov_len);
      copied += static_cast<ssize_t>(from.iov_len);
    }
    return copied;
  };
}

using Transfers = std::vector<Transfer>;

/// A mechanism that needs no device, and that every call is the same to.
Mechanism plain(std::string name, Call (*make)(const Transfer &))
{
  return {std::move(name), [make](const Transfers &transfers, Contact) {
            std::vector<Call> calls;
            std::ranges::transform(transfers, std::back_inserter(calls), make);
            return calls;
          }};
}

Mechanism through_device(std::string name,
                         Call (*make)(const Transfer &, Contact, const SharedDevice &))
{
  return {std::move(name), [make](const Transfers &transfers, Contact contact) {
            const auto device = std::make_shared<Device>();
            std::vector<Call> calls;
            std::ranges::transform(
                transfers, std::back_inserter(calls),
                [&](const auto &transfer) { return make(transfer, contact, device); });
            return calls;
          }};
}

} // namespace

std::vector<Mechanism> mechanisms()
{
  return {plain("process_vm", by_process_vm), through_device("cma_pid", by_pid),
          through_device("cma_handle", by_handle), plain("memcpy", by_memcpy)};
}

} // namespace bench
