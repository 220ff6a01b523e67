// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The door: each ioctl with its structure at every size, unknown commands,
 * each field that must be refused with all else valid, addresses that cannot
 * be read or written. A refusal changes nothing. What info says.
 */
#include "support/mapping.hpp"
#include "support/twin.hpp"

#include <algorithm>
#include <cstddef>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <optional>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

namespace cma_test {
namespace {

constexpr unsigned long commands[] = {
    CMA_IOC_INFO,     CMA_IOC_COPY,          CMA_IOC_OPEN,
    CMA_IOC_CLOSE,    CMA_IOC_WINDOW_CREATE, CMA_IOC_WINDOW_DESTROY,
    CMA_IOC_POPULATE, CMA_IOC_SHOW,          CMA_IOC_REDUCE};
constexpr size_t sizes[] = {sizeof(cma_ioc_info),          sizeof(cma_ioc_copy),
                            sizeof(cma_ioc_open),          sizeof(cma_ioc_close),
                            sizeof(cma_ioc_window_create), sizeof(cma_ioc_window_destroy),
                            sizeof(cma_ioc_populate),      sizeof(cma_ioc_show),
                            sizeof(cma_ioc_reduce)};
/// Whether the module computes here; of the ioctls, reductions are the last.
bool has_vectors()
{
#ifdef __x86_64__
  return __builtin_cpu_supports("avx2");
#elif defined(__aarch64__)
  return true; // not before 5.17 (compat/probes/linked/neon.c)
#else
  return false;
#endif
}
unsigned served()
{
  return static_cast<unsigned>(std::size(commands)) - (has_vectors() ? 0 : 1);
}
/// Of each structure as its first version had it.
constexpr size_t first_size(unsigned nr)
{
  return nr == CMA_IOC_NR_OPEN ? offsetof(cma_ioc_open, length) : sizes[nr];
}

constexpr uint8_t canary = 0xc7;

/// A request that succeeds, at the start of a page-sized buffer of zeros.
class Ioctl : public testing::TestWithParam<unsigned> {
protected:
  static inline const size_t size = 2 * page;
  static constexpr size_t length = 100;

  Twin twin{size, size};
  const iovec local = segment(twin.local().at(8), length);
  const iovec remote = segment(twin.remote().at(8), length);
  std::optional<Mapping> mapping; ///< of all of the remote memory, once one is needed

