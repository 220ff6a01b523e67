// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The owner of a field of memory, who changes it while others copy. Runs in
 * the process that owns the field. An author changes what pages show, and says
 * so to the oracle; a mover does what leaves contents alone but moves, shares
 * or swaps the pages below them. Both may run at once, in threads of their own.
 */
#pragma once

#include "../device/support/memory.hpp"
#include "oracle.hpp"
#include "random.hpp"

#include <initializer_list>
#include <vector>

namespace cma_test {

/// A set of things that an owner does.
class Ops {
public:
  Ops() = default;
  Ops(std::initializer_list<Op> ops)
  {
    for (const Op op : ops)
      bits_ |= bit(op);
  }
  bool empty() const { return bits_ == 0; }
  bool has(Op op) const { return (bits_ & bit(op)) != 0; }
  Op pick(Random &random) const;

private:
  static uint32_t bit(Op op) { return 1U << static_cast<unsigned>(op); }
  uint32_t bits_ = 0;
};

/// Where the memory lies: at one address in every owner, far from what mmap(2) picks.
struct Field {
  static constexpr uintptr_t base = uintptr_t{1} << 40;
  size_t pages = 0;
  int file = -1;        ///< mapped shared, page by page; -1: anonymous and private
  bool uniform = false; ///< pages of one write all show the first page's words

  uint64_t *at(size_t index) const
  {
    return reinterpret_cast<uint64_t *>(base + index * page);
  }
  size_t bytes() const { return pages * page; }
};

/// A field of that kind (Anonymous or Memfd), not yet mapped.
Field make_field(Kind kind, size_t pages);
/// In the owner: maps the field, writes its first words and opens a window over it.
void settle_field(Oracle &oracle, const Field &field);

class Owner {
public:
  Owner(Oracle &oracle, const Field &field, uint64_t seed);

  /// Writes and does things of this set until the time is over.
  void author(Ops ops, unsigned pause_us);
  void move_pages(Ops ops, unsigned pause_us);

private:
  struct Run {
    size_t first;
    size_t count;
  };
  Run choose();
  Run choose_chunk();
  void pause(unsigned most_us);
  char *memory(const Claim &claim) const;

  void perform(Op op, Claim &claim);
  void write(Claim &claim);
  void map_again(Claim &claim, const std::vector<State> &before);
  void unmap_some(Claim &claim);
  bool move(Claim &claim, Claim &target);
  void remap(Claim &claim);
  void forbid(Claim &claim);
  void shield(Claim &claim);
  void dont_need(Claim &claim);
  void free_lazily(Claim &claim);
  void truncate(Claim &claim);
  void punch(Claim &claim);

  void move_one(Op op);
  void fork_child();
  [[noreturn]] void be_child(const Run &seen, const Run &written);
  void migrate();
  void page_out();
  void collapse();
  void split();
  void merge();

  Oracle &oracle_;
  Field field_;
  Random random_;
  std::vector<uint64_t> snapshot_;
  uint64_t collapsed_; ///< in the kernel's count, which khugepaged adds to
};

} // namespace cma_test
