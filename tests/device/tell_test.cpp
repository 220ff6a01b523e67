// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What the mapper of a window learns of where its owner has the memory, which
 * randomisation hides: nothing, in /proc/self/maps and its like. The owner's
 * memory lies where no mapping of the mapper's is, so that a number from there
 * can come from nowhere else.
 */
#include "support/map_fixture.hpp"
#include "support/persona.hpp"
#include "support/window.hpp"

#include <bit>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace cma_test {
namespace {

/// Odd within 2 MB, and far from all that the kernel places by itself.
constexpr uintptr_t place = 0x234567'930000;
constexpr size_t length = 3 * huge_page;
/// Numbers as near as this tell of the place.
constexpr uintptr_t near = uintptr_t{1} << 34;

/// Whether a number is the place's, as an address or as the number of a page.
bool tells(uint64_t number)
{
  for (const int shift : {0, std::countr_zero(page)}) {
    const uint64_t there = place >> shift;
    const uint64_t far = near >> shift;
    if (number > there - far && number < there + far)
      return true;
  }
  return false;
}

/// The first word with a number that tells, by hexadecimal and by decimal digits.
std::string first_that_tells(const std::string &text)
{
  const char *hexadecimal = "0123456789abcdefABCDEF";
  size_t at = 0;
  while ((at = text.find_first_of(hexadecimal, at)) != std::string::npos) {
    size_t end = text.find_first_not_of(hexadecimal, at);
    end = end == std::string::npos ? text.size() : end;
    const std::string word = text.substr(at, end - at);
    if (word.size() <= 16 && (tells(strtoull(word.c_str(), nullptr, 16)) ||
                              tells(strtoull(word.c_str(), nullptr, 10))))
      return word;
    at = end;
  }
  return {};
}

/// All that a process can read of its mappings.
std::string picture()
{
  std::ostringstream all;
  for (const char *name : {"maps", "smaps", "numa_maps"})
    all << std::ifstream(std::string("/proc/self/") + name).rdbuf() << '\n';
  std::error_code error;
  for (const auto &entry :
       std::filesystem::directory_iterator("/proc/self/map_files", error)) {
    all << entry.path().filename().string() << '\n';
    all << std::filesystem::read_symlink(entry.path(), error).string() << '\n';
  }
  return all.str();
}

/// The offset column of the mapping that begins there, or -1.
int64_t offset_of(uintptr_t address)
{
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long start = 0;
    unsigned long offset = 0;
    if (sscanf(line.c_str(), "%lx-%*x %*s %lx", &start, &offset) == 2 && start == address)
      return static_cast<int64_t>(offset);
  }
  return -1;
}

/// In the mapper: whatever it can read tells nothing; else a word of it that does.
void expect_silence(const char *when)
{
  const std::string word = first_that_tells(picture());
  if (!word.empty()) {
    const std::string message = std::string(when) + ": " + word + " tells";
    give_up(message.c_str());
  }
}
void expect_offset(uintptr_t address, uint64_t offset, const char *when)
{
  const int64_t found = offset_of(address);
  if (found != static_cast<int64_t>(offset)) {
    std::array<char, 200> message;
    snprintf(message.data(), message.size(), "%s: the offset is %lx in place of %lx",
             when, static_cast<long>(found), static_cast<long>(offset));
    give_up(message.data());
  }
}

class MapTells : public testing::Test {
protected:
  void SetUp() override
  {
    // What the owner has there the mapper, which was forked before, has not.
    mapper.emplace([] { become(bob); });
    owner.emplace([] {
      void *at = mmap(reinterpret_cast<void *>(place), length, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
      require(at == reinterpret_cast<void *>(place), "memory at the place");
      memset(at, 0x5a, length);
      become(alice);
    });
  }

  int64_t window(uintptr_t base, uint64_t size)
  {
    return owner->call([=] {
      static const Device device;
      return create_window(device, base, size, 0666).result;
    });
  }

  std::optional<Peer> mapper;
  std::optional<Peer> owner;
};

/// In the mapper: a mapping of the window that lasts, with every page touched.
uintptr_t map_window(int64_t name, uint64_t offset, size_t size)
{
  static const Device device;
  const Outcome handle = open_window(device, name);
  require(handle.error == 0, "CMA_IOC_OPEN");
  void *at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, device.fd(),
                  static_cast<off_t>(CMA_MAP_OFFSET(handle.result, offset)));
  require(at != MAP_FAILED, "mmap");
  for (size_t i = 0; i < size; i += page)
    require(static_cast<volatile uint8_t *>(at)[i] == 0x5a, "the owner's byte");
  return reinterpret_cast<uintptr_t>(at);
}

