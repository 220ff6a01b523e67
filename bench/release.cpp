// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Each page of the owner says which one it is, and each is attached once.

#include "release.hpp"

#include "device.hpp"
#include "idle_counter.hpp"
#include "memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <xpmem.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>

namespace bench {
namespace {

enum class Way {
  kExit,      ///< of the process that has them
  kUnmap,     ///< one by one, in no order
  kOwnerExit, ///< of the process whose memory it is: they show nothing any more
  kOwnerEnds, ///< the same, and they were made by libxpmem
  kDetach,    ///< made by libxpmem; one by one, in no order
  kRelease,   ///< made by libxpmem; all at once, by xpmem_release()
};

struct Release {
  std::string made; ///< the name of their making, if that is told of
  std::string gone;
  std::size_t number;
  Way way;
};

/// Beside the attachments, those that a process has anyway.
constexpr std::size_t kOtherMappings = 1000;

using Word = std::uint64_t;

bool by_library(Way way)
{
  return way == Way::kDetach || way == Way::kRelease || way == Way::kOwnerEnds;
}

[[noreturn]] void fail(const char *what)
{
  throw std::system_error(errno, std::generic_category(), what);
}

/// A process that has attachments, one step after the other: it makes them at a
/// word, and drops them at another one.
class Mapper {
public:
  Mapper(const Release &release, const Place &from) : release_(release), from_(from)
  {
    if (pipe(words_.data()) != 0 || pipe(answers_.data()) != 0)
      fail("pipe");
    peer_ = std::make_unique<Peer>(Belongings{.bytes = kPage, .huge = false},
                                   [this](std::byte * /*memory*/) { live(); });
  }
  ~Mapper()
  {
    end();
    for (const int fd : {words_[0], words_[1], answers_[0], answers_[1]})
      close(fd);
  }
  Mapper(const Mapper &) = delete;
  Mapper(Mapper &&) = delete;
  Mapper &operator=(const Mapper &) = delete;
  Mapper &operator=(Mapper &&) = delete;

  void step() const
  {
    char good = 0;
    if (write(words_[1], &good, 1) != 1 || read(answers_[0], &good, 1) != 1)
      fail("pipe");
    if (good != 1)
      throw std::runtime_error(release_.gone + ": it failed");
  }

  void end() { peer_.reset(); }

private:
  void live()
  {
    await_word();
    if (by_library(release_.way))
      permit_ = xpmem_get(static_cast<xpmem_segid_t>(from_.window), XPMEM_RDONLY,
                          XPMEM_PERMIT_MODE, nullptr);
    else
      handle_ = device_.open_process(from_.pid);
    attachments_.reserve(release_.number);
    bool good = true;
    for (std::size_t i = 0; i < release_.number; ++i)
      good &= *attach(i) == i;
    answer(good);
    std::shuffle(attachments_.begin(), attachments_.end(), std::mt19937(1));
    await_word();
    answer(drop());
    sleep_forever(nullptr);
  }

  volatile Word *attach(std::size_t number)
  {
    auto *const remote = from_.address + number * kPage;
    void *at = nullptr;
    if (by_library(release_.way))
      at = xpmem_attach({permit_, reinterpret_cast<off_t>(remote)}, kPage, nullptr);
    else
      at = device_.map(handle_, remote, kPage, PROT_READ);
    if (at == MAP_FAILED)
      fail("xpmem_attach");
    attachments_.push_back(at);
    return static_cast<volatile Word *>(at);
  }

  bool drop()
  {
    if (release_.way == Way::kRelease)
      return xpmem_release(permit_) == 0;
    return std::ranges::all_of(attachments_, [this](void *at) {
      return (release_.way == Way::kDetach ? xpmem_detach(at) : munmap(at, kPage)) == 0;
    });
  }

  void await_word() const
  {
    char word = 0;
    if (read(words_[0], &word, 1) != 1)
      fail("pipe");
  }

