// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Each sample is one round of get, attach, a touch of 64 B, detach and release,
// and counts a part of it. Its segment is all of a peer's memory. By "attached before"
// the permit has attached, touched and detached the same memory three times.

#include "attach.hpp"

#include "memory.hpp"

#include <xpmem.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <system_error>

namespace bench {
namespace {

constexpr int kSamples = 15;
constexpr std::size_t kTouched = 64;

/// The process's first segment is a rarer thing than its others.
xpmem_segid_t make_own()
{
  return xpmem_make(nullptr, XPMEM_MAXADDR_SIZE, XPMEM_PERMIT_MODE,
                    reinterpret_cast<void *>(0600));
}

enum class Part { kMake, kGet, kAttach, kDetach, kUse, kRelease };

struct Case {
  std::string name;
  Part part;
  std::size_t bytes;
  int before; ///< how often the memory was attached by the permit, or made, before
};

std::vector<Case> cases()
{
  std::vector<Case> list{{"xpmem_make", Part::kMake, kPage, 1},
                         {"xpmem_make, the first", Part::kMake, kPage, 0},
                         {"xpmem_get", Part::kGet, kPage, 0}};
  for (const auto bytes : {kPage, kHugePage}) {
    const auto size = words(bytes);
    for (const int before : {3, 0}) {
      const std::string when = before != 0 ? ", attached before" : ", the first";
      list.push_back({"xpmem_attach " + size + when, Part::kAttach, bytes, before});
      list.push_back(
          {"attach, 64 B and detach " + size + when, Part::kUse, bytes, before});
      list.push_back({"xpmem_detach " + size + when, Part::kDetach, bytes, before});
      list.push_back(
          {"xpmem_release with " + size + when, Part::kRelease, bytes, before});
    }
  }
  return list;
}

void require(bool good, const char *what)
{
  if (!good)
    throw std::system_error(errno, std::generic_category(), what);
}

/// One process that shares with itself, and with a peer.
class Round {
public:
  Round(Meter &meter, const Case &wanted, const Place &from)
      : meter_(meter), wanted_(wanted), from_(from)
  {
  }

  std::uint64_t run()
  {
    if (wanted_.part == Part::kMake)
      make();
    xpmem_apid_t permit = -1;
    part(Part::kGet, [&] {
      permit = xpmem_get(static_cast<xpmem_segid_t>(from_.window), XPMEM_RDWR,
                         XPMEM_PERMIT_MODE, nullptr);
      return permit > 0;
    });
    for (int i = 0; i < wanted_.before; ++i) {
      char *const place = attach(permit);
      touch(place);
      require(xpmem_detach(place) == 0, "xpmem_detach");
    }
    use(permit);
    part(Part::kRelease, [&] { return xpmem_release(permit) == 0; });
    return counted_;
  }

private:
  void make()
  {
    const auto first = wanted_.before != 0 ? make_own() : -1;
    xpmem_segid_t own = -1;
    part(Part::kMake, [&] { return (own = make_own()) > 0; });
    require(xpmem_remove(own) == 0, "xpmem_remove");
    if (first > 0)
      xpmem_remove(first);
  }

  void use(xpmem_apid_t permit)
  {
    char *place = nullptr;
    if (wanted_.part == Part::kUse)
      return part(Part::kUse, [&] {
        place = attach(permit);
        touch(place);
        return xpmem_detach(place) == 0;
      });
    part(Part::kAttach, [&] { return (place = attach(permit)) != nullptr; });
    touch(place);
    if (wanted_.part != Part::kRelease)
      part(Part::kDetach, [&] { return xpmem_detach(place) == 0; });
  }

  char *attach(xpmem_apid_t permit) const
  {
    void *const place = xpmem_attach({permit, reinterpret_cast<off_t>(from_.address)},
                                     wanted_.bytes, nullptr);
    require(place != reinterpret_cast<void *>(-1), "xpmem_attach");
    return static_cast<char *>(place);
  }

  /// In eights, as a kernel's copy counts.
  void touch(const char *place)
  {
    for (std::size_t i = 0; i < words_.size(); ++i)
      words_[i] = reinterpret_cast<const volatile std::uint64_t *>(place)[i];
  }

  template<typename Deed>
  void part(Part which, const Deed &deed)
  {
    ssize_t good = 0;
    if (which == wanted_.part)
      counted_ = meter_.count([&]() -> ssize_t { return deed(); }, good);
    else
      good = deed();
    require(good != 0, wanted_.name.c_str());
  }

  Meter &meter_;
  const Case &wanted_;
  const Place &from_;
  std::array<volatile std::uint64_t, kTouched / 8> words_{};
  std::uint64_t counted_ = 0;
};

} // namespace

std::vector<std::string> attach_names()
{
  return names_of(cases());
}

void count_attaching(const Selection &selection, Meter &meter, Rows &rows)
{
  for (const auto &one : cases()) {
    if (!selection.wants(one.name))
      continue;
    std::cout << one.name << std::endl;
    const Peer peer({.window = true});
    const auto from = peer.place(Pages::kScattered);
    const auto instructions =
        least_of(kSamples, [&] { return Round(meter, one, from).run(); });
    rows.push_back({{"case", one.name},
                    {"mechanism", "xpmem"},
                    {"bytes", one.bytes},
                    {"pages", name(Pages::kScattered)},
                    {"instructions", instructions},
                    {"segments", 1}});
  }
}

} // namespace bench
