// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The subcommands. Each adds itself to the command line; what it does runs while
 * the line is parsed. It returns for success, throws Status to end with another
 * exit status, having said why, or any other exception, whose text main() prints.
 *
 * Whoever defines command lines includes CLI11 itself, which takes long to compile.
 */
#ifndef CMA_TOOLS_COMMAND_HPP
#define CMA_TOOLS_COMMAND_HPP

#include <memory>
#include <string>

#include <cma.hpp>

namespace CLI {
class App;
}

/** Ends the program with this exit status and no further words. */
struct Status {
  int code;
};

void add_info(CLI::App &app);
void add_selftest(CLI::App &app);
void add_read(CLI::App &app);
void add_write(CLI::App &app);
void add_expose(CLI::App &app);
void add_run(CLI::App &app);
void add_stat(CLI::App &app);
void add_ps(CLI::App &app);
void add_bench(CLI::App &app);

/** Opens a context; throws with the reason in words. flags: CMA_OPEN_*. */
cma::Context open_context(unsigned int flags = 0);

/** "device" or "syscall" */
const char *backend_name(const cma::Context &context);

/** Why the device cannot be used; error: negative, from cma_open() or cma_query(). */
std::string explain_device(int error);

/** Why a call about this peer failed; error: negative, as the C interface returns it. */
std::string explain(const cma::Context &context, cma::Peer peer, ssize_t error);

#endif
