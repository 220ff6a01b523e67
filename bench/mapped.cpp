// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Each touch that counts is one of a peer that was made for it, whose layout is
// proven, through a mapping that was made for it.
//
// All pages are touched, not only one: however many a fault maps, it is their
// first touch that is counted, and nothing is left for later.

#include "mapped.hpp"

#include "device.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace bench {
namespace {

/// What the module knows of the memory when a mapping of it is first touched.
enum class Seen {
  kNothing, ///< the process is new
  kProcess, ///< other memory of the process was mapped, and touched
  kMemory,  ///< this memory was, by a mapping that is gone
};

enum class Access {
  kReadOnly, ///< mapped for reading, and read
  kRead,     ///< mapped for writing, too, and read
  kWritten,  ///< the same, and written
};

/// Every page of a fresh mapping touched once, in the order of their addresses.
struct Touch {
  std::string name;
  std::size_t bytes = kHugePage; ///< from the beginning of 2 MiB of the peer's on
  Pages pages = Pages::kScattered;
  Access access = Access::kReadOnly;
  Seen seen = Seen::kMemory;
  bool populate = false; ///< before that: it counts, and so does mmap()
};

struct Touched {
  std::uint64_t instructions; ///< all pages together
  long faults;
};

constexpr int kSamples = 5;

/// Maps whole pages of a peer.
class Mapping {
public:
  Mapping(const Device &device, int handle, const std::byte *remote, std::size_t bytes,
          int rights)
      : bytes_(bytes),
        address_(static_cast<std::byte *>(device.map(handle, remote, bytes, rights)))
  {
  }
  ~Mapping() { munmap(address_, bytes_); }
  Mapping(const Mapping &) = delete;
  Mapping(Mapping &&) = delete;
  Mapping &operator=(const Mapping &) = delete;
  Mapping &operator=(Mapping &&) = delete;