  /// A valid structure for ioctl nr, as bytes. A handle is opened for each close, a
  /// window made for each destroy.
  std::vector<uint8_t> valid(unsigned nr)
  {
    std::vector<uint8_t> bytes(sizes[nr]);
    if (nr == CMA_IOC_NR_INFO) {
      auto info = sized<cma_ioc_info>();
      memcpy(bytes.data(), &info, sizeof(info));
    } else if (nr == CMA_IOC_NR_COPY) {
      const auto copy = valid_copy();
      memcpy(bytes.data(), &copy, sizeof(copy));
    } else if (nr == CMA_IOC_NR_OPEN) {
      auto open = sized<cma_ioc_open>();
      open.peer_type = CMA_PEER_PID;
      open.peer = twin.target().pid;
      memcpy(bytes.data(), &open, sizeof(open));
    } else if (nr == CMA_IOC_NR_WINDOW_CREATE) {
      const auto create = valid_window();
      memcpy(bytes.data(), &create, sizeof(create));
    } else if (nr == CMA_IOC_NR_WINDOW_DESTROY) {
      auto create = valid_window();
      EXPECT_EQ(twin.device().call(CMA_IOC_WINDOW_CREATE, &create), gives(0));
      auto destroy = sized<cma_ioc_window_destroy>();
      destroy.window = create.window;
      memcpy(bytes.data(), &destroy, sizeof(destroy));
    } else if (nr == CMA_IOC_NR_POPULATE) {
      const auto populate = valid_populate();
      memcpy(bytes.data(), &populate, sizeof(populate));
    } else if (nr == CMA_IOC_NR_SHOW) {
      const auto show = valid_show();
      memcpy(bytes.data(), &show, sizeof(show));
    } else if (nr == CMA_IOC_NR_REDUCE) {
      const auto reduce = valid_reduce();
      memcpy(bytes.data(), &reduce, sizeof(reduce));
    } else {
      auto close = sized<cma_ioc_close>();
      close.handle =
          static_cast<int>(twin.device().open(CMA_PEER_PID, twin.target().pid).result);
      memcpy(bytes.data(), &close, sizeof(close));
    }
    return bytes;
  }
  cma_ioc_window_create valid_window() const
  {
    auto create = sized<cma_ioc_window_create>();
    create.base = twin.local().base();
    create.length = length;
    create.access = CMA_ACCESS_READ;
    create.mode = 0600;
    return create;
  }
  cma_ioc_populate valid_populate()
  {
    if (!mapping)
      mapping.emplace(twin.device().fd(), twin.target().handle, twin.remote().base(),
                      size, PROT_READ);
    EXPECT_EQ(mapping->error(), 0);
    auto populate = sized<cma_ioc_populate>();
    populate.address = mapping->at(0);
    populate.length = size;
    return populate;
  }
  cma_ioc_show valid_show()
  {
    const auto populate = valid_populate();
    auto show = sized<cma_ioc_show>();
    show.how = CMA_HIDE_PAGES;
    show.address = populate.address;
    show.length = populate.length;
    return show;
  }
  /// Of memory that the module knows.
  cma_ioc_reduce valid_reduce() const
  {
    const iovec here = segment(twin.local().base(), size);
    const iovec there = segment(twin.remote().base(), size);
    for (int i = 0; i < 3; i++)
      EXPECT_EQ(
          run(twin.device(), Route::Handle, twin.target(), {false, &here, 1, &there, 1}),
          gives(size));
    auto reduce = sized<cma_ioc_reduce>();
    reduce.op = CMA_REDUCE_BXOR;
    reduce.type = CMA_REDUCE_UINT32;
    reduce.local = reduce.out = twin.local().base();
    reduce.length = length;
    reduce.operand_cnt = 1;
    reduce.operand[0] = {CMA_PEER_HANDLE, twin.target().handle, twin.remote().base()};
    return reduce;
  }
  cma_ioc_copy valid_copy() const
  {
    return as_ioctl(Route::Pid, twin.target(), {false, &local, 1, &remote, 1, 0});
  }

  /// Sends bytes with a size field, in the middle of canaries, and returns them as they
  /// are afterwards. Whatever lies outside must be as it was.
  Outcome send(unsigned nr, std::vector<uint8_t> &bytes, uint32_t size_field)
  {
    std::vector<uint8_t> buffer(bytes.size() + 2 * page, canary);
    std::copy(bytes.begin(), bytes.end(), buffer.begin() + page);
    memcpy(buffer.data() + page, &size_field, sizeof(size_field));
    const Outcome outcome = twin.device().call(commands[nr], buffer.data() + page);
    const auto outside = [](uint8_t byte) { return byte == canary; };
    EXPECT_TRUE(std::all_of(buffer.begin(), buffer.begin() + page, outside));
    EXPECT_TRUE(std::all_of(buffer.end() - page, buffer.end(), outside));
    bytes.assign(buffer.begin() + page, buffer.end() - page);
    return outcome;
  }
  Outcome send(unsigned nr, std::vector<uint8_t> &bytes)
  {
    uint32_t size_field = 0;
    memcpy(&size_field, bytes.data(), sizeof(size_field));
    return send(nr, bytes, size_field);
  }

