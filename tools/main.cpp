// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma: looks at, tests and uses the single-copy transport of this machine.
 * Exit status: 0, 1 after a failure, 2 for a wrong command line; a subcommand
 * can have its own.
 */
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
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

/* How many letters are to be put in, left out or changed, or neighbours exchanged. */
size_t distance(const std::string &one, const std::string &other)
{
  std::vector table(one.size() + 1, std::vector<size_t>(other.size() + 1));
  for (size_t i = 0; i <= one.size(); i++)
    for (size_t j = 0; j <= other.size(); j++) {
      if (i == 0 || j == 0) {
        table[i][j] = i + j;
        continue;
      }
      const size_t changed = table[i - 1][j - 1] + (one[i - 1] != other[j - 1] ? 1 : 0);
      table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, changed});
      if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
    }
  return table[one.size()][other.size()];
}

/* Ends the program at a word that is no command, naming the one that was perhaps meant.
 */
void check_command(const CLI::App &app, const std::string &word)
{
  if (word.empty() || word[0] == '-')
    return;
  std::string nearest;
  size_t least = 3;
  for (const CLI::App *command :
       app.get_subcommands([](const CLI::App *) { return true; }))
    if (size_t far = distance(word, command->get_name()); far < least) {
      least = far;
      nearest = command->get_name();
    }
  if (least == 0)
    return;
  fmt::print(stderr, "cma: there is no command '{}'{}\n", word,
             nearest.empty() ? "; cma --help names those that there are"
                             : fmt::format(". Was '{}' meant?", nearest));
  throw Status{2};
}

/* "help" and "help COMMAND" as what they mean. */
std::vector<const char *> without_help(int argc, char **argv)
{
  std::vector<const char *> words(argv, argv + argc);
  if (argc > 1 && std::string(words[1]) == "help") {
    words.erase(words.begin() + 1);
    words.resize(std::min<size_t>(words.size(), 2));
    words.push_back("--help");
  }
  return words;
}

/* The exit status. */
int run(int argc, char **argv)
{
  CLI::App app{"cma: moves data between processes with a single copy", "cma"};
  app.set_version_flag("-V,--version", fmt::format("cma {}", cma_version()));
  app.require_subcommand(1);
  add_info(app);
  add_selftest(app);
  add_read(app);
  add_write(app);
  add_expose(app);
  add_run(app);
  add_stat(app);
  add_ps(app);
  add_bench(app);
  app.footer("cma help COMMAND tells more of one of them.\n");
  try {
    auto words = without_help(argc, argv);
    check_command(app, words.size() > 1 ? words[1] : "");
    app.parse(static_cast<int>(words.size()), words.data());
    if (std::fflush(stdout) != 0)
      throw std::system_error(errno, std::generic_category(), "standard output");
  } catch (const Status &status) {
    return status.code;
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
