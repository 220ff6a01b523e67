// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Correct under change: what an owner can do to its memory, kind by kind and
 * all at once, while others read and write it. Each scenario also expects that
 * what it is about did happen.
 */
#include "scenario.hpp"
#include "system.hpp"

#include <gtest/gtest.h>

namespace cma_test {
namespace {

const Ops all_author_ops = {Op::Unmap,  Op::Remap,    Op::Forbid,
                            Op::Shield, Op::DontNeed, Op::Free};

/// khugepaged at its quickest, for kernels that collapse by no other means.
struct EagerCollapse {
  Setting scan{"/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs",
               "20"};
  Setting pages{"/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan", "4096"};
};

struct EagerMerging {
  Setting sleep{"/sys/kernel/mm/ksm/sleep_millisecs", "10"};
  Setting pages{"/sys/kernel/mm/ksm/pages_to_scan", "2000"};
  Setting run{"/sys/kernel/mm/ksm/run", "1"};
};

TEST(Change, Nothing)
{
  Scenario scenario({.author_us = 500, .writer = true, .milliseconds = 1500});
  scenario.run();
}

TEST(Change, Fork)
{
  Scenario scenario({.mover = {Op::Fork}, .must = {Op::Fork}, .writer = true});
  scenario.run();
}

TEST(Change, Unmap)
{
  Scenario scenario({.author = {Op::Unmap}, .must = {Op::Unmap}});
  scenario.run();
}

TEST(Change, Remap)
{
  Scenario scenario({.author = {Op::Remap}, .must = {Op::Remap}});
  scenario.run();
}

TEST(Change, Protect)
{
  const Ops ops = {Op::Forbid, Op::Shield};
  Scenario scenario({.author = ops, .must = ops, .writer = true});
  scenario.run();
}

TEST(Change, DontNeed)
{
  Scenario scenario({.author = {Op::DontNeed}, .must = {Op::DontNeed}, .writer = true});
  scenario.run();
}

TEST(Change, Free)
{
  Scenario scenario({.author = {Op::Free}, .must = {Op::Free}, .writer = true});
  scenario.run();
}

TEST(Change, Collapse)
{
  if (!has_huge_pages())
    GTEST_SKIP() << "this kernel knows no huge pages";
  const EagerCollapse eager;
  const Ops ops = {Op::Collapse, Op::Split};
  Scenario scenario({.author = {Op::DontNeed}, .mover = ops, .must = ops});
  scenario.run();
}

TEST(Change, Migrate)
{
  if (numa_nodes() < 2)
    GTEST_SKIP() << "this guest has one NUMA node";
  Scenario scenario({.mover = {Op::Migrate}, .must = {Op::Migrate}, .writer = true});
  scenario.run();
}

TEST(Change, Swap)
{
  if (!has_swap())
    GTEST_SKIP() << "this guest has no swap";
  Scenario scenario({.mover = {Op::PageOut}, .must = {Op::PageOut}, .writer = true});
  scenario.run();
}

TEST(Change, Merge)
{
  const EagerMerging eager;
  if (!eager.run)
    GTEST_SKIP() << "this kernel merges no pages";
  Scenario scenario({.pages = 1024,
                     .mover = {Op::Merge},
                     .must = {Op::Merge},
                     .author_us = 60000,
                     .uniform = true,
                     .milliseconds = 4000});
  scenario.run();
}

TEST(Change, Truncate)
{
  Scenario scenario(
      {.kind = Kind::Memfd, .author = {Op::Truncate}, .must = {Op::Truncate}});
  scenario.run();
}

TEST(Change, Punch)
{
  Scenario scenario(
      {.kind = Kind::Memfd, .author = {Op::Punch}, .must = {Op::Punch}, .writer = true});
  scenario.run();
}

TEST(Change, File)
{
  Scenario scenario(
      {.kind = Kind::Memfd,
       .author = {Op::Truncate, Op::Punch, Op::Unmap, Op::DontNeed, Op::Forbid},
       .mover = {Op::Migrate, Op::PageOut},
       .writer = true});
  scenario.run();
}

/// The system call by itself: what is red here is wrong with the tests.
TEST(Change, JudgedByTheSystemCall)
{
  Scenario scenario(
      {.author = all_author_ops,
       .mover = {Op::Fork, Op::Migrate, Op::PageOut, Op::Collapse, Op::Split},
       .writer = true,
       .device = false});
  scenario.run();
}

TEST(Change, Everything)
{
  const EagerCollapse collapse;
  const EagerMerging merging;
  Scenario scenario(
      {.author = all_author_ops,
       .mover = {Op::Fork, Op::Migrate, Op::PageOut, Op::Collapse, Op::Split, Op::Merge},
       .must = {Op::Fork, Op::Unmap, Op::Remap, Op::Forbid, Op::DontNeed, Op::Free},
       .writer = true,
       .milliseconds = 10000});
  scenario.run();
}

} // namespace
} // namespace cma_test