  void answer(bool good) const
  {
    const char word = good ? 1 : 0;
    if (write(answers_[1], &word, 1) != 1)
      fail("pipe");
  }

  const Release &release_;
  Place from_;
  std::array<int, 2> words_{};
  std::array<int, 2> answers_{};
  Device device_;
  int handle_ = -1;
  xpmem_apid_t permit_ = -1;
  std::vector<void *> attachments_;
  std::unique_ptr<Peer> peer_;
};

std::unique_ptr<Peer> owner_of(std::size_t pages)
{
  const Belongings belongings{.bytes = pages * kPage, .huge = false, .window = true};
  return std::make_unique<Peer>(belongings, [pages](std::byte *memory) {
    for (std::size_t i = 0; i < pages; ++i)
      *reinterpret_cast<volatile Word *>(memory + i * kPage) = i;
    sleep_forever(memory);
  });
}

const char *name(Way way)
{
  switch (way) {
  case Way::kExit:
    return "exit";
  case Way::kUnmap:
    return "munmap";
  case Way::kOwnerExit:
    return "exit of the owner";
  case Way::kOwnerEnds:
    return "attached by xpmem_attach, exit of the owner";
  case Way::kDetach:
    return "xpmem_detach";
  default:
    return "xpmem_release";
  }
}

const char *name_of_making(Way way)
{
  switch (way) {
  case Way::kExit:
    return "mmap and touch";
  case Way::kDetach:
    return "xpmem_attach and touch";
  default:
    return nullptr;
  }
}

std::vector<Release> releases()
{
  std::vector<Release> list;
  for (const std::size_t number : {1'000, 10'000, 100'000})
    for (const auto way : {Way::kExit, Way::kUnmap, Way::kOwnerExit, Way::kOwnerEnds,
                           Way::kDetach, Way::kRelease}) {
      const auto prefix = std::to_string(number) + " attachments, ";
      const auto *const making = name_of_making(way);
      list.push_back({.made = making ? prefix + making : "",
                      .gone = prefix + name(way),
                      .number = number,
                      .way = way});
    }
  return list;
}

/// Instructions for all attachments together, whoever spent them, and whenever.
struct Released {
  std::uint64_t made;
  std::uint64_t gone;
};

Released count(const IdleCounter &counter, const Release &release)
{
  std::ofstream limit("/proc/sys/vm/max_map_count");
  limit << release.number + kOtherMappings << std::flush;
  if (!limit)
    throw std::runtime_error("vm.max_map_count cannot be set");
  auto owner = owner_of(release.number);
  Mapper mapper(release, owner->place(Pages::kScattered));

  Released released{};
  released.made = counter.work([&] { mapper.step(); });
  released.gone = counter.work([&] {
    if (release.way == Way::kExit)
      mapper.end();
    else if (release.way == Way::kOwnerExit || release.way == Way::kOwnerEnds)
      owner.reset();
    else
      mapper.step();
  });
  return released;
}

} // namespace

std::vector<std::string> release_names()
{
  std::vector<std::string> names;
  for (const auto &release : releases())
    for (const auto &name : {release.made, release.gone})
      if (!name.empty())
        names.push_back(name);
  return names;
}

void count_releases(const Selection &selection, Rows &rows)
{
  std::optional<IdleCounter> counter;
  for (const auto &release : releases()) {
    const auto add = [&](const std::string &name, std::uint64_t instructions) {
      if (!name.empty() && selection.wants(name))
        rows.push_back({{"case", name},
                        {"mechanism", "mapping"},
                        {"bytes", release.number * kPage},
                        {"pages", bench::name(Pages::kScattered)},
                        {"instructions", instructions},
                        {"segments", release.number},
                        {"unit", "attachment"}});
    };
    if (!selection.wants(release.made) && !selection.wants(release.gone))
      continue;
    std::cout << release.gone << std::endl;
    if (!counter)
      counter.emplace();
    const auto [made, gone] = count(*counter, release);
    add(release.made, made);
    add(release.gone, gone);
  }
}

} // namespace bench
