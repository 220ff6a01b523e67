// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See transfer.hpp.
#include "transfer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "mappings.hpp"
#include "numbers.hpp"
#include "signals.hpp"

namespace {

constexpr size_t chunk = 4 << 20;

} // namespace

Transfer::Transfer(const TransferOptions &options)
    : options{options}, context{open_context(options.window ? CMA_OPEN_DEVICE : 0)},
      progress{options.expected}
{
  uint64_t end;
  if (__builtin_add_overflow(options.address, options.length.value_or(0), &end))
    throw std::runtime_error(fmt::format("{} bytes from {:#x} go beyond the end of any "
                                         "address space",
                                         *options.length, options.address));
  open_peer();
  buffer.resize(std::min<uint64_t>(chunk, this->options.length.value_or(chunk)));
  note_signals();
}

void Transfer::open_peer()
try {
  if (options.window) {
    uint64_t whole = 0;
    handle = context.open_window(
        options.window, options.write ? CMA_ACCESS_WRITE : CMA_ACCESS_READ, &whole);
    peer = handle;
    if (!options.write && !options.length)
      read_to_end_of(whole);
    return;
  }
  /* Through a handle the process that the transfer began with is the one it ends with,
   * whatever becomes of the pid. What forbids a handle forbids copies too, and the first
   * copy will say so. */
  std::error_code refused;
  handle = context.open(cma::pid(options.pid), refused);
  peer = handle ? cma::Peer(handle) : cma::pid(options.pid);
} catch (const std::system_error &failure) {
  int number = failure.code().value();
  stop(number, fmt::format("cannot open window {:#x}: {}", options.window,
                           explain(context, {}, -number)));
}

/* whole: the window's length; 0 if the module does not tell. */
void Transfer::read_to_end_of(uint64_t whole)
{
  if (whole == 0)
    return stop(0, "this module does not tell how long a window is: say how many bytes");
  if (options.address > whole)
    return stop(0, fmt::format("window {:#x} has {} bytes, and none at {:#x}",
                               options.window, whole, options.address));
  options.length = whole - options.address;
  progress.expect(options.length);
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
  std::string place = fmt::format("cannot {} {:#x} of ", options.write ? "write" : "read",
                                  *fault_address);
  if (options.window)
    stop(failure, place + fmt::format("window {:#x}: it ends before, or its owner has no "
                                      "memory there that can be used so",
                                      options.window));
  else
    stop(failure, place + fmt::format("process {}: {}", options.pid,
                                      describe_address(options.pid, *fault_address,
                                                       options.write)));
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
        {"pid", nullptr},
        {"window", nullptr},
        {"address", options.address},
        {"requested", nullptr},
        {"moved", moved},
        {"complete", problem.empty()},
        {"backend", backend_name(context)},
        {"seconds", progress.seconds()},
        {"error", nullptr},
    };
    if (options.window)
      report["window"] = fmt::format("{:#x}", options.window);
    else
      report["pid"] = options.pid;
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
    throw Status{1};
}

namespace {

uint64_t operand(const std::string &name, const std::string &text)
try {
  return parse_number(text);
} catch (const std::invalid_argument &wrong) {
  throw CLI::ValidationError(name, wrong.what());
}

/* Whose memory, from where and how much: the operands in their order. */
void take_operands(TransferOptions &options, std::deque<std::string> operands)
{
  auto next = [&operands](const char *name) {
    if (operands.empty())
      throw CLI::RequiredError(name);
    std::string text = std::exchange(operands.front(), {});
    operands.pop_front();
    return operand(name, text);
  };
  if (!options.window) {
    uint64_t pid = next("PID");
    options.pid = static_cast<pid_t>(pid);
    if (options.pid <= 0 || static_cast<uint64_t>(options.pid) != pid)
      throw CLI::ValidationError("PID", "no process has this number");
    options.address = next("ADDR");
  } else if (operands.size() == 1 && !options.write) {
    options.length = next("LEN");
    return;
  } else if (!operands.empty()) {
    options.address = next("OFFSET");
  }
  if (!operands.empty() || (!options.window && !options.write))
    options.length = next("LEN");
  if (!operands.empty())
    throw CLI::ExtrasError({operands.front()});
}

} // namespace

void add_transfer_arguments(CLI::App &command, TransferOptions &options)
{
  // What each is depends on how many there are, and on --window.
  auto operands = std::make_shared<std::array<std::optional<std::string>, 3>>();
  auto *window = add_number(command, "--window", options.window,
                            "A window, by the name that cma expose printed, in place of "
                            "the process");
  command.add_option("PID", (*operands)[0], "The process; none with --window")
      ->type_name("");
  command
      .add_option(
          "ADDR", (*operands)[1],
          "Where in its memory: 65536, 0x10000 or 64K; with --window an offset in "
          "it, or none for its beginning")
      ->type_name("");
  command
      .add_option("LEN", (*operands)[2],
                  options.write ? "How many bytes, if not as many as come"
                                : "How many bytes; with --window, if not all of them")
      ->type_name("");
  command.add_flag("--json", options.json, "Report as JSON");
  command.parse_complete_callback([&options, operands, window] {
    if (window->count() && !options.window)
      throw CLI::ValidationError("--window", "no window has the name 0");
    std::deque<std::string> given;
    for (const auto &operand : *operands)
      if (operand)
        given.push_back(*operand);
    take_operands(options, std::move(given));
  });
}
