// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma write: from a file or a pipe to a process's memory, or a window.
 */
#include <cerrno>
#include <cstring>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.hpp"
#include "signals.hpp"
#include "transfer.hpp"

namespace {

/* Where the data comes from. */
class Input {
public:
  /** Throws if the file cannot be opened. */
  explicit Input(const std::string &file)
      : name{file.empty() || file == "-" ? "standard input" : file},
        fd{name == file ? ::open(file.c_str(), O_RDONLY | O_CLOEXEC) : STDIN_FILENO}
  {
    if (fd < 0)
      throw std::runtime_error(fmt::format("cannot read {}: {}", name, strerror(errno)));
  }
  Input(const Input &) = delete;
  Input &operator=(const Input &) = delete;
  ~Input()
  {
    if (fd != STDIN_FILENO)
      ::close(fd);
  }

  /** Bytes to come, if that is known. */
  std::optional<uint64_t> size() const
  {
    struct stat status = {};
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
      return status.st_size;
    return std::nullopt;
  }

  /** Fill as much as there is; bytes read, less at the end of the input, or -1. */
  ssize_t read(char *memory, size_t length) const
  {
    size_t done = 0;
    while (done < length && !noted_signal()) {
      ssize_t result = ::read(fd, memory + done, length - done);
      if (result < 0 && errno != EINTR)
        return -1;
      if (result == 0)
        break;
      done += result > 0 ? static_cast<size_t>(result) : 0;
    }
    return static_cast<ssize_t>(done);
  }

  const std::string name;

private:
  int fd;
};

/* Move all that was read, as far as the process takes it. */
void move_all(Transfer &transfer, size_t length)
{
  for (size_t done = 0; done < length;) {
    size_t step = transfer.move(transfer.buffer.data() + done, length - done);
    if (step == 0)
      return;
    transfer.arrived(step);
    done += step;
  }
}

void write(TransferOptions options)
{
  Input input(options.file);
  options.expected = options.length ? options.length : input.size();
  Transfer transfer(options);
  while (size_t length = transfer.next_chunk()) {
    ssize_t filled = input.read(transfer.buffer.data(), length);
    if (filled < 0) {
      int error = errno;
      transfer.stop(error,
                    fmt::format("cannot read {}: {}", input.name, strerror(error)));
      break;
    }
    if (noted_signal())
      break;
    move_all(transfer, static_cast<size_t>(filled));
    if (static_cast<size_t>(filled) == length)
      continue;
    if (options.length && !transfer.failed())
      transfer.stop(0, fmt::format("{} ended early", input.name));
    break;
  }
  transfer.finish(stdout);
}

} // namespace

void add_write(CLI::App &app)
{
  auto *command = app.add_subcommand("write", "Write a file into a process's memory");
  auto options = std::make_shared<TransferOptions>();
  options->write = true;
  add_transfer_arguments(*command, *options);
  command->add_option("-i,--input", options->file, "The file; else standard input");
  command->callback([options] { write(*options); });
}