  /// Expects an error, and that neither the structure nor memory nor the handles changed.
  void expect_refused(unsigned nr, std::vector<uint8_t> bytes, uint32_t size_field,
                      int error)
  {
    memcpy(bytes.data(), &size_field, sizeof(size_field));
    twin.local().fill(1);
    twin.remote().fill(2);
    const auto before = bytes;
    EXPECT_EQ(send(nr, bytes, size_field), fails(error));
    EXPECT_EQ(bytes, before);
    EXPECT_EQ(twin.local().bytes(), pattern(size, 1));
    EXPECT_EQ(twin.remote().bytes(), pattern(size, 2));
    if (nr == CMA_IOC_NR_CLOSE) {
      cma_ioc_close request{};
      memcpy(&request, bytes.data(), sizeof(request));
      EXPECT_TRUE(is_open(request.handle)) << "the handle was closed all the same";
    }
  }
  bool is_open(int handle) const
  {
    return run(twin.device(), Route::Handle, {0, -1, handle},
               {false, &local, 1, &remote, 1, 0})
               .error == 0;
  }
  template<class Struct>
  void expect_refused(unsigned nr, const Struct &request, int error)
  {
    std::vector<uint8_t> bytes(sizeof(request));
    memcpy(bytes.data(), &request, sizeof(request));
    expect_refused(nr, bytes, request.size, error);
  }
};

TEST_P(Ioctl, ExactSize)
{
  const unsigned nr = GetParam();
  twin.local().fill(1);
  twin.remote().fill(2);
  auto bytes = valid(nr);
  EXPECT_EQ(send(nr, bytes), gives(0));
}

TEST_P(Ioctl, SizeZeroAndTooSmall)
{
  const unsigned nr = GetParam();
  const auto bytes = valid(nr);
  const auto exact = static_cast<uint32_t>(first_size(nr));
  for (const uint32_t wrong : {0U, 1U, 4U, 8U - 1, exact / 2, exact - 8, exact - 1})
    if (wrong < exact) {
      SCOPED_TRACE(wrong);
      expect_refused(nr, bytes, wrong, EINVAL);
    }
}

TEST_P(Ioctl, SizesSinceTheFirst)
{
  const unsigned nr = GetParam();
  for (size_t size = first_size(nr); size < sizes[nr]; size++) {
    SCOPED_TRACE(size);
    auto bytes = valid(nr);
    std::fill(bytes.begin() + static_cast<long>(size), bytes.end(), canary);
    EXPECT_EQ(send(nr, bytes, static_cast<uint32_t>(size)), gives(0));
    for (size_t i = size; i < bytes.size(); i++)
      ASSERT_EQ(bytes[i], canary) << "a byte that the caller does not know was written";
  }
}

TEST_P(Ioctl, LargerWithAZeroTail)
{
  const unsigned nr = GetParam();
  for (const size_t more : {1UL, 8UL, 64UL, page - sizes[nr]}) {
    SCOPED_TRACE(more);
    auto bytes = valid(nr);
    bytes.resize(sizes[nr] + more);
    EXPECT_EQ(send(nr, bytes, static_cast<uint32_t>(bytes.size())), gives(0));
    for (size_t i = sizes[nr]; i < bytes.size(); i++)
      ASSERT_EQ(bytes[i], 0) << "a byte behind the structure was written";
  }
}

TEST_P(Ioctl, LargerWithANonZeroTail)
{
  const unsigned nr = GetParam();
  for (const size_t more : {1UL, 8UL, 64UL})
    for (const size_t where : {0UL, more - 1}) {
      SCOPED_TRACE(testing::Message() << more << " more, byte " << where);
      auto bytes = valid(nr);
      bytes.resize(sizes[nr] + more);
      bytes[sizes[nr] + where] = 1;
      expect_refused(nr, bytes, static_cast<uint32_t>(bytes.size()), E2BIG);
    }
}

TEST_P(Ioctl, HugeSize)
{
  const unsigned nr = GetParam();
  auto bytes = valid(nr);
  bytes.resize(3 * page);
  for (const uint32_t huge :
       {static_cast<uint32_t>(page) + 8, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    SCOPED_TRACE(huge);
    expect_refused(nr, bytes, huge, E2BIG);
  }
}

TEST_P(Ioctl, StructureAtTheEdgeOfMemory)
{
  const unsigned nr = GetParam();
  const uintptr_t memory = make_memory(Kind::Anonymous, page);
  const auto bytes = valid(nr);
  auto *place = reinterpret_cast<uint8_t *>(memory + page - bytes.size());
  std::copy(bytes.begin(), bytes.end(), place);
  EXPECT_EQ(twin.device().call(commands[nr], place), gives(0));
  // Not all of it is there; nothing of it is.
  EXPECT_EQ(twin.device().call(commands[nr], reinterpret_cast<void *>(memory + page - 2)),
            fails(EFAULT));
  auto *cut = reinterpret_cast<uint8_t *>(memory + page - 4);
  std::copy(bytes.begin(), bytes.begin() + 4, cut);
  EXPECT_EQ(twin.device().call(commands[nr], cut), fails(EFAULT));
  for (const uintptr_t nowhere : {0UL, 1UL, memory + page, 0xffff800000000000UL, ~0UL})
    EXPECT_EQ(twin.device().call(commands[nr], reinterpret_cast<void *>(nowhere)),
              fails(EFAULT));
  unmap(memory, page);
}

TEST_P(Ioctl, StructureThatCannotBeWritten)
{
  // The outcome could not be told: nothing is done then. What closes, destroys,
  // populates or shows has nothing to tell.
  const unsigned nr = GetParam();
  const uintptr_t memory = make_memory(Kind::Anonymous, page);
  const auto bytes = valid(nr);
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t *>(memory));
  protect(memory, page, PROT_READ);
  twin.local().fill(1);
  const bool silent = nr == CMA_IOC_NR_CLOSE || nr == CMA_IOC_NR_WINDOW_DESTROY ||
                      nr == CMA_IOC_NR_POPULATE || nr == CMA_IOC_NR_SHOW;
  const Outcome expected = silent ? gives(0) : fails(EFAULT);
  EXPECT_EQ(twin.device().call(commands[nr], reinterpret_cast<void *>(memory)), expected);
  EXPECT_EQ(twin.local().bytes(), pattern(size, 1));
  unmap(memory, page);
}

TEST_P(Ioctl, CommandsThatOnlyLookAlike)
{
  const unsigned nr = GetParam();
  auto bytes = valid(nr);
  const auto length_of = static_cast<unsigned>(bytes.size());
  for (const unsigned long command :
       {_IOC(_IOC_READ, CMA_IOC_MAGIC, nr, 0), _IOC(_IOC_WRITE, CMA_IOC_MAGIC, nr, 0),
        _IOC(_IOC_READ | _IOC_WRITE, CMA_IOC_MAGIC, nr, length_of),
        _IOC(_IOC_NONE, CMA_IOC_MAGIC, nr, length_of), _IOC(_IOC_NONE, 0xc4, nr, 0)}) {
    SCOPED_TRACE(testing::Message() << std::hex << command);
    EXPECT_EQ(twin.device().call(command, bytes.data()), fails(ENOTTY));
  }
}

std::string ioctl_name(const testing::TestParamInfo<unsigned> &info)
{
  const char *const names[] = {"Info",     "Copy",         "Open",
                               "Close",    "WindowCreate", "WindowDestroy",
                               "Populate", "Show",         "Reduce"};
  return names[info.param];
}

INSTANTIATE_TEST_SUITE_P(Each, Ioctl, testing::Range(0U, served()), ioctl_name);

using Door = Ioctl;

TEST_F(Door, UnknownCommands)
{
  std::vector<uint8_t> zeros(page);
  for (unsigned nr = std::size(commands); nr < 256; nr++)
    ASSERT_EQ(twin.device().call(_IO(CMA_IOC_MAGIC, nr), zeros.data()), fails(ENOTTY));
  for (const unsigned long command : {0UL, 1UL, ~0UL, static_cast<unsigned long>(TCGETS),
                                      static_cast<unsigned long>(FS_IOC_GETFLAGS)})
    EXPECT_EQ(twin.device().call(command, zeros.data()), fails(ENOTTY)) << command;
}

TEST_F(Door, ReadWriteMapAndSeekAreNotThere)
{
  char byte = 0;
  EXPECT_EQ(Outcome::of(read(twin.device().fd(), &byte, 1)), fails(EINVAL));
  EXPECT_EQ(Outcome::of(write(twin.device().fd(), &byte, 1)), fails(EINVAL));
  EXPECT_EQ(mmap(nullptr, page, PROT_READ, MAP_SHARED, twin.device().fd(), 0),
            MAP_FAILED);
}

TEST_F(Door, CopyRefusesEachUnknownFlag)
{
  for (unsigned bit = 7; bit < 32; bit++) {
    SCOPED_TRACE(bit);
    auto copy = valid_copy();
    copy.flags |= 1U << bit;
    expect_refused(CMA_IOC_NR_COPY, copy, EINVAL);
  }
}

TEST_F(Door, CopyRefusesReservedBitsAndPeerTypes)
{
  for (unsigned bit = 0; bit < 32; bit++) {
    auto copy = valid_copy();
    copy.reserved = 1U << bit;
    expect_refused(CMA_IOC_NR_COPY, copy, EINVAL);
  }
  for (const uint32_t type : {0U, 4U, 6U, 0x80000001U, ~0U}) {
    auto copy = valid_copy();
    copy.peer_type = type;
    expect_refused(CMA_IOC_NR_COPY, copy, EINVAL);
  }
}

TEST_F(Door, CopyIgnoresItsOutFields)
{
  auto copy = valid_copy();
  copy.copied = ~0ULL;
  copy.fault_addr = ~0ULL;
  copy.fault_side = ~0U;
  EXPECT_EQ(twin.device().copy(copy), gives(length));
  EXPECT_EQ(copy.fault_addr, ~0ULL);
  EXPECT_EQ(copy.fault_side, ~0U);
}

TEST_F(Door, AFailedCopySaysThatNothingMoved)
{
  auto copy = valid_copy();
  copy.copied = 77;
  copy.remote_iov = 8;
  EXPECT_EQ(twin.device().copy(copy), fails(EFAULT));
  EXPECT_EQ(copy.copied, 0);
}

TEST_F(Door, OpenRefusesWhatItDoesNotKnow)
{
  cma_ioc_open good = sized<cma_ioc_open>();
  good.peer_type = CMA_PEER_PID;
  good.peer = twin.target().pid;
  for (unsigned bit = 0; bit < 32; bit++) {
    auto open = good;
    open.flags = 1U << bit;
    expect_refused(CMA_IOC_NR_OPEN, open, EINVAL);
    open = good;
    open.window = 1ULL << bit;
    expect_refused(CMA_IOC_NR_OPEN, open, EINVAL);
    open = good;
    open.access = 1U << bit;
    if (bit > 1)
      expect_refused(CMA_IOC_NR_OPEN, open, EINVAL);
  }
  for (const uint32_t type : {0U, 6U, ~0U}) {
    auto open = good;
    open.peer_type = type;
    expect_refused(CMA_IOC_NR_OPEN, open, EINVAL);
  }
  auto open = good;
  open.peer_type = CMA_PEER_HANDLE;
  open.peer = twin.target().handle;
  expect_refused(CMA_IOC_NR_OPEN, open, EOPNOTSUPP);
}

TEST_F(Door, OpenOfWhatIsPublishedNamesNoWindow)
{
  auto good = sized<cma_ioc_open>();
  good.peer_type = CMA_PEER_PUBLISHED;
  good.peer = twin.target().pid;
  for (unsigned bit = 0; bit < 64; bit++) {
    auto open = good;
    open.window = 1ULL << bit;
    expect_refused(CMA_IOC_NR_OPEN, open, EINVAL);
  }
  EXPECT_EQ(twin.device().call(CMA_IOC_OPEN, &good), gives(0));
  EXPECT_EQ(good.length, static_cast<uint64_t>(INT64_MAX));
  EXPECT_EQ(good.window, 0U) << "the name is nobody's to know";
}

TEST_F(Door, WindowRefusesWhatItDoesNotKnow)
{
  const cma_ioc_window_create good = valid_window();
  for (unsigned bit = 1; bit < 32; bit++) {
    auto create = good;
    create.flags = 1U << bit;
    expect_refused(CMA_IOC_NR_WINDOW_CREATE, create, EINVAL);
  }
}

/// It is found by a pid, by those who know the peer's addresses.
TEST_F(Door, WhatIsPublishedIsAllOfTheAddressSpace)
{
  auto create = valid_window();
  create.flags = CMA_WINDOW_PUBLISH;
  create.base = 0;
  create.length = INT64_MAX;
  for (const uint64_t base : {uint64_t{1}, uint64_t{page}, uint64_t{1} << 62}) {
    auto part = create;
    part.base = base;
    part.length = INT64_MAX - base;
    expect_refused(CMA_IOC_NR_WINDOW_CREATE, part, EINVAL);
  }
  for (const uint64_t length :
       {uint64_t{1}, uint64_t{INT64_MAX} - 1, uint64_t{1} << 63}) {
    auto part = create;
    part.length = length;
    expect_refused(CMA_IOC_NR_WINDOW_CREATE, part, EINVAL);
  }
  EXPECT_EQ(twin.device().call(CMA_IOC_WINDOW_CREATE, &create), gives(0));
}

TEST_F(Door, OpenTellsHowMuchIsReached)
{
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_PID;
  open.peer = twin.target().pid;
  open.length = 77; // no in field
  ASSERT_EQ(twin.device().call(CMA_IOC_OPEN, &open), gives(0));
  EXPECT_EQ(open.length, UINT64_MAX);

  auto create = valid_window();
  ASSERT_EQ(twin.device().call(CMA_IOC_WINDOW_CREATE, &create), gives(0));
  open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = create.window;
  ASSERT_EQ(twin.device().call(CMA_IOC_OPEN, &open), gives(0));
  EXPECT_EQ(open.length, length);

  // Whoever is refused is told nothing.
  open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = create.window;
  open.access = CMA_ACCESS_WRITE;
  EXPECT_EQ(twin.device().call(CMA_IOC_OPEN, &open), fails(EACCES));
  EXPECT_EQ(open.length, 0);
}

TEST_F(Door, PopulateRefusesWhatItDoesNotKnow)
{
  const cma_ioc_populate good = valid_populate();
  for (unsigned bit = 0; bit < 32; bit++) {
    auto populate = good;
    populate.flags = 1U << bit;
    expect_refused(CMA_IOC_NR_POPULATE, populate, EINVAL);
  }
}

TEST_F(Door, ReduceRefusesWhatItDoesNotKnow)
{
  if (!has_vectors())
    GTEST_SKIP() << "the module uses no vectors of this processor";
  const cma_ioc_reduce good = valid_reduce();
  for (unsigned bit = 0; bit < 32; bit++) {
    auto reduce = good;
    reduce.flags = 1U << bit;
    if ((reduce.flags & (CMA_COPY_STRICT | CMA_COPY_KNOWN)) == 0)
      expect_refused(CMA_IOC_NR_REDUCE, reduce, EINVAL);
  }
}

TEST_F(Door, Info)
{
  const cma_ioc_info info = twin.device().info();
  EXPECT_EQ(info.size, sizeof(info));
  EXPECT_EQ(info.abi_version, CMA_ABI_VERSION);
  EXPECT_EQ(info.features,
            CMA_FEATURE_COPY_PID | CMA_FEATURE_COPY_PIDFD | CMA_FEATURE_COPY_HANDLE |
                CMA_FEATURE_MANY | CMA_FEATURE_LARGE | CMA_FEATURE_REPORT |
                CMA_FEATURE_STRICT | CMA_FEATURE_SINGLE | CMA_FEATURE_WINDOW |
                CMA_FEATURE_MAP | CMA_FEATURE_POPULATE | CMA_FEATURE_KNOWN |
                CMA_FEATURE_SHOW | CMA_FEATURE_LENGTH | CMA_FEATURE_PUBLISH |
                (has_vectors() ? CMA_FEATURE_REDUCE : 0));
  EXPECT_EQ(info.max_iov, 1024);
  EXPECT_GT(info.max_iov_many, info.max_iov);
  EXPECT_EQ(info.max_bytes, 0x7fffffff / page * page);
  EXPECT_GT(info.max_bytes_large, info.max_bytes);
  EXPECT_GT(info.max_handles, 1000);
  EXPECT_LE(info.verdict_ms, 1000);
  const std::string version(info.version, strnlen(info.version, sizeof(info.version)));
  EXPECT_FALSE(version.empty());
  EXPECT_LT(version.size(), sizeof(info.version));
  for (size_t i = version.size(); i < sizeof(info.version); i++)
    EXPECT_EQ(info.version[i], 0);
}

} // namespace
} // namespace cma_test
