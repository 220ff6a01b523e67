// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * What an owner's consent opens: windows, mappings of them, and the segments of
 * libxpmem, which are both.
 */
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.hpp"

namespace {

constexpr uint64_t theirs =
    11; /* the seeds of what lies in the owner's memory and here */
constexpr uint64_t ours = 12;

/* A child with a window over the beginning of its arena, which it ends on demand. */
class Owner {
public:
  Owner(const Bench &bench, size_t size, unsigned access)
  {
    bench.need(CMA_CAN_WINDOW, "windows");
    int up[2];
    int down[2];
    expect(pipe(up) == 0 && pipe(down) == 0, "pipe: {}", strerror(errno));
    char *arena = bench.peer.arena();
    fill(arena, 0, size, theirs);
    pid = fork();
    if (pid == 0) {
      close(down[1]);
      live({arena, size}, access, up[1], down[0]);
    }
    fill(arena, 0, size, ours);
    close(up[1]);
    close(down[0]);
    answers = up[0];
    orders = down[1];
    expect(read(answers, &name, sizeof(name)) == sizeof(name),
           "the owner could not create a window");
  }
  Owner(const Owner &) = delete;
  Owner &operator=(const Owner &) = delete;
  ~Owner()
  {
    close(orders);
    close(answers);
    waitpid(pid, nullptr, 0);
  }

  void end_window() const
  {
    char byte = 0;
    expect(write(orders, &byte, 1) == 1 && read(answers, &byte, 1) == 1,
           "the owner does not answer");
  }

  uint64_t name = 0;

private:
  [[noreturn]] static void live(cma::ConstView memory, unsigned access, int answers,
                                int orders)
  {
    std::error_code error;
    cma::Context context(CMA_OPEN_DEVICE, error);
    uint64_t name = 0;
    char byte;
    if (!error &&
        cma_window_create(context.get(), memory.data(), memory.size(), access, 0600,
                          &name) == 0 &&
        write(answers, &name, sizeof(name)) == sizeof(name) &&
        read(orders, &byte, 1) == 1) {
      cma_window_destroy(context.get(), name);
      (void)!write(answers, &byte, 1);
      (void)!read(orders, &byte, 1);
    }
    _exit(0);
  }

  pid_t pid;
  int answers, orders;
};

constexpr unsigned all = CMA_ACCESS_READ | CMA_ACCESS_WRITE;

void expect_pattern(const char *memory, size_t begin, size_t length, uint64_t seed)
{
  for (size_t i = 0; i < length; i++)
    expect(memory[i] == pattern(seed, begin + i), "wrong byte {} of {}", i, length);
}

void window_copies(Bench &bench)
{
  const size_t size = 2 * page + 100;
  Owner owner(bench, size, all);
  cma::Handle handle = bench.context.open_window(owner.name);
  std::string memory(size, 'x');
  for (size_t offset : {size_t{0}, size_t{5}, page - 1, page + 7}) {
    size_t got = bench.context.read(handle, {memory.data(), size - offset}, offset);
    expect(got == size - offset, "{} bytes read at {}", got, offset);
    expect_pattern(memory.data(), offset, got, theirs);
  }
  const std::string word = "written";
  bench.context.store_from(handle, word, page - 3);
  bench.context.load_into(handle, {memory.data(), word.size()}, page - 3);
  expect(memory.starts_with(word), "what was written is not there");
  expect(!find_difference(bench.peer.arena(), 0, size, ours),
         "this process's own memory changed");
}

void window_limits(Bench &bench)
{
  const size_t size = page + 100;
  Owner owner(bench, size, CMA_ACCESS_READ);
  cma_context *context = bench.context.get();
  expect_result(cma_window_open(context, owner.name, CMA_ACCESS_WRITE), -EACCES,
                "to open it for writing");
  expect_result(cma_window_open(context, owner.name ^ 1, 0), -ENOENT, "another name");
  cma::Handle handle = bench.context.open_window(owner.name);
  char bytes[10];
  expect_result(cma_read(context, handle, bytes, size - 4, 10), 4, "up to its end");
  expect_result(cma_read(context, handle, bytes, size, 10), -EFAULT, "behind its end");
  expect_result(cma_write(context, handle, bytes, 0, 10), -EACCES, "to write it");
  owner.end_window();
  expect_result(cma_read(context, handle, bytes, 0, 10), -EIDRM, "a window that ended");
}

void mapping_shows_the_owner(Bench &bench)
{
  bench.need(CMA_CAN_MAP, "mappings");
  const size_t size = 4 * page;
  Owner owner(bench, size, all);
  cma::Handle handle = bench.context.open_window(owner.name);
  cma::Mapping mapping =
      bench.context.map(handle, page, 2 * page, PROT_READ | PROT_WRITE);
  auto *memory = static_cast<char *>(mapping.data());
  expect_pattern(memory, page, 2 * page, theirs);
  memcpy(memory + 100, "stored", 6);
  char bytes[6];
  bench.context.load_into(handle, bytes, page + 100);
  expect(memcmp(bytes, "stored", 6) == 0, "the owner does not have what was stored");
  owner.end_window();
  /* To touch it would be SIGBUS; a system call says it in a friendlier way. */
  int ends[2];
  expect(pipe(ends) == 0, "pipe: {}", strerror(errno));
  ssize_t result = write(ends[1], memory, 1);
  int error = errno;
  close(ends[0]);
  close(ends[1]);
  expect_result(result < 0 ? -error : result, -EFAULT, "to use it when the window ended");
}

/* The library beside this program, as the build tree or an installation has it, or the
 * system's. */
class Xpmem {
public:
  Xpmem()
  {
    namespace fs = std::filesystem;
    fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    for (const fs::path &place :
         {here / "../shims/xpmem/libxpmem.so.0",
          here / LIBDIR_FROM_BINDIR / "libxpmem.so.0", fs::path("libxpmem.so.0")})
      if (!library)
        library = dlopen(place.c_str(), RTLD_NOW);
    if (!library)
      throw Skipped("libxpmem.so.0 is not installed");
    find(version, "xpmem_version");
    find(make, "xpmem_make");
    find(remove, "xpmem_remove");
    find(get, "xpmem_get");
    find(release, "xpmem_release");
    find(attach, "xpmem_attach");
    find(detach, "xpmem_detach");
    if (version() < 0)
      throw Skipped(fmt::format("libxpmem: {}", strerror(errno)));
  }

