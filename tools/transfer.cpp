// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See transfer.hpp.
#include "transfer.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "mappings.hpp"
#include "numbers.hpp"
#include "signals.hpp"

namespace {

constexpr size_t chunk = 4 << 20;

} // namespace

Transfer::Transfer(const TransferOptions &options)
    : options{options}, context{open_context()}, progress{options.expected}
{
  uint64_t end;
  if (__builtin_add_overflow(options.address, options.length.value_or(0), &end))
    throw std::runtime_error(fmt::format("{} bytes from {:#x} go beyond the end of any "
                                         "address space",
                                         *options.length, options.address));
  buffer.resize(std::min<uint64_t>(chunk, options.length.value_or(chunk)));

  /* Through a handle the process that the transfer began with is the one it ends with,
   * whatever becomes of the pid. What forbids a handle forbids copies too, and the first
   * copy will say so. */
  std::error_code refused;
  handle = context.open(cma::pid(options.pid), refused);
  peer = handle ? cma::Peer(handle) : cma::pid(options.pid);
  note_signals();
}

size_t Transfer::next_chunk() const
{
  if (!problem.empty() || noted_signal())
    return 0;
  uint64_t left = options.length ? *options.length - moved : buffer.size();
  return std::min<uint64_t>(left, buffer.size());
}

size_t Transfer::move(char *memory, size_t length)
{
  iovec local = {memory, length};
  iovec remote = {reinterpret_cast<void *>(options.address + moved), length};
  cma_request request = {};
  request.peer = peer;
  request.flags = options.write ? CMA_WRITE : 0;
  request.local = &local;
  request.remote = &remote;
  request.local_count = request.remote_count = 1;
  std::error_code failure;
  size_t result = context.copy(request, failure);
  if (result == 0)
    stop_at(request, failure ? failure.value() : EIO);
  return result;
}

void Transfer::stop_at(const cma_request &request, int failure)
{
  uint64_t position = options.address + moved;
  if (failure != EFAULT) {
    stop(failure, explain(context, peer, -failure));
    return;
  }
  fault_address = request.fault_side == CMA_SIDE_REMOTE ? request.fault_addr : position;
  stop(failure,
       fmt::format("cannot {} {:#x} of process {}: {}", options.write ? "write" : "read",
                   *fault_address, options.pid,
                   describe_address(options.pid, *fault_address, options.write)));
}

void Transfer::arrived(size_t bytes)
{
  moved += bytes;
  progress.update(moved);
}

void Transfer::stop(int failure, const std::string &why)
{
  error = failure;
  problem = why;
}

void Transfer::finish(FILE *json)
{
  int signal = noted_signal();
  if (problem.empty() && signal)
    stop(EINTR, fmt::format("stopped by signal {} ({})", signal, strsignal(signal)));
  progress.clear();

  if (options.json) {
    nlohmann::ordered_json report = {
        {"pid", options.pid},
        {"address", options.address},
        {"requested", nullptr},
        {"moved", moved},
        {"complete", problem.empty()},
        {"backend", backend_name(context)},
        {"seconds", progress.seconds()},
        {"error", nullptr},
    };
    if (options.length)
      report["requested"] = *options.length;
    if (!problem.empty()) {
      report["error"] = {{"name", nullptr}, {"text", problem}, {"address", nullptr}};
      if (error)
        report["error"]["name"] = strerrorname_np(error);
      if (fault_address)
        report["error"]["address"] = *fault_address;
    }
    fmt::print(json, "{}\n", report.dump(2));
  } else if (!problem.empty()) {
    std::string of = options.length ? fmt::format(" of {}", *options.length) : "";
    fmt::print(stderr, "cma: {}\ncma: {}{} bytes were {}\n", problem, moved, of,
               options.write ? "written" : "read");
  }
  if (signal)
    die_of(signal);
  if (!problem.empty())
    throw Status(1);
}

void add_transfer_arguments(CLI::App &command, TransferOptions &options)
{
  command.add_option("PID", options.pid, "The process")
      ->required()
      ->check(CLI::PositiveNumber);
  add_number(command, "ADDR", options.address, "Where in its memory: 4096, 0x1000 or 4K")
      ->required();
  command.add_flag("--json", options.json, "Report as JSON");
}
