// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// Mappings: what is asked of mmap(2), that whole pages are mapped for any bytes, and
// that the pages are unmapped again.
#include "device.hpp"
#include <cma.hpp>
#include <sys/mman.h>
#include <unistd.h>

using testing::Return;

namespace {

constexpr std::size_t page = 4096;
constexpr int some_handle = 4711;

class MapTest : public testing::Test {
protected:
  void SetUp() override
  {
    if (sizeof(void *) < 8)
      GTEST_SKIP() << "a program with 32-bit pointers cannot map";
    ASSERT_EQ(::sysconf(_SC_PAGESIZE), long{page});
    hooks::mmap = [this](const hooks::Map &map) -> hooks::Result {
      asked = map;
      if (error != 0)
        return error;
      // Something real, for the mapping's end to be seen.
      void *pages = ::mmap(map.address, map.length, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | (map.flags & MAP_FIXED), -1, 0);
      mapped = static_cast<char *>(pages);
      return reinterpret_cast<ssize_t>(pages);
    };
  }

  int map(std::uint64_t offset, std::size_t length, unsigned int flags = 0,
          int protection = PROT_READ)
  {
    return cma_map(context.get(), some_handle, offset, length, protection, flags,
                   &address);
  }

  /// Whether the pages from here on are mapped.
  static bool is_mapped(char *at, std::size_t length)
  {
    return ::msync(at, length, MS_ASYNC) == 0;
  }

