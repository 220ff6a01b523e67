// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma bench: that it measures what it says, proves every byte, and chooses processors as
 * it promises. The suite Bench runs anywhere, BenchDevice in a guest.
 */
#include "cli_test.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "bench_measure.hpp"
#include "bench_place.hpp"
#include "bench_topology.hpp"

namespace cli_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Bench : public Cli {
protected:
  json bench(std::vector<std::string> arguments)
  {
    arguments.insert(arguments.begin(), {"bench", "--json", "--samples", "3"});
    EXPECT_EQ(cma(arguments), 0) << said;
    return json::parse(data);
  }

  static std::set<std::string> ways_of(const json &result)
  {
    std::set<std::string> ways;
    for (const json &row : result["rows"])
      ways.insert(row["way"]);
    return ways;
  }

  static double least_of(const json &result, const std::string &way, uint64_t bytes)
  {
    for (const json &row : result["rows"])
      if (row["way"] == way && row["bytes"] == bytes)
        return row["least"];
    ADD_FAILURE() << "no " << way << " of " << bytes << " bytes";
    return 0;
  }
};

/* Two sockets, each of two nodes, each of two caches of two cores of two threads. */
std::vector<bench::Processor> large_machine()
{
  std::vector<bench::Processor> list;
  for (unsigned i = 0; i < 32; i++) {
    const auto core = static_cast<int>(i) / 2;
    list.push_back({i, core, core / 2, core / 4, core / 8});
  }
  return list;
}

TEST_F(Bench, PlacesAreWhatTheyAreCalled)
{
  using bench::choose;
  using bench::Place;
  const auto machine = large_machine();
  EXPECT_THAT(*choose(machine, Place::core, 2), ElementsAre(0, 1));
  EXPECT_THAT(*choose(machine, Place::complex, 2), ElementsAre(0, 2));
  EXPECT_THAT(*choose(machine, Place::socket, 3), ElementsAre(0, 4, 6));
  EXPECT_THAT(*choose(machine, Place::node, 2), ElementsAre(0, 8));
  EXPECT_THAT(*choose(machine, Place::across, 4), ElementsAre(0, 16, 18, 20));
  EXPECT_FALSE(choose(machine, Place::core, 3)) << "a core has two threads";
  EXPECT_FALSE(choose(machine, Place::complex, 3)) << "a cache has two cores";
  EXPECT_TRUE(choose(machine, Place::across, 9));
  EXPECT_FALSE(choose(machine, Place::across, 10)) << "two would share a core";
  EXPECT_FALSE(choose({{0, 0, -1, 0, 0}, {1, 1, -1, 0, 0}}, Place::complex, 2))
      << "nothing is known of caches";
}

TEST_F(Bench, HwlocTellsTheMachine)
{
  setenv("HWLOC_SYNTHETIC", "pack:2 l3:2 core:2 pu:2", 1);
  std::vector<bench::Processor> found;
  try {
    found = bench::Topology().processors();
  } catch (const std::runtime_error &failure) {
    unsetenv("HWLOC_SYNTHETIC");
    GTEST_SKIP() << failure.what();
  }
  unsetenv("HWLOC_SYNTHETIC");
  ASSERT_EQ(found.size(), 16U);
  using bench::Place;
  EXPECT_THAT(*bench::choose(found, Place::core, 2), ElementsAre(0, 1));
  EXPECT_THAT(*bench::choose(found, Place::complex, 2), ElementsAre(0, 2));
  EXPECT_THAT(*bench::choose(found, Place::socket, 2), ElementsAre(0, 4));
  EXPECT_THAT(*bench::choose(found, Place::across, 2), ElementsAre(0, 8));
  EXPECT_FALSE(bench::choose(found, Place::node, 2)) << "a node is a socket here";
}

