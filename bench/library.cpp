// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Between the two readings of the counter lies all that a program pays: the library's
// own instructions, and those of the device. The peer and its memory are known.

#include "library.hpp"

#include <cma.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>

extern "C" ssize_t preloaded_readv(pid_t pid, const iovec *local,
                                   unsigned long local_count, const iovec *remote,
                                   unsigned long remote_count, unsigned long flags);

namespace bench {
namespace {

constexpr std::size_t kBytes = 64;
/// More than it takes the library to have the module know a peer.
constexpr int kWarmUps = 40;
constexpr int kSamples = 15;

using Form = Call (*)(const cma::Context &, cma::Peer, const Transfer &);

std::uintptr_t number(const void *address)
{
  return reinterpret_cast<std::uintptr_t>(address);
}

Call read(const cma::Context &context, cma::Peer peer, const Transfer &transfer)
{
  return [&context, peer, &transfer] {
    return cma_read(context.get(), peer, transfer.local[0].iov_base,
                    number(transfer.remote[0].iov_base), transfer.local[0].iov_len);
  };
}

Call readv(const cma::Context &context, cma::Peer peer, const Transfer &transfer)
{
  return [&context, peer, &transfer] {
    return cma_readv(context.get(), peer, transfer.local.data(), 1,
                     transfer.remote.data(), 1, 0);
  };
}

Call copy(const cma::Context &context, cma::Peer peer, const Transfer &transfer)
{
  cma_request request{};
  request.peer = peer;
  request.local = transfer.local.data();
  request.remote = transfer.remote.data();
  request.local_count = request.remote_count = 1;
  return [&context, request]() mutable { return cma_copy(context.get(), &request); };
}

Call context_read(const cma::Context &context, cma::Peer peer, const Transfer &transfer)
{
  const cma::View local(transfer.local[0].iov_base, transfer.local[0].iov_len);
  const auto remote = number(transfer.remote[0].iov_base);
  return [&context, peer, local, remote] {
    return static_cast<ssize_t>(context.read(peer, local, remote));
  };
}

/// By pid, as the call itself has it.
Call preloaded(const cma::Context &, cma::Peer, const Transfer &transfer)
{
  return [&transfer] {
    return preloaded_readv(transfer.pid, transfer.local.data(), 1, transfer.remote.data(),
                           1, 0);
  };
}

Call process_vm(const cma::Context &, cma::Peer, const Transfer &transfer)
{
  return [&transfer] {
    return process_vm_readv(transfer.pid, transfer.local.data(), 1,
                            transfer.remote.data(), 1, 0);
  };
}

struct Case {
  const char *name;
  Form form;
  bool by_handle = true;
};

constexpr Case kCases[] = {
    {"read 64 B 4k, by cma_read", read},
    {"read 64 B 4k, by cma_readv", readv},
    {"read 64 B 4k, by cma_copy", copy},
    {"read 64 B 4k, by Context::read", context_read},
    {"read 64 B 4k, under cma run", preloaded, false},
};

std::uint64_t count(Meter &meter, const Call &call, const Transfer &transfer)
{
  for (int i = 0; i < kWarmUps; ++i)
    meter.sample(call, transfer);
  return least_of(kSamples, [&] { return meter.sample(call, transfer); });
}

void add(Rows &rows, const char *name, const char *mechanism, std::uint64_t instructions)
{
  rows.push_back({{"case", name},
                  {"mechanism", mechanism},
                  {"bytes", kBytes},
                  {"pages", bench::name(Pages::kScattered)},
                  {"instructions", instructions},
                  {"segments", 1},
                  {"known", true}});
}

} // namespace

std::vector<std::string> library_names()
{
  return names_of(kCases);
}

void count_library(const Selection &selection, Meter &meter, Rows &rows)
{
  if (std::ranges::none_of(library_names(),
                           [&](const auto &name) { return selection.wants(name); }))
    return;
  const Buffer own(Pages::kScattered);
  const Peer peer;
  const auto place = peer.place(Pages::kScattered);
  const Transfer transfer{.write = false,
                          .pid = place.pid,
                          .window = 0,
                          .local = {{own.address(), kBytes}},
                          .remote = {{place.address, kBytes}}};
  const cma::Context context(CMA_OPEN_DEVICE);
  const auto handle = context.open(cma::pid(place.pid));
  for (const auto &[name, form, by_handle] : kCases) {
    if (!selection.wants(name))
      continue;
    std::cout << name << std::endl;
    const auto by_pid = cma::pid(place.pid);
    add(rows, name, "process_vm",
        count(meter, process_vm(context, by_pid, transfer), transfer));
    add(rows, name, "cma_pid", count(meter, form(context, by_pid, transfer), transfer));
    if (by_handle)
      add(rows, name, "cma_handle",
          count(meter, form(context, handle, transfer), transfer));
  }
}

} // namespace bench
