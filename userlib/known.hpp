// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Which peers the module is to know by pid, as far as a process can tell by itself.
//
// The module's first copy from a peer costs several times what process_vm_readv(2)
// takes, and gains nothing that one call could win back; only later ones do. So the
// system call makes the first copies from each peer, with the same result, and each
// brings the peer credit: about what it would have saved by the module. Once that is
// what it costs to make the module know the peer, the module is asked; and from then
// on with CMA_COPY_KNOWN, by which it says so if it does not know the peer (any more).
//
// The table is a hint: two threads may lose each other's credit, and two peers may
// take each other's place, which then go by the system call for longer. Nothing is
// written once a peer is known. No byte of it need be initialized but by zeros.
#ifndef CMA_USERLIB_KNOWN_HPP
#define CMA_USERLIB_KNOWN_HPP

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace cma {

// Errors that mean the same from the device and from the system calls. EPERM is not among
// them: a refusal can come from elsewhere (seccomp(2)), and in cases the module knows to
// be judged too strictly.
constexpr bool is_same_error(long error)
{
  return error == -EINVAL || error == -EFAULT || error == -ESRCH || error == -ENOMEM ||
         error == -EINTR;
}

class Known {
  using Slot = std::atomic<std::uint64_t>;

public:
  // Whether the module was made to know the peer.
  [[nodiscard]] bool has(std::int32_t pid) const
  {
    const Slot *set = set_of(pid);
    const std::uint64_t whole = word(pid, known);
    for (std::size_t i = 0; i < ways; i++) {
      const std::uint64_t here = set[i].load(std::memory_order_relaxed);
      if (here == whole || here == 0)
        return here != 0;
    }
    return false;
  }

  // What there is on one peer. Another may get its place at any time.
  class Entry {
  public:
    // Whether a copy of so many bytes, as far as that is known beforehand, is worth
    // making the peer known.
    [[nodiscard]] bool is_due(std::size_t bytes = 0) const
    {
      return bytes >= worth_at_once || word_ >= word(0, price);
    }

    // The system call moved so many bytes, at most as many as one can. The peer was not
    // due, so that no sum reaches what is known.
    void credit(std::size_t bytes) { set(word_ + word(0, 1 + bytes / bytes_a_credit)); }

    // The module has made a copy, and was not told that it must know the peer.
    void learn() { set(word_ | word(0, known)); }

    void forget()
    {
      if (word_ >= word(0, 1))
        set(word_ & word(-1, 0));
    }

  private:
    friend class Known;
    Entry(Slot &slot, std::uint64_t word) : slot_(slot), word_(word) {}

    void set(std::uint64_t word)
    {
      word_ = word;
      slot_.store(word, std::memory_order_relaxed);
    }

    Slot &slot_;
    std::uint64_t word_; // the peer's; as it was in the slot, or to put there
  };

  // The peer's, or else in the place of the one in its set that has least.
  [[nodiscard]] Entry entry_of(std::int32_t pid)
  {
    Slot *set = set_of(pid);
    Slot *least = set;
    for (std::size_t i = 0; i < ways; i++) {
      const std::uint64_t here = set[i].load(std::memory_order_relaxed);
      if (here == 0) // never taken; what was taken once is never free again
        return {set[i], word(pid, 0)};
      if (static_cast<std::int32_t>(here) == pid)
        return {set[i], here};
      if (here >> 32 < least->load(std::memory_order_relaxed) >> 32)
        least = &set[i];
    }
    return {*least, word(pid, 0)};
  }

private:
  // In copies of a few bytes: some 1,900 instructions each against 50,000 and more.
  static constexpr std::uint64_t price = 24;
  static constexpr std::uint64_t known = 0xffffffff;
  // As many bytes save once more as much as a copy of a few.
  static constexpr std::size_t bytes_a_credit = 8192;
  // One copy of so much wins it all back.
  static constexpr std::size_t worth_at_once = 512 << 10;

  // Ranks are neighbours by pid, and so each finds a set to itself.
  static constexpr std::size_t sets = 4096;
  static constexpr std::size_t ways = 4;

  static constexpr std::uint64_t word(std::int32_t pid, std::uint64_t state)
  {
    return state << 32 | static_cast<std::uint32_t>(pid);
  }

  [[nodiscard]] Slot *set_of(std::int32_t pid)
  {
    return &slots_[static_cast<std::uint32_t>(pid) % sets * ways];
  }
  [[nodiscard]] const Slot *set_of(std::int32_t pid) const
  {
    return &slots_[static_cast<std::uint32_t>(pid) % sets * ways];
  }

  Slot slots_[sets * ways];
};

} // namespace cma

#endif
