// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma expose: lets others reach a file, or what comes from a pipe, through a window.
 * A window is a part of its owner's memory, so the file is mapped here and the window
 * lasts until this program is interrupted.
 */
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace {

struct ExposeOptions {
  std::string file = {}; /* empty or "-": standard input */
  std::string mode = "0600";
  bool write = false;
  bool json = false;
};

[[noreturn]] void fail(const std::string &what)
{
  throw std::runtime_error(fmt::format("{}: {}", what, strerror(errno)));
}

/* The file's bytes in memory: the file itself, mapped, or a copy of a stream. */
class Content {
public:
  explicit Content(const ExposeOptions &options)
      : standard{options.file.empty() || options.file == "-"}, name{standard
                                                                        ? "standard input"
                                                                        : options.file}
  {
    int fd = standard ? STDIN_FILENO
                      : ::open(options.file.c_str(),
                               (options.write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    struct stat status = {};
    if (fd < 0 || fstat(fd, &status) != 0)
      fail("cannot open " + name);
    if (S_ISREG(status.st_mode))
      map(fd, static_cast<size_t>(status.st_size), options.write);
    else if (options.write)
      throw std::runtime_error(name + " is no file: what others write would be lost "
                                      "(--write needs a file)");
    else
      read_all(fd);
    if (!standard)
      close(fd);
    if (memory.empty())
      throw std::runtime_error(name + " is empty, and a window has one byte at least");
  }

  const bool standard;
  const std::string name;
  std::string stream; /* owns the copy of a stream */
  std::string_view memory;

private:
  void map(int fd, size_t size, bool write)
  {
    if (size == 0)
      return;
    int access = write ? PROT_READ | PROT_WRITE : PROT_READ;
    void *begin = mmap(nullptr, size, access, MAP_SHARED, fd, 0);
    if (begin == MAP_FAILED)
      fail("cannot map " + name);
    memory = {static_cast<char *>(begin), size};
  }

  void read_all(int fd)
  {
    if (isatty(fd))
      throw std::runtime_error(name + " is a terminal: name a file, or pipe the data in");
    Progress progress{std::nullopt};
    note_signals();
    size_t filled = 0;
    for (ssize_t got = 1; got != 0; progress.update(filled)) {
      if (stream.size() == filled)
        stream.resize(std::max<size_t>(2 * filled, 1 << 20));
      got = ::read(fd, stream.data() + filled, stream.size() - filled);
      if (int signal = noted_signal())
        die_of(signal);
      if (got < 0 && errno != EINTR)
        fail("cannot read " + name);
      filled += got > 0 ? static_cast<size_t>(got) : 0;
    }
    memory = {stream.data(), filled};
  }
};

unsigned parse_mode(const std::string &text)
{
  size_t used = 0;
  unsigned long mode = 01000;
  if (text.find_first_not_of("01234567") == std::string::npos)
    mode = std::stoul("0" + text.substr(0, 8), &used, 8);
  if (mode & ~0666UL)
    throw CLI::ValidationError("--mode",
                               "'" + text +
                                   "' is no mode; one is made of read "
                                   "and write bits, such as 0600, 0640 or 0666");
  return static_cast<unsigned>(mode);
}

void announce(const ExposeOptions &options, const Content &content, uint64_t window)
{
  if (options.json) {
    nlohmann::ordered_json report = {
        {"window", fmt::format("{:#x}", window)},
        {"length", content.memory.size()},
        {"access", options.write ? "read, write" : "read"},
        {"mode", fmt::format("{:04o}", parse_mode(options.mode))},
        {"file", nullptr},
        {"pid", getpid()},
    };
    if (!content.standard)
      report["file"] = content.name;
    fmt::print("{}\n", report.dump(2));
  } else {
    fmt::print("{:#x}\n", window);
  }
  if (fflush(stdout) != 0)
    fail("standard output");
  if (isatty(STDERR_FILENO))
    fmt::print(stderr,
               "{} can be read by: cma read --window {:#x} {}\n"
               "until this program is interrupted (Ctrl-C)\n",
               content.name, window, content.memory.size());
}

/* Until one of the signals that end programs; each is an orderly end of this one. */
void serve(const sigset_t &ending)
{
  int signal;
  while (sigwait(&ending, &signal) != 0) {
  }
}

void expose(const ExposeOptions &options)
{
  unsigned mode = parse_mode(options.mode);
  cma::Context context = open_context(CMA_OPEN_DEVICE);
  Content content(options);
  sigset_t ending;
  sigemptyset(&ending);
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&ending, signal);
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  unsigned access = CMA_ACCESS_READ | (options.write ? CMA_ACCESS_WRITE : 0);
  cma::Window window =
      context.expose({content.memory.data(), content.memory.size()}, access, mode);
  announce(options, content, window.name());
  serve(ending);
}

} // namespace

void add_expose(CLI::App &app)
{
  auto *command = app.add_subcommand("expose", "Let others read a file through a window");
  auto options = std::make_shared<ExposeOptions>();
  command->add_option("FILE", options->file, "The file; else standard input");
  command->add_option(
      "--mode", options->mode,
      "Who may use the window, as in a file's mode: 0600, 0640, 0666 (else 0600)");
  command->add_flag("--write", options->write,
                    "Let them write it, too; it goes to the file");
  command->add_flag("--json", options->json, "Tell the window as JSON");
  command->callback([options] { expose(*options); });
}
