// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma ps and cma stat, with the device: that they tell what is there, and that they can
 * be told apart from nothing being there. What they say without a module is in NoModule.
 */
#include "cli_test.hpp"

#include <csignal>
#include <poll.h>

#include <cma.hpp>
#include <nlohmann/json.hpp>

namespace cli_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Watch : public Cli {
protected:
  /* What cma ps says of this process; nothing if it says nothing. */
  json me()
  {
    EXPECT_EQ(cma({"ps", "--json"}), 0) << said;
    const json all = json::parse(data);
    for (const json &process : all["processes"])
      if (process["pid"] == getpid())
        return process;
    return {};
  }
};

TEST_F(Watch, PsTellsWhatAProcessHolds)
{
  EXPECT_TRUE(me().is_null());
  cma::Context context(CMA_OPEN_DEVICE);
  const cma::Window window = context.expose({memory, page}, CMA_ACCESS_READ, 0640);
  const cma::Handle whole = context.open(cma::pid(getpid()));
  char byte = 0;
  ASSERT_EQ(context.read(whole, {&byte, 1}, reinterpret_cast<uintptr_t>(memory)), 1U);
  const json process = me();
  ASSERT_FALSE(process.is_null());
  EXPECT_THAT(process["command"].get<std::string>(), HasSubstr("cli_test"));
  EXPECT_EQ(process["mappings"], 0);
  ASSERT_EQ(process["files"].size(), 1U);
  const json &file = process["files"][0];
  EXPECT_EQ(file["access"], "rw");
  EXPECT_EQ(file["bytes"], 1);
  EXPECT_EQ(file["copies"], 1);
  ASSERT_EQ(file["handles"].size(), 1U);
  EXPECT_EQ(file["handles"][0]["pid"], getpid());
  ASSERT_EQ(file["windows"].size(), 1U);
  EXPECT_EQ(file["windows"][0]["length"], page);
  EXPECT_EQ(file["windows"][0]["mode"], "0640");

  EXPECT_EQ(cma({"ps"}), 0);
  EXPECT_THAT(data, HasSubstr(self));
  EXPECT_THAT(data, Not(HasSubstr("handle 1:")));
  EXPECT_EQ(cma({"ps", "--details", self}), 0);
  EXPECT_THAT(data, HasSubstr("handle 1: process " + self + ", rw"));
  EXPECT_THAT(
      data, HasSubstr("window: " + std::to_string(page / 1024) + ".0 KiB, r, mode 0640"));
}

TEST_F(Watch, PsTellsOfMappings)
{
  cma::Context context(CMA_OPEN_DEVICE);
  const cma::Handle handle = context.open(cma::pid(getpid()));
  const cma::Mapping mapping =
      context.map(handle, reinterpret_cast<uintptr_t>(memory), 2 * page, PROT_READ);
  const json process = me();
  ASSERT_FALSE(process.is_null());
  EXPECT_EQ(process["mappings"], 1);
  EXPECT_EQ(process["mapped_bytes"], 2 * page);
}

/* A process may be called anything, and the one who looks may be root at a terminal. */
TEST_F(Watch, PsShowsNoControlCharacters)
{
  const cma::Context context(CMA_OPEN_DEVICE);
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  prctl(PR_SET_NAME, "\033[31m\xc3");
  EXPECT_EQ(me()["command"], "?[31m?");
  EXPECT_EQ(cma({"ps"}), 0);
  EXPECT_THAT(data, Not(HasSubstr("\033")));
  prctl(PR_SET_NAME, name);
}

TEST_F(Watch, PsOfOneProcess)
{
  EXPECT_EQ(cma({"ps", "1"}), 0);
  EXPECT_THAT(data, IsEmpty());
  EXPECT_THAT(said, HasSubstr("process 1 does not use /dev/cma"));
  EXPECT_EQ(cma({"ps", "2000000000"}), 1);
  EXPECT_THAT(said, HasSubstr("there is no process 2000000000"));
}

TEST_F(Watch, StatTellsWhatThereIs)
{
  EXPECT_EQ(cma({"stat", "--json"}), 0) << said;
  const json before = json::parse(data);
  cma::Context context(CMA_OPEN_DEVICE);
  const cma::Window window = context.expose({memory, page}, CMA_ACCESS_READ, 0600);
  EXPECT_EQ(cma({"stat", "--json"}), 0);
  const json after = json::parse(data);
  EXPECT_EQ(after["windows"], before["windows"].get<int>() + 1);
  EXPECT_EQ(after["files"], before["files"].get<int>() + 1);
  EXPECT_EQ(after.size(), 15U);

  EXPECT_EQ(cma({"stat"}), 0);
  EXPECT_THAT(data, HasSubstr("windows "));
  EXPECT_EQ(cma({"stat", "--prometheus"}), 0);
  EXPECT_THAT(data, HasSubstr("# TYPE cma_copies_total counter\ncma_copies_total "));
  EXPECT_THAT(data, HasSubstr("# TYPE cma_windows gauge\ncma_windows "));
}

TEST_F(Watch, StatGoesOn)
{
  Running running({"stat", "--watch", "0.2", "--count", "2", "--json"});
  EXPECT_EQ(running.finish(), 0) << running.said;
  std::istringstream lines(running.data);
  int nr = 0;
  for (std::string line; std::getline(lines, line); nr++)
    EXPECT_TRUE(json::parse(line).contains("copies"));
  EXPECT_EQ(nr, 2);
  Running forever({"stat", "--watch", "0.2"});
  pollfd first = {forever.output, POLLIN, 0};
  EXPECT_EQ(poll(&first, 1, 60000), 1);
  kill(forever.pid, SIGINT);
  EXPECT_EQ(forever.finish(), -SIGINT);
  EXPECT_THAT(forever.data, HasSubstr("/s\n"));
}

TEST_F(Watch, StatIsForRootAlone)
{
  ASSERT_EQ(getuid(), 0U);
  const pid_t child = fork();
  if (child == 0) {
    const bool away = setgid(1000) == 0 && setuid(1000) == 0;
    const int status = cma({"stat"});
    _exit(away && status == 1 && said.find("root alone may read") != std::string::npos
              ? 0
              : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

class NoModule : public Cli {
protected:
  void SetUp() override
  {
    if (fs::exists("/sys/class/misc/cma"))
      GTEST_SKIP() << "the module is loaded here";
  }
};

TEST_F(NoModule, StatSaysSo)
{
  EXPECT_EQ(cma({"stat"}), 1);
  EXPECT_THAT(said, HasSubstr("the module is not loaded: modprobe cma"));
  EXPECT_EQ(cma({"stat", "--count", "2"}), 2);
  EXPECT_EQ(cma({"stat", "--json", "--prometheus"}), 2);
}

TEST_F(NoModule, PsFindsNobody)
{
  EXPECT_EQ(cma({"ps"}), 0);
  EXPECT_THAT(data, IsEmpty());
  EXPECT_THAT(said, HasSubstr("no process "));
  EXPECT_EQ(cma({"ps", "--json"}), 0);
  EXPECT_EQ(json::parse(data)["processes"].size(), 0U);
  EXPECT_EQ(cma({"ps", "none"}), 2);
}

} // namespace
} // namespace cli_test
