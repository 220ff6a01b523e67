// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Correct under change: what an owner can do to its memory, kind by kind and
 * all at once, while others read and write it. Each scenario also expects that
 * what it is about did happen.
 */
#include "stage.hpp"
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
  Stage stage({.author_us = 500, .writer = true, .milliseconds = 1500});
  stage.run();
}

TEST(Change, Fork)
{
  Stage stage({.keeper = {Op::Fork}, .must = {Op::Fork}, .writer = true});
  stage.run();
}

TEST(Change, Unmap)
{
  Stage stage({.author = {Op::Unmap}, .must = {Op::Unmap}});
  stage.run();
}

TEST(Change, Remap)
{
  Stage stage({.author = {Op::Remap}, .must = {Op::Remap}});
  stage.run();
}

TEST(Change, Protect)
{
  const Ops ops = {Op::Forbid, Op::Shield};
  Stage stage({.author = ops, .must = ops, .writer = true});
  stage.run();
}

TEST(Change, DontNeed)
{
  Stage stage({.author = {Op::DontNeed}, .must = {Op::DontNeed}, .writer = true});
  stage.run();
}

TEST(Change, Free)
{
  Stage stage({.author = {Op::Free}, .must = {Op::Free}, .writer = true});
  stage.run();
}

TEST(Change, Collapse)
{
  if (!has_huge_pages())
    GTEST_SKIP() << "this kernel knows no huge pages";
  const EagerCollapse eager;
  const Ops ops = {Op::Collapse, Op::Split};
  Stage stage({.author = {Op::DontNeed}, .keeper = ops, .must = ops});
  stage.run();
}

TEST(Change, Migrate)
{
  if (numa_nodes() < 2)
    GTEST_SKIP() << "this guest has one NUMA node";
  Stage stage({.keeper = {Op::Migrate}, .must = {Op::Migrate}, .writer = true});
  stage.run();
}

TEST(Change, Swap)
{
  if (!has_swap())
    GTEST_SKIP() << "this guest has no swap";
  Stage stage({.keeper = {Op::PageOut}, .must = {Op::PageOut}, .writer = true});
  stage.run();
}

TEST(Change, Merge)
{
  const EagerMerging eager;
  if (!eager.run)
    GTEST_SKIP() << "this kernel merges no pages";
  Stage stage({.pages = 1024,
               .keeper = {Op::Merge},
               .must = {Op::Merge},
               .author_us = 60000,
               .uniform = true,
               .milliseconds = 4000});
  stage.run();
}

TEST(Change, Truncate)
{
  Stage stage({.kind = Kind::Memfd, .author = {Op::Truncate}, .must = {Op::Truncate}});
  stage.run();
}

TEST(Change, Punch)
{
  Stage stage(
      {.kind = Kind::Memfd, .author = {Op::Punch}, .must = {Op::Punch}, .writer = true});
  stage.run();
}

TEST(Change, File)
{
  Stage stage({.kind = Kind::Memfd,
               .author = {Op::Truncate, Op::Punch, Op::Unmap, Op::DontNeed, Op::Forbid},
               .keeper = {Op::Migrate, Op::PageOut},
               .writer = true});
  stage.run();
}

/// The system call by itself: what is red here is wrong with the tests.
TEST(Change, JudgedByTheSystemCall)
{
  Stage stage({.author = all_author_ops,
               .keeper = {Op::Fork, Op::Migrate, Op::PageOut, Op::Collapse, Op::Split},
               .writer = true,
               .device = false});
  stage.run();
}

TEST(Change, Everything)
{
  const EagerCollapse collapse;
  const EagerMerging merging;
  Stage stage(
      {.author = all_author_ops,
       .keeper = {Op::Fork, Op::Migrate, Op::PageOut, Op::Collapse, Op::Split, Op::Merge},
       .must = {Op::Fork, Op::Unmap, Op::Remap, Op::Forbid, Op::DontNeed, Op::Free},
       .writer = true,
       .milliseconds = 10000});
  stage.run();
}

} // namespace
} // namespace cma_test
