// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The handles of the system-call backend: a fixed table, used without a lock.
//
// A slot's word holds a count of users and whether the handle is open. An open
// handle is a user of its own slot; so is every copy under way. Only the last user
// closes the descriptor, after which the slot is free: its word is 0. Whoever
// counts as a user may read pid and memory; only who took a free slot writes them,
// before the slot is open.
#ifndef CMA_USERLIB_HANDLES_HPP
#define CMA_USERLIB_HANDLES_HPP

#include "sys.hpp"
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace cma {

class Handles {
public:
  static constexpr int capacity = 4096;

  class Slot {
  public:
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] int memory() const { return memory_; }

    // Become a user; false if the slot is not open.
    bool acquire()
    {
      auto state = state_.load(std::memory_order_relaxed);
      do {
        if ((state & open_bit) == 0)
          return false;
      } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire,
                                             std::memory_order_relaxed));
      return true;
    }

    void release()
    {
      const int memory = memory_;
      if (state_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        sys::close(memory);
    }

  private:
    friend class Handles;

    static constexpr std::uint32_t open_bit = 1U << 31;

    bool take(pid_t pid, int memory)
    {
      std::uint32_t free = 0;
      if (!state_.compare_exchange_strong(free, 1, std::memory_order_acquire))
        return false;
      pid_ = pid;
      memory_ = memory;
      state_.store(open_bit | 1, std::memory_order_release);
      return true;
    }

    bool close()
    {
      if ((state_.fetch_and(~open_bit, std::memory_order_relaxed) & open_bit) == 0)
        return false;
      release();
      return true;
    }

    std::atomic<std::uint32_t> state_;
    pid_t pid_;
    int memory_;
  };

  Handles() = default;
  Handles(const Handles &) = delete;
  Handles &operator=(const Handles &) = delete;

  ~Handles()
  {
    for (int i = 0; slots_ != nullptr && i < capacity; i++)
      slots_[i].close();
    std::free(slots_);
  }

  // Returns 0 or -ENOMEM.
  int create()
  {
    slots_ = static_cast<Slot *>(std::calloc(capacity, sizeof(Slot)));
    return slots_ != nullptr ? 0 : -ENOMEM;
  }

  // Owns the descriptor if it succeeds. Returns the handle or -ENOSPC.
  int add(pid_t pid, int memory) const
  {
    for (int i = 0; i < capacity; i++)
      if (slots_[i].take(pid, memory))
        return i + 1;
    return -ENOSPC;
  }

  int close(int handle) const
  {
    return valid(handle) && slots_[handle - 1].close() ? 0 : -ENOENT;
  }

  // The caller is a user of the slot, and releases it. Returns nullptr for none.
  [[nodiscard]] Slot *acquire(int handle) const
  {
    return valid(handle) && slots_[handle - 1].acquire() ? &slots_[handle - 1] : nullptr;
  }

private:
  static bool valid(int handle) { return handle > 0 && handle <= capacity; }

  Slot *slots_ = nullptr;
};

} // namespace cma

#endif
