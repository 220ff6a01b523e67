// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * An owner's field as another process sees it through mappings: by a handle of
 * the owner and by one of its window, each to read only and to write, too. All
 * threads of the process use the same mappings, so that one may map a part
 * anew in the middle of another's loads, stores and faults. What takes the
 * place of a mapping takes it at once: nobody sees a gap. Who touches what is hidden
 * tries again.
 */
#pragma once

#include "../device/support/mapping.hpp"
#include "../device/support/twin.hpp"
#include "owner.hpp"
#include "random.hpp"

#include <array>
#include <atomic>

namespace cma_test {

class Views {
public:
  Views(const Field &field, const Device &device, const Target &target);

  /// Loads or stores words of the field one by one, in order, up to the first that is
  /// not there: as a copy, gives the bytes moved, or EFAULT for none. ESRCH: the mapping
  /// itself is gone, as only a dead owner's can be.
  Outcome move(Route route, bool write, size_t first, size_t count, uint64_t *local,
               Random &random);
  /// Maps a part of the field again, or makes a part writable, or hides it, for a while;
  /// 0 or an errno.
  int change(Random &random);

private:
  struct View {
    int32_t handle;
    uint64_t base; ///< the field's place in what the handle reaches
    int protection;
    Mapping mapping;

    char *at(size_t page_index) const
    {
      return reinterpret_cast<char *>(mapping.at(page_index * page));
    }
  };
  const View &view(Route route, int protection) const;
  int hide_for_a_while(const View &view, size_t first, size_t count);
  int map_again(const View &view, size_t first, size_t count);

  size_t pages_;
  const Device &device_;
  std::array<View, 4> views_;
  std::atomic<bool> over_ = false;    ///< nothing can be mapped any more
  std::atomic<unsigned> hiding_ = 0;  ///< who has pages hidden
  std::atomic<unsigned> changed_ = 0; ///< how often that began or ended
};

} // namespace cma_test