  struct Address {
    int64_t permit;
    off_t offset;
  };
  static constexpr int read_write = 2;
  static constexpr int by_mode = 1;

  int (*version)() = nullptr;
  int64_t (*make)(void *, size_t, int, void *) = nullptr;
  int (*remove)(int64_t) = nullptr;
  int64_t (*get)(int64_t, int, int, void *) = nullptr;
  int (*release)(int64_t) = nullptr;
  void *(*attach)(Address, size_t, void *) = nullptr;
  int (*detach)(void *) = nullptr;

private:
  template<typename Function>
  void find(Function &function, const char *name) const
  {
    function = reinterpret_cast<Function>(dlsym(library, name));
    expect(function != nullptr, "{}: {}", name, dlerror());
  }

  void *library = nullptr; /* stays: it may have handlers of fork() */
};

/* In a child: what another process does with a segment. Which step failed, or 0. */
int attach_and_touch(const Xpmem &xpmem, int64_t segment)
{
  int64_t permit = xpmem.get(segment, Xpmem::read_write, Xpmem::by_mode, nullptr);
  if (permit <= 0)
    return 1;
  void *where = xpmem.attach({permit, static_cast<off_t>(page)}, page, nullptr);
  if (where == reinterpret_cast<void *>(-1))
    return 2;
  auto *memory = static_cast<char *>(where);
  for (size_t i = 0; i < page; i++)
    if (memory[i] != pattern(theirs, page + i))
      return 3;
  memcpy(memory, "attached", 8);
  return xpmem.detach(where) != 0 ? 4 : xpmem.release(permit) != 0 ? 5 : 0;
}

void xpmem_segments(Bench &bench)
{
  bench.need(CMA_CAN_MAP, "mappings");
  constexpr std::array steps = {"",
                                "xpmem_get",
                                "xpmem_attach",
                                "the bytes attached",
                                "xpmem_detach",
                                "xpmem_release"};
  const Xpmem xpmem;
  char *arena = bench.peer.arena();
  fill(arena, 0, 3 * page, theirs);
  int64_t segment =
      xpmem.make(arena, 3 * page, Xpmem::by_mode, reinterpret_cast<void *>(0600));
  expect(segment > 0, "xpmem_make: {}", strerror(errno));
  pid_t child = fork();
  if (child == 0)
    _exit(attach_and_touch(xpmem, segment));
  int status = 0;
  waitpid(child, &status, 0);
  const auto step = static_cast<size_t>(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  expect(step < steps.size(), "the child that attached it died");
  expect(step == 0, "{} failed in another process", steps[step]);
  expect(memcmp(arena + page, "attached", 8) == 0, "what was stored is not here");
  expect(xpmem.remove(segment) == 0, "xpmem_remove: {}", strerror(errno));
}

constexpr Item of_windows[] = {
    {"a window: what its owner exposes", window_copies},
    {"a window: its end, its rights, its destruction", window_limits},
    {"a mapping: the owner's memory as it is", mapping_shows_the_owner},
    {"libxpmem: a segment, attached by another process", xpmem_segments},
};

} // namespace

std::span<const Item> window_items()
{
  return of_windows;
}
