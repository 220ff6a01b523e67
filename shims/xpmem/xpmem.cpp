// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * libxpmem: XPMEM's functions on top of windows and their mappings. A segment is a
 * window and its number the window's name; a permit is a handle of a window; an
 * attachment is a part of a mapping of the handle (extents.hpp).
 *
 * Checks and errno are the original's (xpmem.h names them). A permit's number holds
 * the process that got it, so that another process's is told from one that never was.
 *
 * One lock guards everything here. It is held over system calls, which are short, and
 * over fork(2), so that a child finds it free and the tables whole.
 */
#include "xpmem.h"

#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>

#include <pthread.h>
#include <unistd.h>

#include <cma.h>

#include "device.hpp"
#include "extents.hpp"
#include "mappings.hpp"
#include "process.hpp"

namespace xpmem {
namespace {

constexpr int version = 0x00027004;
constexpr auto last_address = static_cast<uintptr_t>(INTPTR_MAX);

const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));

bool aligned(uintptr_t value)
{
  return value % page == 0;
}

/* An errno value on its way out. */
struct Failure {
  int error;
};

/* A call of the device that must succeed. */
int require(int result)
{
  if (result < 0)
    throw Failure{-result};
  return result;
}

void require(bool right, int error)
{
  if (!right)
    throw Failure{error};
}

/* As the original tells it that a range, or a segment, is not there. */
int attach_error(int error)
{
  switch (error) {
  case -ENXIO:
    return -EINVAL;
  case -EIDRM:
  case -ESRCH:
    return -ENOENT;
  default:
    return error;
  }
}

class Library {
public:
  /** The device for this process; the tables are this process's then. */
  void enter();

  xpmem_segid_t make(uintptr_t begin, size_t size, unsigned mode);
  void remove(xpmem_segid_t segment);
  xpmem_apid_t get(xpmem_segid_t segment, unsigned access);
  void release(xpmem_apid_t id);
  void *attach(xpmem_addr from, size_t size, uintptr_t where);
  void detach(uintptr_t address);

  /** In a fork, whose process id may be its parent's, in another namespace. */
  void begin_anew();

  std::mutex mutex;

private:
  Permit &permit(xpmem_apid_t id);
  void check_place(const Permit &permit, uint64_t offset, Range place);

  Process process;
  std::unique_ptr<Device> device;
  pid_t opener = 0; /* whose the device and the tables are */
  uint32_t serial = 0;
  std::map<xpmem_segid_t, Range> segments;
  std::map<xpmem_apid_t, Permit> permits;
  std::optional<Extents> extents;
};

/* Never destroyed: calls from other libraries' destructors still work. */
Library &library()
{
  static Library *const only = [] {
    pthread_atfork([] { library().mutex.lock(); }, [] { library().mutex.unlock(); },
                   [] {
                     library().begin_anew();
                     library().mutex.unlock();
                   });
    return new Library;
  }();
  return *only;
}

/* Known before any vfork(2) is. */
[[maybe_unused]] const Library &loaded = library();

void Library::begin_anew()
{
  process.take_over();
  opener = 0;
}

void Library::enter()
{
  if (device && process.owner() == opener)
    return;
  if (process.owner() == 0)
    process.take_over();
  require(process.owner() == getpid(), XPMEM_ERRNO_NOPROC);
  extents.reset();
  segments.clear();
  permits.clear();
  device.reset();
  require(open_device(device));
  extents.emplace(*device);
  opener = process.owner();
}

xpmem_segid_t Library::make(uintptr_t begin, size_t size, unsigned mode)
{
  if (size == XPMEM_MAXADDR_SIZE)
    size = last_address - begin;
  else
    require(aligned(size), EINVAL);
  require(aligned(begin) && size > 0 && begin < last_address &&
              size <= last_address - begin,
          EINVAL);
  uint64_t name = 0;
  require(device->expose(begin, size, mode & 0666, name));
  const auto segment = static_cast<xpmem_segid_t>(name);
  segments[segment] = {begin, begin + size};
  return segment;
}

void Library::remove(xpmem_segid_t segment)
{
  require(segment > 0, EINVAL);
  if (segments.erase(segment) != 0) {
    require(device->end(static_cast<uint64_t>(segment)));
    return;
  }
  const int handle = device->open(static_cast<uint64_t>(segment), 0);
  require(handle >= 0 || handle == -EACCES, ENOENT);
  if (handle >= 0)
    device->close(handle);
  throw Failure{EACCES};
}

xpmem_apid_t Library::get(xpmem_segid_t segment, unsigned access)
{
  require(segment > 0, EINVAL);
  const int handle =
      require(attach_error(device->open(static_cast<uint64_t>(segment), access)));
  xpmem_apid_t id;
  do
    id = static_cast<xpmem_apid_t>(process.owner()) << 32 | ++serial;
  while (!permits.try_emplace(id, Permit{handle, access, segment}).second);
  return id;
}

