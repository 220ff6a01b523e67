// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What each byte may legally be. The owner's field of memory is filled with
 * words that name the write they came from and the place they belong to. An
 * Oracle, in memory shared by all processes of a scenario, holds for each page
 * of the field a history of states: what the page shows, or that it is a hole.
 *
 * Who changes a page announces the new state before the change (begin) and
 * withdraws the old one after it (end). A copy takes note of the oldest state
 * in force before it starts and of the newest announced after it ended: every
 * word that it brought must be one that a state in between allows. A word of
 * an older state is stale. Loads from a mapping, a run of them, are judged alike.
 *
 * Only one author at a time changes what a page shows: who holds the Claim on
 * its plot. Whatever leaves contents alone (fork, migration, swapping) needs
 * no claim.
 */
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace cma_test {

constexpr size_t words_per_page = 512;
constexpr size_t pages_per_plot = 16;
constexpr size_t max_pages = 8192;

/// What a page shows: words of one generation, zeros, a hole; or one of several.
class State {
public:
  State() = default;
  static State words(uint32_t generation, size_t home)
  {
    return State{uint64_t{generation} << 32 | home << 8 | has_words};
  }
  static State zeros() { return State{has_zeros}; }
  static State hole() { return State{has_hole}; }
  /// Either; at most one of them may show words.
  State operator|(State other) const { return State{bits_ | other.bits_}; }
  /// The same, on its way to another place. A copy under way may have pinned the page
  /// before it left, and then shows what is written to it there.
  State leaving() const { return State{bits_ | is_leaving}; }
  /// To who has pinned nothing, it shows what it always did until it is gone.
  State staying() const { return State{bits_ & ~is_leaving}; }

  bool may_show_words() const { return (bits_ & has_words) != 0; }
  bool may_show_zeros() const { return (bits_ & has_zeros) != 0; }
  bool may_be_hole() const { return (bits_ & has_hole) != 0; }
  uint32_t generation() const { return static_cast<uint32_t>(bits_ >> 32); }
  /// Whether the word at that index of a page is one that this state allows.
  bool may_show(uint64_t word, size_t index) const;
  /// The page whose words it shows: another one's after mremap(2).
  size_t home() const { return bits_ >> 8 & 0xffffff; }
  /// The first of the words; each one is followed by its successor.
  uint64_t first_word() const
  {
    return uint64_t{generation()} << 32 | own_tag | home() * words_per_page;
  }

  /// What marks a word as the owner's, and as written by a child of the owner.
  static constexpr uint64_t own_tag = 0xc3000000;
  static constexpr uint64_t child_tag = 0xc4000000;
  static constexpr uint64_t tag_mask = 0xff000000;

private:
  explicit State(uint64_t bits) : bits_(bits) {}
  static constexpr uint64_t has_words = 1;
  static constexpr uint64_t has_zeros = 2;
  static constexpr uint64_t has_hole = 4;
  static constexpr uint64_t is_leaving = 8;

  friend class History;
  uint64_t bits_ = 0;
};

/// The states of a page that were in force at some time between two moments.
struct Epochs {
  std::array<State, 8> states;
  size_t count = 0;

  template<class Predicate>
  bool any(const Predicate &predicate) const
  {
    for (size_t i = 0; i < count; i++)
      if (predicate(states.at(i)))
        return true;
    return false;
  }
};

/// One page's states; one author at a time.
class History {
public:
  void begin(State state)
  {
    const uint32_t next = newest_.load(std::memory_order_relaxed) + 1;
    slot(next).store(state.bits_, std::memory_order_relaxed);
    newest_.store(next, std::memory_order_seq_cst);
  }
  void end() { oldest_.store(newest_.load(), std::memory_order_seq_cst); }
  State current() const { return State{slot(newest_.load()).load()}; }
  uint32_t oldest() const { return oldest_.load(std::memory_order_seq_cst); }
  /// Since the moment at which oldest() gave this; empty if that is too long ago.
  Epochs since(uint32_t oldest) const;

private:
  static constexpr uint32_t remembered = 8;
  /// The slot after the newest state's is written to before it counts.
  static constexpr uint32_t readable = remembered - 1;
  const std::atomic<uint64_t> &slot(uint32_t epoch) const
  {
    return states_[epoch % remembered];
  }
  std::atomic<uint64_t> &slot(uint32_t epoch) { return states_[epoch % remembered]; }

  std::atomic<uint32_t> oldest_ = 0;
  std::atomic<uint32_t> newest_ = 0;
  std::array<std::atomic<uint64_t>, remembered> states_{};
};

/// What can be wrong with a copy, or with loads and stores.
enum class Wrong {
  Stale,     ///< a word of the owner's, of a state that was over before the copy began
  StaleLoad, ///< the same, loaded from a mapping
  Foreign,   ///< a word that the owner never wrote
  Leak,      ///< a child saw what was written into its parent, or the reverse
  Count,     ///< the copy ended early where nothing was missing, or late
  Error,     ///< it failed as it may not
  Kinds,
};

/// What the owner can do; the first of them are an author's.
enum class Op {
  Write,
  Unmap,
  Remap,
  Forbid,
  DontNeed,
  Free,
  Truncate,
  Punch,
  Fork,
  Migrate,
  PageOut,
  Collapse,
  Split,
  Merge,
  Shield,
  Kinds,
};
const char *name_of(Op op);

template<class Enum>
using Counters = std::array<std::atomic<uint64_t>, static_cast<size_t>(Enum::Kinds)>;

class Oracle {
public:
  /// A new oracle in shared memory; it is unmapped by release().
  static Oracle &fresh(size_t pages, unsigned milliseconds);
  void release();

  size_t pages() const { return pages_; }
  History &page(size_t index) { return histories_.at(index); }
  uint32_t new_generation() { return ++generation_; }

  /// Whether the scenario's time is not over. Where too little was done in it, on a slow
  /// or busy machine, there is more of it.
  bool running() const;
  /// Too little was done, above all, as long as this was not.
  void want(Op op) { wanted_.at(static_cast<size_t>(op)) = true; }
  /// Too little was done without loads from mappings, or without stores into them, and
  /// above all without the least of them.
  static constexpr uint64_t least_loads = 50; ///< pages
  void want_mapped(bool stores)
  {
    enough_loads_ = 1000;
    enough_stores_ = stores ? 20 : 0;
  }
  /// For a control: too little was seen as long as no copy and no load was stale.
  void want_stale() { stale_wanted_ = true; }
  void stop() { stopped_ = true; }

  void found(Wrong what, const char *format, ...) __attribute__((format(printf, 3, 4)));
  uint64_t found(Wrong what) const { return wrong_.at(static_cast<size_t>(what)); }
  /// All of them; the first few in words.
  uint64_t findings() const;
  void print_findings() const;

  void did(Op op, uint64_t times = 1) { done_.at(static_cast<size_t>(op)) += times; }
  uint64_t changes() const; ///< all that was done
  uint64_t done(Op op) const { return done_.at(static_cast<size_t>(op)); }

  /// The owner's window over the field.
  std::atomic<uint64_t> window = 0;
  /// The owner may be gone at any time, so that copies may fail.
  std::atomic<bool> mortal = false;
  /// Memory is short on purpose: a copy may fail for want of it.
  std::atomic<bool> hungry = false;
  std::atomic<unsigned> clients = 0; ///< that have begun
  std::atomic<uint64_t> copies = 0;
  std::atomic<uint64_t> judged = 0;   ///< pages
  std::atomic<uint64_t> unjudged = 0; ///< pages that changed too often meanwhile
  std::atomic<uint64_t> written = 0;  ///< pages, by copies through the device
  std::atomic<uint64_t> loaded = 0;   ///< pages judged that were read from mappings
  std::atomic<uint64_t> missed = 0;   ///< reads from mappings that SIGBUS stopped
  std::atomic<uint64_t> stored = 0;   ///< pages, through mappings
  std::atomic<uint64_t> reduced = 0;  ///< words, by the module's reductions

private:
  friend class Claim;
  Oracle() = default;

  bool few_things_done() const;
  bool wants() const;

  size_t pages_ = 0;
  int64_t end_ = 0;
  int64_t length_ = 0;
  uint64_t enough_loads_ = 0;
  uint64_t enough_stores_ = 0;
  bool stale_wanted_ = false;
  std::array<bool, static_cast<size_t>(Op::Kinds)> wanted_{};
  std::atomic<bool> stopped_ = false;
  std::atomic<uint32_t> generation_ = 0;
  Counters<Wrong> wrong_{};
  Counters<Op> done_{};
  std::atomic<size_t> told_ = 0;
  std::array<std::array<char, 256>, 6> tales_{};
  std::array<std::atomic<bool>, max_pages / pages_per_plot> claimed_{};
  std::array<History, max_pages> histories_{};
};

/// The right to change what the pages [first, first + count) show.
class Claim {
public:
  /// Takes all plots that the range touches, or none.
  Claim(Oracle &oracle, size_t first, size_t count);
  Claim(const Claim &) = delete;
  Claim &operator=(const Claim &) = delete;
  ~Claim();

  explicit operator bool() const { return taken_ > 0; }
  size_t first() const { return first_; }
  size_t count() const { return count_; }

  void begin(State state);
  /// Each page shows its own words.
  void begin_words(uint32_t generation);
  void end();
  /// The change is complete, and this is what came of it.
  void settle(State state);

private:
  void give_back();

  Oracle &oracle_;
  size_t first_;
  size_t count_;
  size_t taken_ = 0;
};

} // namespace cma_test
