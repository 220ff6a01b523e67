// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The mechanisms. What a Call refers to (segment lists, an open device)
// lives as long as it does, or is the Transfer's.

#include "mechanism.hpp"

#include "device.hpp"
#include "instructions.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

namespace bench {
namespace {

// A list of iovec is handed to the device as it is.
static_assert(sizeof(iovec) == sizeof(cma_iovec));

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

/// A way to get a handle of a transfer's peer.
using Opening = int (*)(const Device &, const Transfer &);

int by_process(const Device &device, const Transfer &transfer)
{
  return device.open_process(transfer.pid);
}

int by_name(const Device &device, const Transfer &transfer)
{
  return device.open_window(transfer.window);
}

template<Opening opened>
Call by_handle(const Transfer &transfer, Contact contact, const SharedDevice &device)
{
  auto request = request_for(transfer, contact);
  request.peer_type = CMA_PEER_HANDLE;
  if (contact == Contact::kFirst)
    return [device, request, &transfer]() mutable {
      request.peer = opened(*device, transfer);
      return device->copy(request);
    };
  request.peer = opened(*device, transfer);
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

/// The floor: the remote segments are the caller's own, both lists cut alike.
Call by_memcpy(const Transfer &transfer)
{
  return [&transfer] { return copy_segments(transfer); };
}

Mechanism through_device(std::string name,
                         Call (*make)(const Transfer &, Contact, const SharedDevice &))
{
  return {.name = std::move(name),
          .prepare = [make](const Transfers &transfers, Contact contact) {
            const auto device = std::make_shared<Device>();
            std::vector<Call> calls;
            std::ranges::transform(
                transfers, std::back_inserter(calls),
                [&](const auto &transfer) { return make(transfer, contact, device); });
            return calls;
          }};
}

} // namespace

ssize_t copy_segments(const Transfer &transfer)
{
  ssize_t copied = 0;
  for (std::size_t i = 0; i < transfer.local.size(); ++i) {
    const auto &to = transfer.write ? transfer.remote[i] : transfer.local[i];
    const auto &from = transfer.write ? transfer.local[i] : transfer.remote[i];
    copy_words(to.iov_base, from.iov_base, from.iov_len);
    copied += static_cast<ssize_t>(from.iov_len);
  }
  return copied;
}

Mechanism plain(std::string name, std::function<Call(const Transfer &)> make)
{
  return {.name = std::move(name),
          .prepare = [make = std::move(make)](const Transfers &transfers, Contact) {
            std::vector<Call> calls;
            std::ranges::transform(transfers, std::back_inserter(calls), make);
            return calls;
          }};
}

std::vector<Mechanism> mechanisms()
{
  auto window = through_device("cma_window", by_handle<by_name>);
  window.wants_window = true;
  return {plain("process_vm", by_process_vm), through_device("cma_pid", by_pid),
          through_device("cma_handle", by_handle<by_process>), std::move(window),
          plain("memcpy", by_memcpy)};
}

} // namespace bench