  testing::StrictMock<Device> device;
  Context context = open_context(CMA_OPEN_DEVICE);
  hooks::Map asked = {};
  int error = 0;
  char *mapped = nullptr;
  void *address = &error; // must be set, whatever happens
};

TEST_F(MapTest, AsksForWholePages)
{
  ASSERT_EQ(map(3 * page + 100, page, 0, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(asked.address, nullptr);
  EXPECT_EQ(asked.length, page + 100);
  EXPECT_EQ(asked.protection, PROT_READ | PROT_WRITE);
  EXPECT_EQ(asked.flags, MAP_SHARED);
  EXPECT_EQ(asked.offset, static_cast<off_t>(CMA_MAP_OFFSET(some_handle, 3 * page)));
  EXPECT_EQ(address, mapped + 100);
  EXPECT_TRUE(is_mapped(mapped, 2 * page));
  EXPECT_EQ(cma_unmap(address, page), 0);
  EXPECT_FALSE(is_mapped(mapped, page));
  EXPECT_FALSE(is_mapped(mapped + page, page));
}

TEST_F(MapTest, PopulatesWhenAsked)
{
  cma_ioc_populate populated = {};
  EXPECT_CALL(device, populate).WillOnce([&](cma_ioc_populate &populate) {
    populated = populate;
    return 0;
  });
  ASSERT_EQ(map(100, page, CMA_MAP_POPULATE), 0);
  EXPECT_EQ(asked.flags, MAP_SHARED);
  EXPECT_EQ(populated.size, sizeof(populated));
  EXPECT_EQ(populated.flags, 0U);
  EXPECT_EQ(populated.address, reinterpret_cast<std::uintptr_t>(address));
  EXPECT_EQ(populated.length, page);
  EXPECT_EQ(cma_unmap(address, page), 0);
}

TEST_F(MapTest, IsAMappingEvenIfItCannotBePopulated)
{
  EXPECT_CALL(device, populate).WillOnce(Return(-ESRCH));
  ASSERT_EQ(map(0, page, CMA_MAP_POPULATE), 0);
  EXPECT_TRUE(is_mapped(static_cast<char *>(address), page));
  EXPECT_EQ(cma_unmap(address, page), 0);
}

TEST_F(MapTest, IsNotPopulatedByAModuleThatCannot)
{
  EXPECT_CALL(device, info).WillRepeatedly([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features &= ~CMA_FEATURE_POPULATE;
    return 0;
  });
  EXPECT_CALL(device, populate).Times(0);
  context = open_context(CMA_OPEN_DEVICE);
  ASSERT_EQ(map(0, page, CMA_MAP_POPULATE), 0);
  EXPECT_EQ(cma_unmap(address, page), 0);
}

TEST_F(MapTest, IsNotPopulatedWithoutAMapping)
{
  EXPECT_CALL(device, populate).Times(0);
  error = -ENXIO;
  EXPECT_EQ(map(0, page, CMA_MAP_POPULATE), -ENXIO);
}

TEST_F(MapTest, MapsWhereItIsTold)
{
  ASSERT_EQ(map(0, 2 * page), 0);
  char *first = mapped;
  address = first + page + 8;
  ASSERT_EQ(map(8, 16, CMA_MAP_FIXED), 0);
  EXPECT_EQ(asked.address, first + page);
  EXPECT_EQ(asked.flags, MAP_SHARED | MAP_FIXED);
  EXPECT_EQ(address, first + page + 8);
  EXPECT_EQ(cma_unmap(first, 2 * page), 0);
}

TEST_F(MapTest, RefusesWhatNoMappingCanBe)
{
  hooks::mmap = [](const hooks::Map &) -> hooks::Result {
    ADD_FAILURE() << "asked for";
    return -EINVAL;
  };
  const std::uint64_t end = CMA_MAP_SPACE;
  char here = 0;
  EXPECT_EQ(map(0, 0), -EINVAL);
  EXPECT_EQ(address, nullptr);
  EXPECT_EQ(map(end, 1), -EINVAL);
  EXPECT_EQ(map(end - 1, 2), -EINVAL);
  EXPECT_EQ(map(0, SIZE_MAX), -EINVAL);
  EXPECT_EQ(map(0, 1, ~(CMA_MAP_POPULATE | CMA_MAP_FIXED)), -EINVAL);
  address = &here;
  EXPECT_EQ(map(reinterpret_cast<std::uintptr_t>(&here) % page + 1, 1, CMA_MAP_FIXED),
            -EINVAL);
  for (const int handle : {0, -1})
    EXPECT_EQ(cma_map(context.get(), handle, 0, 1, PROT_READ, 0, &address), -EINVAL);
}

TEST_F(MapTest, ShowsAndHidesPages)
{
  for (const unsigned how : {CMA_SHOW_PAGES, CMA_SHOW_ONLY, CMA_HIDE_PAGES})
    for (const int result : {0, -EFAULT}) {
      EXPECT_CALL(device, show).WillOnce([=, this](cma_ioc_show &show) {
        EXPECT_EQ(show.size, sizeof(show));
        EXPECT_EQ(show.how, how);
        EXPECT_EQ(show.address, reinterpret_cast<std::uintptr_t>(&error));
        EXPECT_EQ(show.length, page);
        return result;
      });
      EXPECT_EQ(cma_show(context.get(), how, &error, page), result);
    }
}

TEST_F(MapTest, AModuleThatCannotIsNotAskedToShowPages)
{
  EXPECT_CALL(device, info).WillRepeatedly([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features &= ~CMA_FEATURE_SHOW;
    return 0;
  });
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_EQ(cma_show(context.get(), CMA_HIDE_PAGES, &error, page), -EOPNOTSUPP);
  context = open_context(CMA_OPEN_SYSCALL);
  EXPECT_EQ(cma_show(context.get(), CMA_HIDE_PAGES, &error, page), -EOPNOTSUPP);
}

TEST_F(MapTest, ErrorsAreReturned)
{
  for (const int number : {EACCES, ENXIO, ENOENT, ESRCH, EIDRM, ENOMEM}) {
    error = -number;
    errno = 1234;
    address = &error;
    EXPECT_EQ(map(0, page), -number);
    EXPECT_EQ(address, nullptr);
    EXPECT_EQ(errno, 1234);
  }
  EXPECT_EQ(cma_unmap(nullptr, 0), -EINVAL);
}

TEST_F(MapTest, NeedsAModuleThatCan)
{
  EXPECT_CALL(device, info).WillRepeatedly([](cma_ioc_info &info) {
    info = Device::plain_info;
    info.features &= ~CMA_FEATURE_MAP;
    return 0;
  });
  context = open_context(CMA_OPEN_DEVICE);
  EXPECT_EQ(map(0, page), -EOPNOTSUPP);
  EXPECT_EQ(address, nullptr);
  context = open_context(CMA_OPEN_SYSCALL);
  address = &error;
  EXPECT_EQ(map(0, page), -EOPNOTSUPP);
  EXPECT_EQ(address, nullptr);
}

TEST_F(MapTest, IsAnObjectInCpp)
{
  EXPECT_CALL(device, open).WillOnce([](cma_ioc_open &open) {
    open.handle = some_handle;
    return 0;
  });
  EXPECT_CALL(device, close).WillOnce(Return(0));
  const cma::Context cpp(CMA_OPEN_DEVICE);
  const cma::Handle handle = cpp.open(cma::pid(1));
  {
    const cma::Mapping mapping = cpp.map(handle, page + 1, 10, PROT_READ, CMA_MAP_FIXED);
    EXPECT_EQ(asked.flags, MAP_SHARED); // not at an address that nobody gave
    EXPECT_EQ(mapping.data(), mapped + 1);
    EXPECT_EQ(mapping.size(), 10U);
    EXPECT_TRUE(is_mapped(mapped, page));
  }
  EXPECT_FALSE(is_mapped(mapped, page));
  error = -EACCES;
  EXPECT_THROW(static_cast<void>(cpp.map(handle, 0, 1, PROT_READ)), std::system_error);
}

} // namespace
