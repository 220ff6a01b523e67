// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma expose, and cma read and cma write through the window that it names: with the
 * device. What can be said without one is in NoDevice.
 */
#include "cli_test.hpp"

#include <csignal>

#include <nlohmann/json.hpp>

namespace cli_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class Expose : public Cli {
protected:
  Expose() { std::ofstream(file) << content; }

  /* The first word that it prints: the window's name. It serves from then on. */
  static std::string name_from(const Running &running)
  {
    std::string name;
    for (char c; read(running.output, &c, 1) == 1 && c != '\n';)
      name += c;
    return name;
  }

  static void interrupt(Running &running)
  {
    kill(running.pid, SIGINT);
    EXPECT_EQ(running.finish(), 0);
    EXPECT_THAT(running.data + running.said, IsEmpty());
  }

  const std::string content =
      std::string(5000, 'a') + "the middle" + std::string(5000, 'z');
};

TEST_F(Expose, AFileIsReadThroughItsWindow)
{
  Running owner({"expose", file});
  const std::string name = name_from(owner);
  EXPECT_EQ(name.substr(0, 2), "0x");
  EXPECT_EQ(cma({"read", "--window", name, std::to_string(content.size())}), 0);
  EXPECT_EQ(data, content);
  EXPECT_EQ(cma({"read", "--window", name, "5000", "10"}), 0);
  EXPECT_EQ(data, "the middle");
  EXPECT_THAT(said, IsEmpty());
  interrupt(owner);
}

TEST_F(Expose, WithoutALengthAllOfItIsRead)
{
  Running owner({"expose", file});
  const std::string name = name_from(owner);
  EXPECT_EQ(cma({"read", "--window", name}), 0);
  EXPECT_EQ(data, content);
  EXPECT_THAT(said, IsEmpty());
  const std::string copy = directory / "copy";
  EXPECT_EQ(cma({"read", "--window", name, "--json", "-o", copy}), 0);
  EXPECT_EQ(text_of(copy), content);
  EXPECT_EQ(nlohmann::json::parse(data)["requested"], content.size());
  interrupt(owner);

  Running of_pipe({"expose"});
  const std::string large((9 << 20) + 1, 'p'); /* more than one chunk of it */
  of_pipe.feed(large);
  close(std::exchange(of_pipe.input, -1));
  EXPECT_EQ(cma({"read", "--window", name_from(of_pipe)}), 0);
  EXPECT_EQ(data, large);
  interrupt(of_pipe);
}

TEST_F(Expose, APipeIsReadThroughItsWindow)
{
  Running owner({"expose"});
  const std::string large(3 << 20, 'p');
  owner.feed(large);
  close(std::exchange(owner.input, -1));
  const std::string name = name_from(owner);
  EXPECT_EQ(cma({"read", "--window", name, "3M"}), 0);
  EXPECT_EQ(data, large);
  interrupt(owner);
}

TEST_F(Expose, WritesGoToTheFile)
{
  Running owner({"expose", "--write", file});
  const std::string name = name_from(owner);
  EXPECT_EQ(cma({"write", "--window", name, "5000"}, "what is new"), 0);
  EXPECT_EQ(cma({"write", "--window", name}, "first"), 0);
  EXPECT_THAT(data + said, IsEmpty());
  interrupt(owner);
  const std::string now = text_of(file);
  EXPECT_EQ(now.substr(5000, 11), "what is new");
  EXPECT_EQ(now.substr(0, 6), "firsta");
  EXPECT_EQ(now.size(), content.size());
}

TEST_F(Expose, WritingIsRefusedUnlessItWasAllowed)
{
  Running owner({"expose", file});
  const std::string name = name_from(owner);
  EXPECT_EQ(cma({"write", "--window", name, "--json"}, "x"), 1);
  auto report = nlohmann::json::parse(data);
  EXPECT_EQ(report["error"]["name"], "EACCES");
  EXPECT_EQ(report["window"], name);
  EXPECT_TRUE(report["pid"].is_null());
  EXPECT_EQ(text_of(file), content);
  interrupt(owner);
}

TEST_F(Expose, TheModeDecidesWhoReads)
{
  chmod(directory.c_str(), 0755);
  chmod(file.c_str(), 0644);
  for (const auto &[mode, status] : {std::pair{"0600", 1}, {"0666", 0}}) {
    Running owner({"expose", "--mode", mode, file});
    const std::string name = name_from(owner);
    const pid_t stranger = fork();
    if (stranger == 0) {
      if (setgid(65534) || setuid(65534))
        _exit(99);
      const int got = cma({"read", "--window", name, "5"});
      _exit(got == 0 && data != "aaaaa" ? 98 : got);
    }
    int end;
    waitpid(stranger, &end, 0);
    EXPECT_EQ(WEXITSTATUS(end), status) << mode;
    interrupt(owner);
  }
}

TEST_F(Expose, BeyondTheEndIsSaid)
{
  Running owner({"expose", file});
  const std::string name = name_from(owner);
  EXPECT_EQ(cma({"read", "--window", name, "20000"}), 1);
  EXPECT_EQ(data.substr(0, content.size()), content);
  EXPECT_THAT(said, HasSubstr("of window " + name));
  EXPECT_THAT(said, HasSubstr(fmt::format("{} of 20000 bytes were read", data.size())));
  interrupt(owner);
}

TEST_F(Expose, EndsWithItsProgram)
{
  Running owner({"expose", "--json", file});
  std::string text;
  for (char c; read(owner.output, &c, 1) == 1;) {
    text += c;
    if (c == '}')
      break;
  }
  auto report = nlohmann::json::parse(text);
  EXPECT_EQ(report["length"], content.size());
  EXPECT_EQ(report["mode"], "0600");
  EXPECT_EQ(report["access"], "read");
  EXPECT_EQ(report["file"], file);
  EXPECT_EQ(report["pid"], owner.pid);
  kill(owner.pid, SIGTERM);
  EXPECT_EQ(owner.finish(), 0);
  EXPECT_EQ(cma({"read", "--window", report["window"], "5"}), 1);
  EXPECT_THAT(said, HasSubstr("no window of this name"));
}

TEST_F(Expose, InfoNamesTheFeature)
{
  EXPECT_EQ(cma({"info", "--json"}), 0);
  EXPECT_THAT(nlohmann::json::parse(data)["features"], testing::Contains("window"));
}

TEST_F(Expose, WhatCannotBeExposedIsSaid)
{
  EXPECT_EQ(cma({"expose", "/no/such/file"}), 1);
  EXPECT_THAT(said, HasSubstr("cannot open /no/such/file: No such file"));
  EXPECT_EQ(cma({"expose", "/dev/null"}), 1);
  EXPECT_THAT(said, HasSubstr("is empty"));
  EXPECT_EQ(cma({"expose", "--write"}, "lost"), 1);
  EXPECT_THAT(said, HasSubstr("--write needs a file"));
  EXPECT_THAT(data, IsEmpty());
}

class NoDevice : public Cli {
protected:
  NoDevice() { setenv("CMA_DEVICE", "/no/such/device", 1); }
  ~NoDevice() override { unsetenv("CMA_DEVICE"); }
};

TEST_F(NoDevice, WindowsNeedIt)
{
  for (const std::vector<std::string> &line :
       {std::vector<std::string>{"expose", "/etc/passwd"},
        {"read", "--window", "0x1234", "1"},
        {"write", "--window", "0x1234"}}) {
    EXPECT_EQ(cma(line), 1);
    EXPECT_THAT(said, HasSubstr("/no/such/device"));
    EXPECT_THAT(data, IsEmpty());
  }
}

} // namespace
} // namespace cli_test
