// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The program cma as its users meet it: run with arguments, on the memory of this
 * test, and judged by its output, its exit status and what it moved.
 */
#include "cli_test.hpp"

#include <array>
#include <csignal>

#include <pty.h>
#include <sys/ioctl.h>

#include <nlohmann/json.hpp>

namespace cli_test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(Cli, ReadsIntoAPipeAndSaysNothing)
{
  EXPECT_EQ(cma({"read", self, address(5), "5000"}), 0);
  EXPECT_EQ(data, content(5, 5000));
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(Cli, ReadsIntoAFile)
{
  EXPECT_EQ(cma({"read", self, address(), "12K", "-o", file}), 0);
  EXPECT_EQ(text_of(file), content(0, 3 * page));
  EXPECT_THAT(data + said, IsEmpty());
}

TEST_F(Cli, TakesNumbersAsPeopleWriteThem)
{
  for (const char *length : {"4096", "4K", "4k", "0x1000", "0X1000", "0x4K"}) {
    EXPECT_EQ(cma({"read", self, address(), length}), 0) << length;
    EXPECT_EQ(data, content(0, 4096)) << length;
  }
}

TEST_F(Cli, WritesFromAPipeAndAFile)
{
  EXPECT_EQ(cma({"write", self, address(10)}, "from a pipe"), 0);
  EXPECT_EQ(content(10, 11), "from a pipe");
  std::ofstream(file) << "from a file";
  EXPECT_EQ(cma({"write", self, address(10), "6", "-i", file}), 0);
  EXPECT_EQ(content(10, 11), "from a pipe");
  EXPECT_EQ(cma({"write", self, address(10), "-i", file}), 0);
  EXPECT_EQ(content(10, 11), "from a file");
  EXPECT_THAT(data + said, IsEmpty());
}

TEST_F(Cli, SaysHowFarAReadCameAndWhy)
{
  EXPECT_EQ(cma({"read", self, address(page), "20000"}), 1);
  EXPECT_EQ(data, content(page, 2 * page));
  EXPECT_THAT(said, HasSubstr(fmt::format("{} of 20000 bytes were read", 2 * page)));
  EXPECT_THAT(said, HasSubstr(fmt::format("cannot read {} of", address(3 * page))));
  EXPECT_THAT(said, HasSubstr("PROT_NONE"));
}

TEST_F(Cli, SaysHowFarAWriteCameAndWhy)
{
  EXPECT_EQ(cma({"write", self, address(3 * page - 4), "--json"}, "12345678"), 1);
  EXPECT_EQ(content(3 * page - 4, 4), "1234");
  auto report = nlohmann::json::parse(data);
  EXPECT_EQ(report["moved"], 4);
  EXPECT_EQ(report["complete"], false);
  EXPECT_EQ(report["error"]["name"], "EFAULT");
  EXPECT_EQ(report["error"]["address"], reinterpret_cast<uintptr_t>(memory + 3 * page));
}

TEST_F(Cli, NamesWhatLiesAround)
{
  EXPECT_EQ(cma({"read", self, "8", "8"}), 1);
  EXPECT_THAT(said, HasSubstr("nothing is mapped there"));
  static const char constant = 'c';
  auto where = fmt::format("{:#x}", reinterpret_cast<uintptr_t>(&constant));
  EXPECT_EQ(cma({"write", self, where}, "x"), 1);
  EXPECT_THAT(said, HasSubstr("which is not writable"));
  EXPECT_THAT(said, HasSubstr("cli_test"));
}

TEST_F(Cli, ReportsSuccessAsJson)
{
  EXPECT_EQ(cma({"read", self, address(), "100", "-o", file, "--json"}), 0);
  auto report = nlohmann::json::parse(data);
  EXPECT_EQ(report["requested"], 100);
  EXPECT_EQ(report["moved"], 100);
  EXPECT_EQ(report["complete"], true);
  EXPECT_TRUE(report["error"].is_null());
  EXPECT_EQ(cma({"read", self, address(), "100", "--json"}), 0);
  EXPECT_EQ(data, content(0, 100)) << "the report must not stand among the data";
  EXPECT_EQ(nlohmann::json::parse(said)["moved"], 100);
}

TEST_F(Cli, EndOfInputIsNoSuccessIfMoreWasWanted)
{
  EXPECT_EQ(cma({"write", self, address(), "100"}, "only this"), 1);
  EXPECT_EQ(content(0, 9), "only this");
  EXPECT_THAT(said, HasSubstr("standard input ended early"));
  EXPECT_THAT(said, HasSubstr("9 of 100 bytes were written"));
}

TEST_F(Cli, AFailureCostsNoFile)
{
  std::ofstream(file) << "kept";
  EXPECT_EQ(cma({"read", self, "8", "8", "-o", file}), 1);
  EXPECT_EQ(text_of(file), "kept");
  EXPECT_EQ(cma({"read", "999999999", "8", "8", "-o", file}), 1);
  EXPECT_EQ(text_of(file), "kept");
}

TEST_F(Cli, FullDiskIsReported)
{
  EXPECT_EQ(cma({"read", self, address(), "4K", "-o", "/dev/full"}), 1);
  EXPECT_THAT(said, HasSubstr("cannot write /dev/full: No space left"));
  EXPECT_THAT(said, HasSubstr("0 of 4096 bytes"));
}

TEST_F(Cli, ReaderThatGoesAwayIsReported)
{
  /* Long enough that it cannot all wait in the pipe. */
  size_t length = 64 << 20;
  void *large = mmap(nullptr, length, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  Running running({"read", self, fmt::format("{:#x}", reinterpret_cast<uintptr_t>(large)),
                   std::to_string(length)});
  close(std::exchange(running.output, -1));
  EXPECT_EQ(running.finish(), 1);
  EXPECT_THAT(running.said, HasSubstr("Broken pipe"));
  munmap(large, length);
}

TEST_F(Cli, SignalEndsItWithAReport)
{
  Running running({"write", self, address(), "1000"});
  running.feed("half");
  /* It has begun to read when the pipe is empty again. */
  for (int waiting = 1; waiting > 0; usleep(1000))
    ioctl(running.input, FIONREAD, &waiting);
  usleep(20000);
  kill(running.pid, SIGINT);
  EXPECT_EQ(running.finish(), -SIGINT);
  EXPECT_THAT(running.said, HasSubstr("stopped by signal 2"));
  EXPECT_THAT(running.said, HasSubstr("of 1000 bytes were written"));
}

TEST_F(Cli, ProgressIsForTerminals)
{
  int terminal;
  int program;
  ASSERT_EQ(openpty(&terminal, &program, nullptr, nullptr, nullptr), 0);
  size_t length = 8 << 20;
  void *large =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Running running(
      {"write", self, fmt::format("{:#x}", reinterpret_cast<uintptr_t>(large)), "8M"},
      program);
  usleep(150000); /* a bar is drawn at most every tenth of a second */
  running.feed(std::string(length, 'x'));
  EXPECT_EQ(running.finish(), 0);
  close(program); /* the last one: reading ends with EIO once all is read */
  std::string shown;
  std::array<char, 4096> part;
  for (ssize_t got; (got = read(terminal, part.data(), part.size())) > 0;)
    shown.append(part.data(), static_cast<size_t>(got));
  EXPECT_THAT(shown, HasSubstr("% of 8.0 MiB"));
  EXPECT_THAT(shown, EndsWith("\r\033[K")) << "the bar stays on the screen";
  close(terminal);
  munmap(large, length);
}

TEST_F(Cli, WrongCommandLines)
{
  const std::vector<std::vector<std::string>> lines = {
      {},
      {"nothing"},
      {"read"},
      {"read", self},
      {"read", self, "0"},
      {"read", "0", "0", "1"},
      {"read", "-5", "0", "1"},
      {"read", "x", "0", "1"},
      {"read", self, "12x", "1"},
      {"read", self, "0x", "1"},
      {"read", self, "", "1"},
      {"read", self, "-1", "1"},
      {"read", self, "4KK", "1"},
      {"read", self, "99999999999999999999", "1"},
      {"read", self, "0", "99999999999T"},
      {"read", self, "0", "1", "2"},
      {"read", "4294967297", "0", "1"},
      {"read", "--window", "0", "1"},
      {"read", self, "0"},
      {"read", "--window", "1", "0", "1", "2"},
      {"write", self},
      {"write", "--window", "1", "0", "1", "2"},
      {"expose", "--mode", "0777", "/dev/null"},
      {"expose", "--mode", "rw", "/dev/null"},
      {"expose", "one", "two"},
      {"selftest", "--backend", "other"},
      {"run"},
      {"run", "--unknown", "true"},
  };
  for (const auto &line : lines) {
    EXPECT_EQ(cma(line), 2) << testing::PrintToString(line);
    EXPECT_THAT(data, IsEmpty());
    EXPECT_FALSE(said.empty());
  }
}

TEST_F(Cli, RangeBeyondTheEnd)
{
  EXPECT_EQ(cma({"read", self, "4096", "0xffffffffffffffff"}), 1);
  EXPECT_THAT(said, HasSubstr("beyond the end"));
}

TEST_F(Cli, NoSuchProcess)
{
  EXPECT_EQ(cma({"read", "999999999", "0", "1"}), 1);
  EXPECT_THAT(said, HasSubstr("999999999"));
  EXPECT_THAT(said, HasSubstr("0 of 1 bytes were read"));
}

TEST_F(Cli, Info)
{
  EXPECT_EQ(cma({"info", "--json"}), 0);
  auto json = nlohmann::json::parse(data);
  EXPECT_TRUE(json["backend"] == "device" || json["backend"] == "syscall");
  EXPECT_EQ(json["backend"] == "device", json["device_error"].is_null());
  EXPECT_EQ(json["policy"]["uid"], getuid());
  EXPECT_EQ(cma({"info"}), 0);
  EXPECT_THAT(data, HasSubstr("CAP_SYS_PTRACE"));
}

TEST_F(Cli, Selftest)
{
  EXPECT_EQ(cma({"selftest", "--backend", "syscall", "--json"}), 0);
  auto json = nlohmann::json::parse(data);
  EXPECT_EQ(json["backend"], "syscall");
  EXPECT_EQ(json["failed"], 0);
  EXPECT_GT(json["passed"], 10);
}

TEST_F(Cli, SelftestWithoutTheDeviceAskedFor)
{
  setenv("CMA_DEVICE", "/no/such/device", 1);
  EXPECT_EQ(cma({"selftest", "--backend", "device"}), 1);
  EXPECT_THAT(said, HasSubstr("/no/such/device"));
  EXPECT_EQ(cma({"selftest", "--backend", "device", "--json"}), 1);
  unsetenv("CMA_DEVICE");
  auto json = nlohmann::json::parse(data);
  EXPECT_TRUE(json["backend"].is_null());
  EXPECT_EQ(json["failed"], 1);
  EXPECT_THAT(json["items"].at(0)["why"].get<std::string>(),
              HasSubstr("/no/such/device"));
}

TEST_F(Cli, NamesTheCommandThatWasMeant)
{
  const std::vector<std::pair<std::string, std::string>> slips = {
      {"inof", "info"},        {"infoo", "info"},   {"raed", "read"}, {"wirte", "write"},
      {"selfets", "selftest"}, {"expos", "expose"}, {"runn", "run"},
  };
  for (const auto &[slip, meant] : slips) {
    EXPECT_EQ(cma({slip}), 2);
    EXPECT_THAT(said, HasSubstr("Was '" + meant + "' meant?"));
    EXPECT_EQ(cma({"help", slip}), 2);
    EXPECT_THAT(said, HasSubstr("Was '" + meant + "' meant?"));
  }
  EXPECT_EQ(cma({"something"}), 2);
  EXPECT_THAT(said, HasSubstr("cma --help"));
}

TEST_F(Cli, HelpIsWhatItsOptionSays)
{
  const std::vector<std::string> commands = {"info",  "selftest", "read",
                                             "write", "expose",   "run"};
  for (const std::string &command : commands) {
    EXPECT_EQ(cma({command, "--help"}), 0);
    const std::string option = data;
    EXPECT_THAT(option, HasSubstr("cma " + command));
    EXPECT_EQ(cma({"help", command}), 0);
    EXPECT_EQ(data, option);
  }
  EXPECT_EQ(cma({"--help"}), 0);
  const std::string option = data;
  EXPECT_EQ(cma({"help"}), 0);
  EXPECT_EQ(data, option);
}

TEST_F(Cli, Version)
{
  EXPECT_EQ(cma({"--version"}), 0);
  const std::string version = data;
  EXPECT_THAT(version, HasSubstr("cma "));
  EXPECT_EQ(cma({"-V"}), 0);
  EXPECT_EQ(data, version);
}

} // namespace
} // namespace cli_test