/// The test would see an owner's address, by either notation.
TEST(MapTell, AnAddressInTheTextIsFound)
{
  std::ostringstream text;
  text << "7f0000000000-7f0000001000 rw-s " << std::hex << place + page << " 00:01 12";
  EXPECT_NE(first_that_tells(text.str()), "");
  EXPECT_NE(first_that_tells("pgoff=" + std::to_string(place / page)), "");
  EXPECT_EQ(first_that_tells("7f0000000000-7f0000001000 rw-s 00003000 00:01 12"), "");
}

TEST_F(MapTells, TheOffsetInTheWindowAndNothingElse)
{
  const int64_t name = window(place + page, 8 * page);
  EXPECT_EQ(mapper->call([=]() -> long {
    const uintptr_t whole = map_window(name, 0, 8 * page);
    const uintptr_t part = map_window(name, 3 * page, 2 * page);
    expect_offset(whole, 0, "whole");
    expect_offset(part, 3 * page, "part");
    expect_silence("mapped");
    return 0;
  }),
            0);
}

TEST_F(MapTells, NothingWhenAMappingIsSplitOrMoved)
{
  const int64_t name = window(place + page, 8 * page);
  EXPECT_EQ(mapper->call([=]() -> long {
    const uintptr_t at = map_window(name, 0, 8 * page);
    protect(at + 3 * page, page, PROT_READ);
    expect_offset(at, 0, "before the split");
    expect_offset(at + 3 * page, 3 * page, "split off");
    expect_offset(at + 4 * page, 4 * page, "behind the split");
    expect_silence("split");

    unmap(at + 6 * page, page);
    expect_offset(at + 7 * page, 7 * page, "behind the hole");

    void *target = mmap(nullptr, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *moved = mremap(reinterpret_cast<void *>(at + 4 * page), 2 * page, 2 * page,
                         MREMAP_MAYMOVE | MREMAP_FIXED, target);
    require(moved == target, "mremap");
    expect_offset(reinterpret_cast<uintptr_t>(moved), 4 * page, "moved");
    require(*static_cast<volatile uint8_t *>(moved) == 0x5a, "the owner's byte");
    expect_silence("moved");
    return 0;
  }),
            0);
}

/// The address of a mapping that has room for a 2 MB entry agrees with the owner's
/// modulo 2 MB; its offset may do so, too.
TEST_F(MapTells, ThePlaceWithin2MbOfALargeMapping)
{
  const int64_t name = window(place, length);
  EXPECT_EQ(mapper->call([=]() -> long {
    const uintptr_t at = map_window(name, 0, length);
    const auto first = static_cast<uint64_t>(offset_of(at));
    require(first == 0 || first == place % huge_page,
            "no more than the place within 2 MB");
    protect(at + huge_page, page, PROT_READ);
    expect_offset(at + huge_page, first + huge_page, "split off");
    expect_silence("large");

    const uintptr_t part = map_window(name, 5 * page, 9 * page);
    expect_offset(part, 5 * page, "a small part");
    return 0;
  }),
            0);
}

/// Here the mapper names the address itself.
TEST_F(MapTells, TheAddressThatWasAskedForInAWindowOfAll)
{
  const int64_t name = window(0, INT64_MAX);
  EXPECT_EQ(mapper->call([=]() -> long {
    const uintptr_t at = map_window(name, place, 4 * page);
    expect_offset(at, place, "by address");
    return 0;
  }),
            0);
}

} // namespace
} // namespace cma_test