TEST_F(Bench, QuantilesLieBetweenSamples)
{
  const std::vector<double> samples = {1, 2, 3, 10};
  EXPECT_DOUBLE_EQ(bench::quantile(samples, 0), 1);
  EXPECT_DOUBLE_EQ(bench::quantile(samples, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(bench::quantile(samples, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(bench::quantile(samples, 1), 10);
  EXPECT_DOUBLE_EQ(bench::quantile({7}, 0.75), 7);
}

TEST_F(Bench, MeasuresWhatNeedsNoDevice)
{
  setenv("CMA_DEVICE", "/nowhere", 1);
  const json result = bench({"--sizes", "64,64K"});
  unsetenv("CMA_DEVICE");
  EXPECT_THAT(ways_of(result),
              UnorderedElementsAre("process_vm", "double_copy", "memcpy"));
  EXPECT_EQ(result["rows"].size(), 6U);
  EXPECT_EQ(result["left_out"].size(), 4U);
  for (const json &one : result["left_out"])
    EXPECT_THAT(one["why"].get<std::string>(), HasSubstr("modprobe")) << one;
  for (const json &row : result["rows"]) {
    EXPECT_GE(row["quarter"], row["least"]);
    EXPECT_GE(row["nanoseconds"], row["quarter"]);
    EXPECT_GE(row["three_quarters"], row["nanoseconds"]);
    const double seconds = row["nanoseconds"].get<double>() / 1e9;
    EXPECT_NEAR(row["gigabytes_per_second"], row["bytes"].get<double>() / seconds / 1e9,
                1e-6);
  }
  /* Facts of every machine, if not of each of its moments: a system call takes longer
   * than copying some bytes, and more bytes than fewer. What two processes take turns at
   * is for a loaded machine to decide. */
  EXPECT_GT(least_of(result, "process_vm", 64), 2 * least_of(result, "memcpy", 64));
  for (const char *way : {"process_vm", "memcpy"})
    EXPECT_GT(least_of(result, way, 65536), least_of(result, way, 64));
}

TEST_F(Bench, ReadersReadAtOnceIntoMemoryOfTheirOwn)
{
  const json result = bench({"--sizes", "1K", "--readers", "1,3", "--place", "any",
                             "--ways", "double_copy,memcpy,process_vm"});
  std::set<int> readers;
  for (const json &row : result["rows"])
    readers.insert(row["readers"].get<int>());
  EXPECT_THAT(readers, ElementsAre(1, 3));
  EXPECT_EQ(result["rows"].size(), 6U);
}

TEST_F(Bench, WalksThroughTheSpanInWholeRounds)
{
  const json result =
      bench({"--sizes", "100", "--span", "10000", "--ways", "process_vm,memcpy"});
  for (const json &row :
       result["rows"]) /* 78 stretches of 128 bytes, the last one shorter */
    EXPECT_EQ(row["copies_in_a_sample"].get<int>() % 78, 0) << row;
}

/* A library before the C library's, whose process_vm_readv gets one byte wrong. */
TEST_F(Bench, AWrongByteIsSeen)
{
  setenv("LD_PRELOAD", CLI_WRONG_BYTE, 1);
  const int status = cma({"bench", "--samples", "1", "--sizes", "4K"});
  unsetenv("LD_PRELOAD");
  EXPECT_EQ(status, 1);
  EXPECT_THAT(said, HasSubstr("process_vm, 4096 bytes: the bytes that arrived are not"));
  EXPECT_THAT(data, IsEmpty());
}

TEST_F(Bench, TheTableSaysWhatMemcpyLeavesToGain)
{
  EXPECT_EQ(cma({"bench", "--samples", "1", "--sizes", "4K"}), 0) << said;
  EXPECT_THAT(data, HasSubstr("process_vm"));
  EXPECT_THAT(data, HasSubstr("ceiling"));
  EXPECT_THAT(data, HasSubstr("4 KiB"));
  EXPECT_THAT(data, testing::ContainsRegex("[0-9]+\\.[0-9][0-9]x"));
}

TEST_F(Bench, DrawsAChartOrSaysWhyNot)
{
  const std::string chart = directory / "chart.svg";
  const bool gnuplot = std::system("command -v gnuplot >/dev/null") == 0;
  EXPECT_EQ(cma({"bench", "--samples", "1", "--sizes", "64,4K", "--chart", chart}), 0)
      << said;
  if (gnuplot) {
    EXPECT_THAT(text_of(chart), HasSubstr("process_vm"));
    EXPECT_THAT(text_of(chart), HasSubstr("memcpy, the ceiling"));
  }
  fs::remove(chart);
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  EXPECT_EQ(cma({"bench", "--samples", "1", "--sizes", "64", "--chart", chart}), 0);
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(said, HasSubstr("gnuplot is not installed"));
  EXPECT_FALSE(fs::exists(chart));
}

TEST_F(Bench, RefusesWhatCannotBe)
{
  EXPECT_EQ(cma({"bench", "--sizes", "0"}), 2);
  EXPECT_EQ(cma({"bench", "--sizes", "many"}), 2);
  EXPECT_EQ(cma({"bench", "--sizes", "4K", "--span", "64"}), 2);
  EXPECT_EQ(cma({"bench", "--ways", "telepathy"}), 2);
  EXPECT_EQ(cma({"bench", "--processors", "0"}), 2);
  EXPECT_EQ(cma({"bench", "--processors", "0,8191", "--sizes", "64"}), 1);
  EXPECT_THAT(said, HasSubstr("processor 8191"));
  EXPECT_EQ(cma({"bench", "--chart", "x.jpeg", "--sizes", "64"}), 2);
  EXPECT_EQ(cma({"bench", "--node", "4095", "--sizes", "64"}), 1);
}

using BenchDevice = Bench;

TEST_F(BenchDevice, MeasuresEveryWay)
{
  const json result = bench({"--sizes", "64,256K"});
  EXPECT_THAT(result["left_out"], IsEmpty()) << result["left_out"];
  EXPECT_THAT(ways_of(result),
              UnorderedElementsAre("process_vm", "pid", "handle", "window", "mapping",
                                   "double_copy", "memcpy"));
  EXPECT_EQ(result["rows"].size(), 14U);
  EXPECT_FALSE(result["machine"]["module"].is_null());
}

TEST_F(BenchDevice, MeasuresManyToOne)
{
  const json result = bench({"--sizes", "64K", "--readers", "4", "--place", "any"});
  EXPECT_EQ(result["rows"].size(), 7U) << result;
}

} // namespace
} // namespace cli_test
