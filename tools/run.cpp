// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma run: starts a command with libcma-process-vm.so preloaded, and becomes it,
 * so that its exit status, its signals and its terminal are its own. What the policy
 * asks of the command's processes, the library does in each (policy.cpp there).
 */
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "command.hpp"
#include "program.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char *library = "libcma-process-vm.so";

/* Beside this program, as the build tree or as an installation has it. */
fs::path find_library()
{
  fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  std::array places = {here / ".." / "shims" / "process_vm" / library,
                       here / LIBDIR_FROM_BINDIR / "cma" / library};
  for (const fs::path &place : places)
    if (fs::exists(place))
      return fs::canonical(place);
  throw std::runtime_error(
      fmt::format("{} is in neither of the places where it belongs, {} and {}: install "
                  "cma, or build its target cma-process-vm",
                  library, places[0].lexically_normal().string(),
                  places[1].lexically_normal().string()));
}

/* Behind what is there: some libraries insist on being the first. */
void preload(const std::string &path)
{
  if (path.find_first_of(" :") != path.npos)
    throw std::runtime_error(fmt::format("the dynamic linker cannot preload {}: its path "
                                         "has a blank or a colon",
                                         path));
  const char *before = std::getenv("LD_PRELOAD");
  std::string all = before && *before ? fmt::format("{}:{}", before, path) : path;
  setenv("LD_PRELOAD", all.c_str(), 1);
}

/* AddressSanitizer's shared runtime, where the program is linked with it, ends a program
 * in which another library comes before it. What it fears, memory allocated by that
 * library, is not ours to do. A word of the user's on the matter comes later, and holds.
 */
void please_sanitizers()
{
  const char *before = std::getenv("ASAN_OPTIONS");
  std::string all = "verify_asan_link_order=0";
  if (before && *before)
    all += fmt::format(":{}", before);
  setenv("ASAN_OPTIONS", all.c_str(), 1);
}

/* It runs all the same, and what it starts may take part. */
void warn_of_unserved(const std::string &command)
{
  auto program = find_program(command);
  std::string why = program ? why_not_preloaded(*program) : "";
  if (!why.empty())
    fmt::print(stderr,
               "cma: {} {}: it takes no part, and its process_vm_readv and "
               "process_vm_writev calls are the kernel's\n",
               command, why);
}

void tell(const std::string &path)
{
  cma_limits limits = open_context().limits();
  fmt::print(stderr, "cma: preloading {}\n", path);
  if (limits.backend == CMA_BACKEND_DEVICE)
    fmt::print(stderr, "cma: /dev/cma serves, module {}\n", limits.module_version);
  else
    fmt::print(stderr, "cma: the system calls themselves serve, without the device: {}\n",
               explain_device(limits.device_error));
}

void set_policy(const std::string &policy)
{
  if (policy == "ptrace")
    unsetenv("CMA_RUN_POLICY");
  else
    setenv("CMA_RUN_POLICY", policy.c_str(), 1);
}

void run(std::vector<std::string> command, const std::string &policy, bool verbose)
{
  std::string path = find_library();
  if (verbose)
    tell(path);
  warn_of_unserved(command[0]);
  preload(path);
  please_sanitizers();
  set_policy(policy);
  std::vector<char *> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string &argument : command)
    arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  int error = errno;
  fmt::print(stderr, "cma: cannot run {}: {}\n", command[0], strerror(error));
  throw Status{error == ENOENT ? 127 : 126};
}

} // namespace

void add_run(CLI::App &app)
{
  auto *command = app.add_subcommand(
      "run",
      "Run a command whose process_vm_readv and process_vm_writev /dev/cma answers");
  auto verbose = std::make_shared<bool>(false);
  command->add_flag("-v,--verbose", *verbose, "Say what is preloaded, and what serves");
  auto policy = std::make_shared<std::string>("ptrace");
  command
      ->add_option(
          "--policy", *policy,
          "What the command's processes let their peers do: what ptrace's rules "
          "allow; with their consent also what Yama (ptrace_scope 1) refuses; or "
          "by a window all that is the same user's, whatever those rules say")
      ->check(CLI::IsMember({"ptrace", "consent", "window"}))
      ->capture_default_str();
  auto arguments = std::make_shared<std::vector<std::string>>();
  command->add_option("COMMAND", *arguments, "The command, and its arguments")
      ->required();
  command->positionals_at_end(); /* from COMMAND on, nothing is an option of ours */
  command->callback([arguments, policy, verbose] { run(*arguments, *policy, *verbose); });
}
