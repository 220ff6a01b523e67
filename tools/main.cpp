// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma: looks at, tests and uses the single-copy transport of this machine.
 * Exit status: 0, 1 after a failure, 2 for a wrong command line; a subcommand
 * can have its own.
 */
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>

#include <fmt/core.h>

#include "command.hpp"

cma::Context open_context(unsigned int flags)
{
  std::error_code error;
  cma::Context context(flags, error);
  if (error)
    throw std::runtime_error(explain_device(-error.value()));
  return context;
}

const char *backend_name(const cma::Context &context)
{
  return context.backend() == CMA_BACKEND_DEVICE ? "device" : "syscall";
}

std::string explain_device(int error)
{
  std::array<char, 1024> text;
  cma_explain(nullptr, {}, error, text.data(), text.size());
  return text.data();
}

std::string explain(const cma::Context &context, cma::Peer peer, ssize_t error)
{
  return context.explain(peer, {static_cast<int>(-error), std::generic_category()});
}

namespace {

/* The exit status. */
int run(int argc, char **argv)
{
  CLI::App app{"cma: moves data between processes with a single copy", "cma"};
  app.set_version_flag("--version", fmt::format("cma {}", cma_version()));
  app.require_subcommand(1);
  add_info(app);
  add_selftest(app);
  add_read(app);
  add_write(app);
  add_expose(app);
  add_run(app);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0)
      throw std::system_error(errno, std::generic_category(), "standard output");
  } catch (const Status &status) {
    return status.get_exit_code();
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return 0;
}

} // namespace

int main(int argc, char **argv)
{
  try {
    return run(argc, argv);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "cma: %s\n", error.what());
    return 1;
  }
}
