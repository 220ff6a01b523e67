// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Mappings: pages of a peer in one's own address space. What may be mapped and
 * how, that a mapping shows what the peer has now and nothing else, whatever
 * the peer or the mapper does to its address space, and how it ends.
 */
#include "support/helper.hpp"
#include "support/map_fixture.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cma_test {
namespace {

class MapEvery : public Map, public testing::WithParamInterface<Kind> {};

TEST_P(MapEvery, ShowsEachSideWhatTheOtherStores)
{
  const size_t length = (GetParam() == Kind::Hugetlb ? 1 : 2) * huge_page;
  start(GetParam(), length);
  if (IsSkipped())
    return;
  const Mapping mapping = whole(PROT_READ | PROT_WRITE, length);
  ASSERT_EQ(mapping.error(), 0);
  for (const size_t at : {size_t{0}, page + 1, huge_page - 1, length / 2, length - 1}) {
    owner_byte(at, 0x31);
    EXPECT_EQ(mapping.load(at), 0x31) << at;
    EXPECT_TRUE(mapping.store(at, 0x52)) << at;
    EXPECT_EQ(owner_byte(at), 0x52) << at;
    owner_byte(at, 0x73);
    EXPECT_EQ(mapping.load(at), 0x73) << at;
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, MapEvery,
                         testing::Values(Kind::Anonymous, Kind::TransparentHuge,
                                         Kind::Hugetlb, Kind::SharedAnonymous,
                                         Kind::Memfd, Kind::FileShared,
                                         Kind::FilePrivate),
                         [](const auto &info) {
                           return std::string(name_of(info.param));
                         });

TEST_F(Map, SecretMemoryIsNotShown)
{
  start(Kind::Secret);
  if (IsSkipped())
    return;
  const Mapping mapping = whole();
  ASSERT_EQ(mapping.error(), 0);
  EXPECT_EQ(mapping.load(0), Mapping::bus);
}

TEST_F(Map, StoresOfTheMapperDoNotReachAChildOfTheOwner)
{
  start();
  const Mapping mapping = whole();
  owner_byte(0, 1);
  ASSERT_TRUE(mapping.store(0, 2));
  // The child waits at a pipe until the mapper has stored, then says what it sees.
  const uintptr_t at = base;
  const long go = owner->call([=]() -> long {
    std::array<int, 2> pipe_ends;
    std::array<int, 2> answer;
    require(pipe(pipe_ends.data()) == 0 && pipe(answer.data()) == 0, "pipe");
    if (fork() == 0) {
      char byte;
      require(read(pipe_ends[0], &byte, 1) == 1, "read");
      byte = *reinterpret_cast<volatile char *>(at);
      require(write(answer[1], &byte, 1) == 1, "write");
      _exit(0);
    }
    return pipe_ends[1] << 16 | answer[0];
  });
  EXPECT_TRUE(mapping.store(0, 3));
  const long seen = owner->call([=]() -> long {
    char byte = 0;
    require(write(static_cast<int>(go >> 16), &byte, 1) == 1, "write");
    require(read(static_cast<int>(go & 0xffff), &byte, 1) == 1, "read");
    return byte;
  });
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(owner_byte(0), 3);
  owner_byte(0, 4);
  EXPECT_EQ(mapping.load(0), 4);
}

TEST_F(Map, AHoleIsABusErrorUntilThereIsMemory)
{
  start();
  const Mapping mapping = whole();
  owner_byte(page, 7);
  ASSERT_EQ(mapping.load(page), 7);
  const uintptr_t at = base + page;
  owner->call([=] { return unmap(at, page), 0L; });
  EXPECT_EQ(mapping.load(page), Mapping::bus);
  EXPECT_FALSE(mapping.store(page, 1));
  EXPECT_EQ(mapping.load(0), 0);
  owner->call([=] { return renew(at, page), 0L; });
  EXPECT_EQ(mapping.load(page), 0);
  owner_byte(page, 9);
  EXPECT_EQ(mapping.load(page), 9);
}

/// A file ends within what the owner has mapped, and has not touched.
TEST_F(Map, FaultsInOnlyWhatIsTouched)
{
  start();
  base = static_cast<uintptr_t>(owner->call([]() -> long {
    const int file = memfd_create("cma-short", 0);
    require(file >= 0 && ftruncate(file, 2 * page) == 0, "a file");
    return reinterpret_cast<long>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  }));
  const auto is_there = [this](size_t offset) {
    return owner->call([at = base + offset]() -> long {
      unsigned char there = 0;
      require(mincore(reinterpret_cast<void *>(at), page, &there) == 0, "mincore");
      return there & 1;
    });
  };
  const Mapping mapping = whole();
  EXPECT_EQ(mapping.load(0), 0);
  EXPECT_TRUE(is_there(0));
  EXPECT_FALSE(is_there(page));
  EXPECT_EQ(mapping.load(2 * page), Mapping::bus);
  EXPECT_FALSE(is_there(page));
  EXPECT_TRUE(mapping.store(page, 1));
  EXPECT_EQ(owner_byte(page), 1);
}

TEST_F(Map, FollowsDiscardedPages)
{
  start();
  const Mapping mapping = whole();
  owner_byte(0, 7);
  ASSERT_EQ(mapping.load(0), 7);
  auto *at = reinterpret_cast<void *>(base);
  EXPECT_EQ(owner->call([=]() -> long { return madvise(at, page, MADV_DONTNEED); }), 0);
  EXPECT_EQ(mapping.load(0), 0);
  EXPECT_TRUE(mapping.store(0, 8));
  EXPECT_EQ(owner_byte(0), 8);
}

TEST_F(Map, FollowsProtection)
{
  start();
  const Mapping mapping = whole();
  ASSERT_TRUE(mapping.store(0, 7));
  const uintptr_t at = base;
  owner->call([=] { return protect(at, page, PROT_READ), 0L; });
  EXPECT_EQ(mapping.load(0), 7);
  EXPECT_FALSE(mapping.store(0, 8));
  owner->call([=] { return protect(at, page, PROT_NONE), 0L; });
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  owner->call([=] { return protect(at, page, PROT_READ | PROT_WRITE), 0L; });
  EXPECT_TRUE(mapping.store(0, 9));
  EXPECT_EQ(owner_byte(0), 9);
}

TEST_F(Map, FollowsMovedPages)
{
  start();
  const Mapping mapping = whole();
  owner_byte(0, 7);
  ASSERT_EQ(mapping.load(0), 7);
  auto *from = reinterpret_cast<void *>(base);
  auto *to = reinterpret_cast<void *>(base + 2 * page);
  owner->call([=]() -> long {
    return mremap(from, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to ? 0 : -errno;
  });
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  EXPECT_EQ(mapping.load(2 * page), 7);
}

TEST_F(Map, EndsWithItsOwner)
{
  start();
  const Mapping mapping = whole();
  owner_byte(0, 7);
  ASSERT_EQ(mapping.load(0), 7);
  owner->kill(SIGKILL);
  owner->wait();
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  EXPECT_EQ(mapping.load(page), Mapping::bus);
  EXPECT_EQ(whole().error(), ESRCH);
}

TEST_F(Map, OutlivesTheHandleAndTheFile)
{
  start();
  const Mapping mapping = whole();
  owner_byte(0, 7);
  ASSERT_EQ(device.close(handle), gives(0));
  EXPECT_EQ(mapping.load(0), 7);
  device.shut();
  owner_byte(page, 8);
  EXPECT_EQ(mapping.load(page), 8);
}

TEST_F(Map, PartsOfItCanGo)
{
  start();
  const Mapping mapping = whole();
  for (size_t i = 0; i < size; i += page)
    owner_byte(i, static_cast<int>(i / page) + 1);
  ASSERT_EQ(mapping.load(0), 1);
  unmap(mapping.at(page), page);
  renew(mapping.at(3 * page), page); // mmap(MAP_FIXED)
  protect(mapping.at(5 * page), page, PROT_READ);
  EXPECT_EQ(mapping.load(page), Mapping::segv);
  EXPECT_EQ(mapping.load(2 * page), 3);
  EXPECT_EQ(mapping.load(3 * page), 0);
  EXPECT_EQ(mapping.load(4 * page), 5);
  EXPECT_FALSE(mapping.store(5 * page, 1));
  owner_byte(5 * page, 77);
  EXPECT_EQ(mapping.load(5 * page), 77);
  EXPECT_EQ(owner_byte(3 * page), 4);
  protect(mapping.at(5 * page), page, PROT_READ | PROT_WRITE);
  EXPECT_TRUE(mapping.store(5 * page, 78));
  EXPECT_EQ(owner_byte(5 * page), 78);
}

TEST_F(Map, CanBeMovedAndShrunk)
{
  start();
  Mapping mapping = whole();
  owner_byte(page, 7);
  ASSERT_EQ(mapping.load(page), 7);
  const uintptr_t room = make_memory(Kind::Anonymous, size);
  auto *to = reinterpret_cast<void *>(room);
  ASSERT_EQ(mremap(reinterpret_cast<void *>(mapping.at(0)), size, 2 * page,
                   MREMAP_MAYMOVE | MREMAP_FIXED, to),
            to);
  const auto *moved = static_cast<volatile uint8_t *>(to);
  EXPECT_EQ(moved[page], 7);
  owner_byte(page, 8);
  EXPECT_EQ(moved[page], 8);
  EXPECT_EQ(mremap(to, 2 * page, 4 * page, MREMAP_MAYMOVE), MAP_FAILED);
  munmap(to, 2 * page);
}

TEST_F(Map, IsNotInherited)
{
  start();
  const Mapping mapping = whole();
  ASSERT_EQ(mapping.load(0), 0);
  const pid_t child = fork();
  if (child == 0)
    _exit(mapping.load(0) == Mapping::segv ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  // Nor does the mapper have a say in that.
  EXPECT_EQ(
      Outcome::of(madvise(reinterpret_cast<void *>(mapping.at(0)), page, MADV_DOFORK)),
      fails(EINVAL));
}

TEST_F(Map, CannotBePinned)
{
  start();
  const Mapping mapping = whole();
  ASSERT_EQ(mapping.load(0), 0);
  char byte = 0;
  const iovec here = segment(reinterpret_cast<uintptr_t>(&byte), 1);
  const iovec there = segment(mapping.at(0), 1);
  EXPECT_EQ(Outcome::of(process_vm_readv(getpid(), &here, 1, &there, 1, 0)),
            fails(EFAULT));
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  EXPECT_EQ(Outcome::of(vmsplice(ends[1], &there, 1, 0)), fails(EFAULT));
  // A plain write(2) reads it like any memory.
  EXPECT_EQ(Outcome::of(write(ends[1], there.iov_base, 1)), gives(1));
  close(ends[0]);
  close(ends[1]);
}

TEST_F(Map, CopiesGoThroughItsPages)
{
  start();
  const Mapping mapping = whole();
  owner_byte(0, 7);
  // The local side of a copy may be a mapping; its remote side may not be one of one.
  auto request = sized<cma_ioc_copy>();
  request.flags = CMA_COPY_SINGLE;
  request.peer_type = CMA_PEER_HANDLE;
  request.peer = handle;
  request.local_iov = mapping.at(page);
  request.remote_iov = base;
  request.local_cnt = request.remote_cnt = page;
  EXPECT_EQ(device.copy(request), gives(page));
  EXPECT_EQ(owner_byte(page), 7);
  request.peer_type = CMA_PEER_PID;
  request.peer = getpid();
  request.remote_iov = mapping.at(0);
  std::vector<uint8_t> buffer(page);
  request.local_iov = reinterpret_cast<uintptr_t>(buffer.data());
  EXPECT_EQ(device.copy(request), fails(EFAULT));
}

TEST_F(Map, OfOneselfWorks)
{
  const uintptr_t mine = make_memory(Kind::Anonymous, size);
  handle = static_cast<int32_t>(device.open(CMA_PEER_PID, getpid()).result);
  const Mapping mapping(device.fd(), handle, mine, size, PROT_READ | PROT_WRITE);
  ASSERT_EQ(mapping.error(), 0);
  *reinterpret_cast<volatile uint8_t *>(mine) = 5;
  EXPECT_EQ(mapping.load(0), 5);
  EXPECT_TRUE(mapping.store(0, 6));
  EXPECT_EQ(*reinterpret_cast<volatile uint8_t *>(mine), 6);
  unmap(mine, page);
  EXPECT_EQ(mapping.load(0), Mapping::bus);
}

TEST_F(Map, RefusesWhatItCannotDo)
{
  start();
  const auto error = [&](int number, uint64_t offset, size_t length, int protection,
                         int flags = MAP_SHARED) {
    return Mapping(device.fd(), number, offset, length, protection, flags).error();
  };
  EXPECT_EQ(error(handle, base, page, PROT_READ), 0);
  EXPECT_EQ(error(handle, base, page, PROT_READ, MAP_PRIVATE), EINVAL);
  EXPECT_EQ(error(handle, base, page, PROT_READ | PROT_EXEC), EACCES);
  EXPECT_EQ(error(handle + 1, base, page, PROT_READ), ENOENT);
  EXPECT_EQ(error(0, base, page, PROT_READ), ENOENT);
}

class MapWindow : public Map {
protected:
  /// The owner's window of these bytes from base on, opened.
  void open_window(size_t offset, size_t length, uint32_t access = 0)
  {
    const uintptr_t from = base + offset;
    name = owner->call([=]() -> long {
      static const int fd = open("/dev/cma", O_RDWR | O_CLOEXEC);
      auto window = sized<cma_ioc_window_create>();
      window.base = from;
      window.length = length;
      window.access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
      window.mode = 0600;
      require(ioctl(fd, CMA_IOC_WINDOW_CREATE, &window) == 0, "window");
      file = fd;
      return static_cast<long>(window.window);
    });
    auto open = sized<cma_ioc_open>();
    open.peer_type = CMA_PEER_WINDOW;
    open.window = static_cast<uint64_t>(name);
    open.access = access;
    ASSERT_EQ(device.call(CMA_IOC_OPEN, &open), gives(0));
    handle = open.handle;
  }
  Mapping whole_window()
  {
    return {device.fd(), handle, 0, size, PROT_READ | PROT_WRITE};
  }
  int error(uint64_t offset, size_t length) const
  {
    return Mapping(device.fd(), handle, offset, length, PROT_READ).error();
  }

  long name = 0;
  static inline int file = -1; ///< in the owner: the window's
};

TEST_F(MapWindow, CountsFromItsBeginning)
{
  start();
  open_window(2 * page, 4 * page);
  const Mapping mapping(device.fd(), handle, page, 3 * page, PROT_READ | PROT_WRITE);
  ASSERT_EQ(mapping.error(), 0);
  owner_byte(3 * page, 7);
  EXPECT_EQ(mapping.load(0), 7);
  EXPECT_TRUE(mapping.store(2 * page + 1, 8));
  EXPECT_EQ(owner_byte(5 * page + 1), 8);
}

TEST_F(MapWindow, MapsNoPageThatIsNotAllItsOwn)
{
  start();
  open_window(0, 4 * page);
  EXPECT_EQ(error(0, 4 * page), 0);
  EXPECT_EQ(error(0, 5 * page), ENXIO);
  EXPECT_EQ(error(4 * page, page), ENXIO);
  EXPECT_EQ(error(CMA_MAP_SPACE - page, page), ENXIO);
  open_window(1, 4 * page); // its first page and its last are not
  EXPECT_EQ(error(0, page), ENXIO);
  EXPECT_EQ(error(page, 3 * page), 0);
  EXPECT_EQ(error(page, 4 * page), ENXIO);
  open_window(page - 1, 2);
  EXPECT_EQ(error(0, page), ENXIO);
  EXPECT_EQ(error(page, page), ENXIO);
  // A length that is no number of whole pages is rounded up by mmap(2).
  open_window(0, page + 1);
  EXPECT_EQ(error(0, page), 0);
  EXPECT_EQ(error(0, page + 1), ENXIO);
}

TEST_F(MapWindow, OfAllMemoryReachesAllMemory)
{
  start();
  open_window(-base, INT64_MAX);
  const Mapping mapping(device.fd(), handle, base, size, PROT_READ | PROT_WRITE);
  ASSERT_EQ(mapping.error(), 0);
  owner_byte(page, 7);
  EXPECT_EQ(mapping.load(page), 7);
}

TEST_F(MapWindow, EndsWithIt)
{
  start();
  open_window(0, size);
  const Mapping mapping = whole_window();
  owner_byte(0, 7);
  ASSERT_EQ(mapping.load(0), 7);
  const long which = name;
  owner->call([=]() -> long {
    auto window = sized<cma_ioc_window_destroy>();
    window.window = static_cast<uint64_t>(which);
    return ioctl(file, CMA_IOC_WINDOW_DESTROY, &window);
  });
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  EXPECT_EQ(mapping.load(page), Mapping::bus);
  EXPECT_EQ(error(0, page), EIDRM);
}

TEST_F(MapWindow, EndsWithItsFileAndLeavesOthersAlone)
{
  start();
  const Mapping by_pid = whole();
  open_window(0, size);
  const Mapping mapping = whole_window();
  owner_byte(0, 7);
  ASSERT_EQ(mapping.load(0), 7);
  ASSERT_EQ(by_pid.load(0), 7);
  owner->call([] { return static_cast<long>(close(file)); });
  EXPECT_EQ(mapping.load(0), Mapping::bus);
  EXPECT_EQ(by_pid.load(0), 7);
}

TEST_F(Map, NeverGetsMoreThanTheHandleAllows)
{
  start();
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_PID;
  open.peer = owner->pid();
  open.access = CMA_ACCESS_READ;
  ASSERT_EQ(device.call(CMA_IOC_OPEN, &open), gives(0));
  handle = open.handle;
  EXPECT_EQ(whole().error(), EACCES);
  const Mapping mapping = whole(PROT_READ);
  ASSERT_EQ(mapping.error(), 0);
  owner_byte(0, 7);
  EXPECT_EQ(mapping.load(0), 7);
  EXPECT_EQ(Outcome::of(mprotect(reinterpret_cast<void *>(mapping.at(0)), page,
                                 PROT_READ | PROT_WRITE)),
            fails(EACCES));
  EXPECT_EQ(Outcome::of(mprotect(reinterpret_cast<void *>(mapping.at(0)), page,
                                 PROT_READ | PROT_EXEC)),
            fails(EACCES));
  open.access = CMA_ACCESS_WRITE;
  ASSERT_EQ(device.call(CMA_IOC_OPEN, &open), gives(0));
  handle = open.handle;
  EXPECT_EQ(whole(PROT_READ).error(), EACCES);
  EXPECT_EQ(whole(PROT_WRITE).error(), EACCES);
}

} // namespace
} // namespace cma_test
