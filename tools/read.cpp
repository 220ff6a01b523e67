// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma read: from a process's memory, or a window, to a file or a pipe. The file is opened
 * when there is something to write to it, so that a refusal costs nobody a file.
 */
#include <cerrno>
#include <csignal>
#include <cstring>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "command.hpp"
#include "signals.hpp"
#include "transfer.hpp"

namespace {

bool is_standard(const std::string &file)
{
  return file.empty() || file == "-";
}

/* Where the data goes. */
class Output {
public:
  explicit Output(const std::string &file) : file{file}
  {
    if (is_standard(file))
      fd = STDOUT_FILENO;
  }
  Output(const Output &) = delete;
  Output &operator=(const Output &) = delete;
  ~Output() { close(); }

  /** False: errno tells why not. */
  bool open()
  {
    if (fd < 0)
      fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return fd >= 0;
  }

  /** Bytes written; fewer than asked for: errno tells why. A signal is no reason. */
  size_t write(const char *memory, size_t length)
  {
    size_t done = 0;
    while (done < length && open()) {
      ssize_t result = ::write(fd, memory + done, length - done);
      if (result < 0 && (errno != EINTR || noted_signal()))
        break;
      done += result > 0 ? static_cast<size_t>(result) : 0;
    }
    return done;
  }

  bool close()
  {
    int old = std::exchange(fd, -1);
    return old < 0 || old == STDOUT_FILENO || ::close(old) == 0;
  }

  std::string name() const { return is_standard(file) ? "standard output" : file; }

private:
  std::string file;
  int fd = -1;
};

void stop_writing(Transfer &transfer, const Output &output)
{
  int error = errno;
  if (error == EINTR)
    return; /* the signal is reason enough */
  transfer.stop(error,
                fmt::format("cannot write {}: {}", output.name(), strerror(error)));
}

void read(const TransferOptions &options)
{
  if (options.file.empty() && isatty(STDOUT_FILENO))
    throw std::runtime_error("the data would go to the terminal: name a file with -o "
                             "(-o - for the terminal all the same)");
  Transfer transfer(options);
  Output output(options.file);
  while (size_t length = transfer.next_chunk()) {
    length = transfer.move(transfer.buffer.data(), length);
    size_t written = output.write(transfer.buffer.data(), length);
    transfer.arrived(written);
    if (written < length)
      stop_writing(transfer, output);
  }
  if (!transfer.failed() && (!output.open() || !output.close()))
    stop_writing(transfer, output);
  transfer.finish(is_standard(options.file) ? stderr : stdout);
}

} // namespace

void add_read(CLI::App &app)
{
  auto *command = app.add_subcommand("read", "Read a process's memory into a file");
  auto options = std::make_shared<TransferOptions>();
  add_transfer_arguments(*command, *options);
  command->add_option("-o,--output", options->file, "The file; else standard output");
  command->callback([options] {
    options->expected = options->length;
    read(*options);
  });
}
