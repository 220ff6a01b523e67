// SPDX-License-Identifier: MIT OR BSD-2-Clause
// See bench_way.hpp.
#include "bench_way.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "command.hpp"

namespace bench {
namespace {

[[noreturn]] void fell_short(ssize_t result, size_t length)
{
  if (result < 0)
    throw std::runtime_error(strerror(static_cast<int>(-result)));
  throw std::runtime_error(fmt::format("{} of {} bytes were moved", result, length));
}

/* The loop of a sample stands around the copy itself, with no call through a pointer
 * between, which would take longer than the copy of some bytes does. */
template<typename Copy>
class WayBy final : public Way {
public:
  explicit WayBy(Copy copy) : copy{std::move(copy)} {}

  void repeat(char *to, size_t length, size_t span, uint64_t times) override
  {
    for (Walk walk(length, span); times > 0; times--, walk.step()) {
      const ssize_t result = copy(to + walk.offset, walk.offset, length);
      if (result != static_cast<ssize_t>(length))
        fell_short(result, length);
    }
  }

private:
  Copy copy; /* (to, offset in the owner's memory, length) -> bytes, or -errno */
};

template<typename Copy>
std::unique_ptr<Way> way_by(Copy copy)
{
  return std::make_unique<WayBy<Copy>>(std::move(copy));
}

/* The compiler must not merge it with the next one, nor know its length. */
ssize_t copy_bytes(char *to, const char *from, size_t length)
{
  std::memcpy(to, from, length);
  asm volatile("" : : "r"(to) : "memory");
  return static_cast<ssize_t>(length);
}

std::unique_ptr<Way> by_process_vm(const Ground &ground)
{
  return way_by([ground](char *to, size_t offset, size_t length) -> ssize_t {
    const iovec local = {to, length};
    const iovec remote = {ground.remote + offset, length};
    const ssize_t result = process_vm_readv(ground.owner, &local, 1, &remote, 1, 0);
    return result < 0 ? -errno : result;
  });
}

std::unique_ptr<Way> by_pid(const Ground &ground)
{
  return way_by([context = open_context(CMA_OPEN_DEVICE), peer = cma::pid(ground.owner),
                 ground](char *to, size_t offset, size_t length) {
    return cma_read(context.get(), peer, to,
                    reinterpret_cast<uintptr_t>(ground.remote + offset), length);
  });
}

std::unique_ptr<Way> by_handle(const Ground &ground)
{
  cma::Context context = open_context(CMA_OPEN_DEVICE);
  cma::Handle handle = context.open(cma::pid(ground.owner));
  return way_by([context = std::move(context), handle = std::move(handle),
                 ground](char *to, size_t offset, size_t length) {
    return cma_read(context.get(), handle, to,
                    reinterpret_cast<uintptr_t>(ground.remote + offset), length);
  });
}

std::unique_ptr<Way> by_window(const Ground &ground)
{
  cma::Context context = open_context(CMA_OPEN_DEVICE);
  cma::Handle handle = context.open_window(ground.window, CMA_ACCESS_READ);
  return way_by([context = std::move(context),
                 handle = std::move(handle)](char *to, size_t offset, size_t length) {
    return cma_read(context.get(), handle, to, offset, length);
  });
}

std::unique_ptr<Way> by_mapping(const Ground &ground)
{
  const cma::Context context = open_context(CMA_OPEN_DEVICE);
  const cma::Handle handle = context.open(cma::pid(ground.owner));
  cma::Mapping mapping = context.map(handle, reinterpret_cast<uintptr_t>(ground.remote),
                                     ground.span, PROT_READ, CMA_MAP_POPULATE);
  return way_by([mapping = std::move(mapping)](char *to, size_t offset, size_t length) {
    return copy_bytes(to, static_cast<const char *>(mapping.data()) + offset, length);
  });
}

std::unique_ptr<Way> by_double_copy(const Ground &ground)
{
  return way_by([ground](char *to, size_t offset, size_t length) {
    return receive(*ground.ring, to, ground.remote + offset, length);
  });
}

std::unique_ptr<Way> by_memcpy(const Ground &ground)
{
  return way_by([ground](char *to, size_t offset, size_t length) {
    return copy_bytes(to, ground.here + offset, length);
  });
}

constexpr std::array<Kind, 7> all_kinds = {{
    {"process_vm", "process_vm", false, false, by_process_vm},
    {"pid", "by pid", true, false, by_pid},
    {"handle", "by handle", true, false, by_handle},
    {"window", "by window", true, false, by_window},
    {"mapping", "mapped", true, false, by_mapping},
    {"double_copy", "double copy", false, true, by_double_copy},
    {"memcpy", "memcpy", false, false, by_memcpy},
}};

} // namespace

std::span<const Kind> kinds()
{
  return all_kinds;
}

} // namespace bench