  [[nodiscard]] std::byte *address() const { return address_; }

private:
  std::size_t bytes_;
  std::byte *address_;
};

using Word = std::uint64_t;

/// What is written to a page, and nobody else has there.
constexpr Word kMark = 0x6d61726b65642121;

volatile Word &word_of_page(const std::byte *address, std::size_t page)
{
  return *reinterpret_cast<volatile Word *>(
      const_cast<std::byte *>(address + page * kPage));
}

/// @return the sum of the first word of each page
Word read_pages(const std::byte *address, std::size_t bytes)
{
  Word sum = 0;
  for (std::size_t page = 0; page < bytes / kPage; ++page)
    sum += word_of_page(address, page);
  return sum;
}

/// Changes the first word of each page.
void write_pages(std::byte *address, std::size_t bytes)
{
  for (std::size_t page = 0; page < bytes / kPage; ++page)
    word_of_page(address, page) = kMark;
}

ssize_t touch_pages(std::byte *address, std::size_t bytes, Access access)
{
  if (access != Access::kWritten)
    return static_cast<ssize_t>(read_pages(address, bytes));
  write_pages(address, bytes);
  return 0;
}

int rights_of(Access access)
{
  return access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
}

/// One that was tried again counts as a major one.
long all_faults()
{
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

using Contents = std::vector<std::byte>;

/// @return bytes that are others each time
Contents noise(std::size_t bytes)
{
  static std::mt19937_64 random(1);
  std::vector<Word> words(bytes / sizeof(Word));
  std::ranges::generate(words, random);
  const auto list = std::as_bytes(std::span(words));
  return {list.begin(), list.end()};
}

/// A peer, and what the module shall know of it.
class PreparedPeer {
public:
  explicit PreparedPeer(const Touch &touch)
      : touch_(touch), handle_(device_.open_process(peer_.place(touch.pages).pid)),
        contents_(noise(kHugePage))
  {
    for (const auto pages : {Pages::kScattered, Pages::kHuge})
      prove_layout(peer_.place(pages), pages);
    inspector_.put({{whole_}}, contents_);
    if (touch.seen == Seen::kProcess)
      touch_once(peer_.place(other_pages()).address, kPage);
    if (touch.seen == Seen::kMemory)
      touch_once(remote(), touch.bytes);
  }

  Touched sample(Meter &meter)
  {
    const bool populate = touch_.populate;
    std::optional<Mapping> mapping;
    const auto map = [&] {
      mapping.emplace(device_, handle_, remote(), touch_.bytes, rights_of(touch_.access));
      if (populate)
        device_.populate(mapping->address(), touch_.bytes);
    };
    if (!populate)
      map();
    ssize_t result = 0;
    const auto faults = all_faults();
    const auto instructions = meter.count(
        [&] {
          if (populate)
            map();
          return touch_pages(mapping->address(), touch_.bytes, touch_.access);
        },
        result);
    const Touched touched{instructions, all_faults() - faults};
    prove(mapping->address(), result);
    return touched;
  }

private:
  [[nodiscard]] Pages other_pages() const
  {
    return touch_.pages == Pages::kHuge ? Pages::kScattered : Pages::kHuge;
  }

  [[nodiscard]] std::byte *remote() const { return peer_.place(touch_.pages).address; }

  void touch_once(std::byte *remote, std::size_t bytes) const
  {
    const Mapping mapping(device_, handle_, remote, bytes, rights_of(touch_.access));
    touch_pages(mapping.address(), bytes, touch_.access);
    inspector_.put({{whole_}}, contents_);
  }

  /// What was touched is the peer's, and so is all else that is mapped.
  void prove(std::byte *address, ssize_t result) const
  {
    auto expected = contents_;
    if (touch_.access == Access::kWritten)
      write_pages(expected.data(), touch_.bytes);
    else if (result != static_cast<ssize_t>(read_pages(expected.data(), touch_.bytes)))
      throw std::runtime_error(touch_.name + ": what was read is not the peer's");
    if (inspector_.get({{whole_}}) != expected)
      throw std::runtime_error(touch_.name + ": the peer does not have what it should");
    if (std::memcmp(address, expected.data(), touch_.bytes) != 0)
      throw std::runtime_error(touch_.name + ": what is mapped is not the peer's");
  }

  Touch touch_;
  Peer peer_;
  Device device_;
  int handle_;
  Contents contents_;
  Inspector inspector_{peer_.place(touch_.pages).pid};
  iovec whole_{peer_.place(touch_.pages).address, kHugePage};
};

const char *name(Access access)
{
  switch (access) {
  case Access::kReadOnly:
    return "read-only";
  case Access::kRead:
    return "read-write, read";
  default:
    return "read-write, written";
  }
}

const char *name(Seen seen)
{
  switch (seen) {
  case Seen::kNothing:
    return ", first contact";
  case Seen::kProcess:
    return ", new memory";
  default:
    return "";
  }
}

Touch named(Touch touch)
{
  touch.name = (touch.populate ? "populate " : "touch ") + words(touch.bytes) + " " +
               name(touch.pages) + " " + name(touch.access) + name(touch.seen);
  return touch;
}

/// All segments of one side within one mapping.
struct Mapped {
  Mapped(const Device &device, int handle, const Transfer &transfer)
      : first(static_cast<std::byte *>(transfer.remote.front().iov_base)),
        mapping(device, handle, first, rounded(transfer.remote),
                rights_of(transfer.write ? Access::kWritten : Access::kReadOnly)),
        moved(transfer)
  {
    for (auto &segment : moved.remote)
      segment.iov_base =
          mapping.address() + (static_cast<std::byte *>(segment.iov_base) - first);
  }

  static std::size_t rounded(const std::vector<iovec> &segments)
  {
    const auto *const begin = static_cast<std::byte *>(segments.front().iov_base);
    const auto *const end =
        static_cast<std::byte *>(segments.back().iov_base) + segments.back().iov_len;
    return (static_cast<std::size_t>(end - begin) + kPage - 1) / kPage * kPage;
  }

  std::byte *first;
  Mapping mapping;
  Transfer moved; ///< the peer's segments are the mapping's
};

std::vector<Touch> touches()
{
  std::vector<Touch> list;
  for (const auto pages : {Pages::kScattered, Pages::kHuge})
    for (const bool populate : {false, true})
      for (const auto access : {Access::kReadOnly, Access::kRead, Access::kWritten})
        for (const auto seen : {Seen::kMemory, Seen::kProcess, Seen::kNothing})
          list.push_back(named({.name = {},
                                .pages = pages,
                                .access = access,
                                .seen = seen,
                                .populate = populate}));
  for (const std::size_t pages : {1, 16})
    for (const auto seen : {Seen::kMemory, Seen::kProcess})
      list.push_back(named({.name = {},
                            .bytes = pages * kPage,
                            .access = Access::kWritten,
                            .seen = seen}));
  return list;
}

/// @return the least of several; each is proven to show, or change, the peer's bytes
Touched count(Meter &meter, const Touch &touch)
{
  std::optional<Touched> least;
  for (int i = 0; i < kSamples; ++i) {
    const auto touched = PreparedPeer(touch).sample(meter);
    if (!least || touched.instructions < least->instructions)
      least = touched;
  }
  return *least;
}

} // namespace

std::vector<std::string> touch_names()
{
  return names_of(touches());
}

void count_touches(const Selection &selection, Meter &meter, Rows &rows)
{
  for (const auto &touch : touches()) {
    if (!selection.wants(touch.name))
      continue;
    std::cout << touch.name << std::endl;
    const auto [instructions, faults] = count(meter, touch);
    rows.push_back({{"case", touch.name},
                    {"mechanism", "mapping"},
                    {"bytes", touch.bytes},
                    {"pages", name(touch.pages)},
                    {"instructions", instructions},
                    {"segments", touch.bytes / kPage},
                    {"unit", "page"},
                    {"known", touch.seen != Seen::kNothing},
                    {"faults", faults}});
  }
}

Mechanism mapping()
{
  return {.name = "mapping", .prepare = [](const Transfers &transfers, Contact) {
            std::vector<Call> calls;
            std::ranges::transform(
                transfers, std::back_inserter(calls), [](const auto &transfer) -> Call {
                  const Device device; // a mapping outlives it
                  const auto mapped = std::make_shared<Mapped>(
                      device, device.open_process(transfer.pid), transfer);
                  return [mapped] { return copy_segments(mapped->moved); };
                });
            return calls;
          }};
}

} // namespace bench
