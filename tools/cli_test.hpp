// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What the tests of the program cma share: running it, and memory and a file for it to
 * work on. The environment variable CMA_PROGRAM names another cma than the one built
 * with the tests.
 */
#ifndef CMA_TOOLS_CLI_TEST_HPP
#define CMA_TOOLS_CLI_TEST_HPP

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gmock/gmock.h>

namespace cli_test {

namespace fs = std::filesystem;

inline const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

inline std::string cma_program()
{
  const char *named = std::getenv("CMA_PROGRAM");
  return named ? named : CMA_PROGRAM;
}

/* A cma that runs. The test holds the other ends of its input and output. */
class Running {
public:
  /** error: the descriptor that is to be its standard error; else it is collected. */
  explicit Running(const std::vector<std::string> &arguments, int error = -1,
                   const std::string &program = cma_program())
  {
    int in[2];
    int out[2];
    int err[2];
    EXPECT_EQ(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    std::vector<char *> list = {const_cast<char *>(program.c_str())};
    for (const std::string &argument : arguments)
      list.push_back(const_cast<char *>(argument.c_str()));
    list.push_back(nullptr);
    pid = fork();
    if (pid == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      dup2(error < 0 ? err[1] : error, STDERR_FILENO);
      execv(program.c_str(), list.data());
      _exit(99);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    input = in[1];
    output = out[0];
    errors = err[0];
  }

  void feed(const std::string &data) const
  {
    EXPECT_EQ(write(input, data.data(), data.size()), static_cast<ssize_t>(data.size()));
  }

  /** Its end, with all it said. The status is negative for a signal. */
  int finish()
  {
    close(std::exchange(input, -1));
    std::thread other([this] { said = all_of(errors); });
    data = all_of(output);
    other.join();
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

  pid_t pid;
  int input, output;
  std::string data, said; /* standard output, standard error */

private:
  static std::string all_of(int fd)
  {
    std::string all;
    char some[65536];
    for (ssize_t length; (length = read(fd, some, sizeof(some))) > 0;)
      all.append(some, static_cast<size_t>(length));
    close(fd);
    return all;
  }

  int errors;
};

class Cli : public testing::Test {
protected:
  Cli()
  {
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    memory = static_cast<char *>(mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < 3 * page; i++)
      memory[i] = static_cast<char>(i * 7 + i / 256);
    /* The hole; unmapped, it could be filled by anybody. */
    mprotect(memory + 3 * page, page, PROT_NONE);
    fs::create_directory(directory);
  }

  ~Cli() override
  {
    munmap(memory, 4 * page);
    fs::remove_all(directory);
  }

  int cma(const std::vector<std::string> &arguments, const std::string &input = "")
  {
    Running running(arguments);
    if (!input.empty())
      running.feed(input);
    int status = running.finish();
    data = running.data;
    said = running.said;
    return status;
  }

  std::string address(size_t offset = 0) const
  {
    return fmt::format("{:#x}", reinterpret_cast<uintptr_t>(memory + offset));
  }

  std::string content(size_t offset, size_t length) const
  {
    return {memory + offset, length};
  }

  static std::string text_of(const fs::path &file)
  {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  char *memory;
  const std::string self = std::to_string(getpid());
  const fs::path directory =
      fs::temp_directory_path() / fmt::format("cma-cli-test.{}", getpid());
  const std::string file = directory / "file";
  std::string data, said;
};

} // namespace cli_test

#endif