Permit &Library::permit(xpmem_apid_t id)
{
  require(id > 0, EINVAL);
  const auto found = permits.find(id);
  if (found != permits.end())
    return found->second;
  const auto owner = static_cast<pid_t>(id >> 32);
  throw Failure{owner == 0 || owner == process.owner() ? ENOENT : EACCES};
}

void Library::release(xpmem_apid_t id)
{
  Permit &ended = permit(id);
  const int handle = ended.handle;
  extents->release(ended);
  permits.erase(id);
  require(device->close(handle));
}

/* A place that is asked for must not hold an attachment, nor what is to be attached. */
void Library::check_place(const Permit &permit, uint64_t offset, Range place)
{
  require(!extents->has(place), EINVAL);
  const auto own = segments.find(permit.segment);
  if (own == segments.end())
    return;
  const uintptr_t source = own->second.begin + offset;
  require(!place.meets({source, source + (place.end - place.begin)}), EINVAL);
}

void *Library::attach(xpmem_addr from, size_t size, uintptr_t where)
{
  require(from.apid > 0 && from.offset >= 0 && aligned(where) &&
              aligned(static_cast<uintptr_t>(from.offset)),
          EINVAL);
  Permit &source = permit(from.apid);
  const auto offset = static_cast<uint64_t>(from.offset);
  const size_t length = (size + page - 1) / page * page;
  uintptr_t end;
  require(length >= size && length > 0 && offset <= last_address - length &&
              !__builtin_add_overflow(where, length, &end),
          EINVAL);
  if (where != 0)
    check_place(source, offset, {where, end});
  const intptr_t place = extents->attach(source, {offset, length}, where);
  if (place < 0 && place > -4096)
    throw Failure{-attach_error(static_cast<int>(place))};
  return reinterpret_cast<void *>(place);
}

void Library::detach(uintptr_t address)
{
  switch (extents->detach(address)) {
  case Extents::Detached::Done:
  case Extents::Detached::Before:
    return;
  case Extents::Detached::Failed:
    require(false, ENOMEM);
    return;
  case Extents::Detached::Unknown:
    require(is_unmapped(address), EINVAL);
  }
}

/* Runs one of the above under the lock; its result, or failed and errno. */
template<class Result, class Work>
Result enter(Result failed, const Work &work) noexcept
try {
  Library &self = library();
  const std::lock_guard guard(self.mutex);
  const int saved = errno;
  self.enter();
  Result result = work(self);
  errno = saved;
  return result;
} catch (const Failure &failure) {
  errno = failure.error;
  return failed;
} catch (const std::bad_alloc &) {
  errno = ENOMEM;
  return failed;
}

} // namespace
} // namespace xpmem

using xpmem::Library;

extern "C" int xpmem_version(void)
{
  return xpmem::enter(-1, [](Library &) { return xpmem::version; });
}

extern "C" int xpmem_init(void)
{
  return xpmem::enter(-1, [](Library &) { return 0; });
}

extern "C" xpmem_segid_t xpmem_make(void *vaddr, size_t size, int permit_type,
                                    void *permit_value)
{
  return xpmem::enter(xpmem_segid_t{-1}, [=](Library &self) {
    const auto mode = reinterpret_cast<uintptr_t>(permit_value);
    xpmem::require(permit_type == XPMEM_PERMIT_MODE && (mode & ~uintptr_t{0777}) == 0,
                   EINVAL);
    return self.make(reinterpret_cast<uintptr_t>(vaddr), size,
                     static_cast<unsigned>(mode));
  });
}

extern "C" int xpmem_remove(xpmem_segid_t segid)
{
  return xpmem::enter(-1, [=](Library &self) { return self.remove(segid), 0; });
}

extern "C" xpmem_apid_t xpmem_get(xpmem_segid_t segid, int flags, int permit_type,
                                  void * /* permit_value */)
{
  return xpmem::enter(xpmem_apid_t{-1}, [=](Library &self) {
    xpmem::require((flags == 0 || flags == XPMEM_RDONLY || flags == XPMEM_RDWR) &&
                       permit_type == XPMEM_PERMIT_MODE,
                   EINVAL);
    return self.get(segid, flags == XPMEM_RDWR ? CMA_ACCESS_READ | CMA_ACCESS_WRITE
                                               : CMA_ACCESS_READ);
  });
}

extern "C" int xpmem_release(xpmem_apid_t apid)
{
  return xpmem::enter(-1, [=](Library &self) { return self.release(apid), 0; });
}

extern "C" void *xpmem_attach(struct xpmem_addr addr, size_t size, void *vaddr)
{
  return xpmem::enter(MAP_FAILED, [=](Library &self) {
    return self.attach(addr, size, reinterpret_cast<uintptr_t>(vaddr));
  });
}

extern "C" int xpmem_detach(void *vaddr)
{
  return xpmem::enter(-1, [=](Library &self) {
    return self.detach(reinterpret_cast<uintptr_t>(vaddr)), 0;
  });
}
