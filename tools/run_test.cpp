// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * cma run: what it becomes, what it preloads, and what it says of programs that take no
 * part.
 */
#include "cli_test.hpp"

#include <elf.h>

namespace cli_test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class CliRun : public Cli {
protected:
  /* A program's file of this test's own. */
  std::string program(const std::string &content)
  {
    std::string path = directory / "program";
    std::ofstream(path) << content;
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
};

TEST_F(CliRun, BecomesTheCommand)
{
  EXPECT_EQ(cma({"run", "--", "sh", "-c", "exit 5"}), 5);
  EXPECT_EQ(cma({"run", "sh", "-c", "kill -9 $$"}), -9);
  EXPECT_EQ(cma({"run", "/no/such/command"}), 127);
  EXPECT_EQ(cma({"run", "no-such-command"}), 127);
  EXPECT_EQ(cma({"run", "/"}), 126);
  EXPECT_EQ(cma({"run", "cat"}, "its input"), 0);
  EXPECT_EQ(data, "its input");
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(CliRun, LeavesArgumentsAlone)
{
  EXPECT_EQ(cma({"run", "printf", "%s,", "--verbose", "--", "info"}), 0);
  EXPECT_EQ(data, "--verbose,--,info,");
}

TEST_F(CliRun, AddsToWhatIsPreloaded)
{
  const char *print = "printf %s \"$LD_PRELOAD\"";
  EXPECT_EQ(cma({"run", "sh", "-c", print}), 0);
  EXPECT_THAT(data, EndsWith("/libcma-process-vm.so"));
  std::string alone = data;
  setenv("LD_PRELOAD", "libc.so.6", 1);
  EXPECT_EQ(cma({"run", "sh", "-c", print}), 0);
  unsetenv("LD_PRELOAD");
  EXPECT_EQ(data, "libc.so.6:" + alone);
}

TEST_F(CliRun, HandsItsPolicyOn)
{
  const char *print = "printf %s \"${CMA_RUN_POLICY-none}\"";
  setenv("CMA_RUN_POLICY", "window", 1); // of a cma run around this one
  EXPECT_EQ(cma({"run", "sh", "-c", print}), 0);
  unsetenv("CMA_RUN_POLICY");
  EXPECT_EQ(data, "none");
  for (const char *policy : {"consent", "window"}) {
    EXPECT_EQ(cma({"run", "--policy", policy, "sh", "-c", print}), 0);
    EXPECT_EQ(data, policy);
  }
  EXPECT_EQ(cma({"run", "--policy", "everybody", "true"}), 2);
  EXPECT_THAT(said, HasSubstr("window"));
}

TEST_F(CliRun, SaysWhatServes)
{
  EXPECT_EQ(cma({"run", "--verbose", "true"}), 0);
  EXPECT_THAT(said, HasSubstr("libcma-process-vm.so"));
  EXPECT_THAT(said, testing::ContainsRegex("/dev/cma serves|without the device: ."));
}

TEST_F(CliRun, MissesItsLibrary)
{
  fs::copy(cma_program(), directory / "cma");
  Running running({"run", "true"}, -1, directory / "cma");
  EXPECT_EQ(running.finish(), 1);
  EXPECT_THAT(running.said, HasSubstr("libcma-process-vm.so is in neither"));
}

TEST_F(CliRun, NamesAStaticProgram)
{
  EXPECT_EQ(cma({"run", CLI_STATIC}), 7);
  EXPECT_THAT(said, AllOf(HasSubstr(CLI_STATIC), HasSubstr("is linked statically"),
                          HasSubstr("takes no part")));
}

TEST_F(CliRun, NamesTheInterpreterOfAScript)
{
  EXPECT_EQ(cma({"run", program("#!" CLI_STATIC " --option\n")}), 7);
  EXPECT_THAT(said,
              HasSubstr("is a script of " CLI_STATIC ", which is linked statically"));
  EXPECT_EQ(cma({"run", program("#! /bin/sh\nexit 3\n")}), 3);
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(CliRun, NamesAProgramOfMoreRights)
{
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can give a file away";
  std::string path = directory / "program";
  fs::copy(fs::canonical("/bin/true"), path);
  for (mode_t mode : {04755, 02755}) {
    ASSERT_EQ(chown(path.c_str(), 65534, 65534) | chmod(path.c_str(), mode), 0);
    EXPECT_EQ(cma({"run", path}), 0);
    EXPECT_THAT(said, HasSubstr("more rights than its caller has"));
  }
  ASSERT_EQ(chown(path.c_str(), 0, 0) | chmod(path.c_str(), 06755), 0);
  EXPECT_EQ(cma({"run", path}), 0);
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(CliRun, NamesAProgramOfAnotherClass)
{
  Elf32_Ehdr header = {};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  Elf32_Phdr interpreter = {};
  interpreter.p_type = PT_INTERP;
  std::string file(reinterpret_cast<char *>(&header), sizeof(header));
  file.append(reinterpret_cast<char *>(&interpreter), sizeof(interpreter));
  EXPECT_NE(cma({"run", program(file)}), 0);
  EXPECT_THAT(said, HasSubstr("is a 32-bit program"));
  EXPECT_NE(cma({"run", program(file.substr(0, 40))}), 0);
  EXPECT_THAT(said, Not(HasSubstr("takes no part"))) << "cut short, it is no program";
}

TEST_F(CliRun, StartsASanitizedProgram)
{
#ifdef CLI_SANITIZED
  EXPECT_EQ(cma({"run", CLI_SANITIZED}), 7);
  EXPECT_THAT(said, IsEmpty());
  setenv("ASAN_OPTIONS", "exitcode=9:verify_asan_link_order=1", 1);
  EXPECT_NE(cma({"run", CLI_SANITIZED}), 7) << "the user wanted it so";
  unsetenv("ASAN_OPTIONS");
#else
  GTEST_SKIP() << "no AddressSanitizer here";
#endif
}

} // namespace
} // namespace cli_test
