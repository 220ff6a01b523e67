// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What the tests share: contexts that close themselves, memory with holes, peers.
#ifndef CMA_TESTS_UNIT_SUPPORT_HPP
#define CMA_TESTS_UNIT_SUPPORT_HPP

#include <array>
#include <cma.h>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

struct CloseContext {
  void operator()(cma_context *context) const { cma_close(context); }
};
using Context = std::unique_ptr<cma_context, CloseContext>;

// Opens a context, or fails the test and returns none.
Context open_context(unsigned int flags = 0);

inline std::uintptr_t address_of(const void *pointer)
{
  return reinterpret_cast<std::uintptr_t>(pointer);
}

size_t page_size();

// An empty file with a name of its own, removed in the end.
class TemporaryFile {
public:
  TemporaryFile();
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile();
  [[nodiscard]] const std::string &path() const { return path_; }

private:
  std::string path_;
};

// Whole pages of anonymous memory, filled with a pattern that tells each byte's place.
class Pages {
public:
  explicit Pages(size_t count, unsigned char seed = 0);
  Pages(const Pages &) = delete;
  Pages &operator=(const Pages &) = delete;
  ~Pages();

  [[nodiscard]] char *data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] char *page(size_t index) const { return data_ + index * page_size(); }
  void protect(size_t index, int protection) const; // of one page
  void unmap(size_t index) const;                   // one page

private:
  size_t size_;
  char *data_;
};

// A child process that shares nothing with the test but what it was forked with. It
// runs a function, then sleeps until it is killed, at the latest by the destructor.
class Peer {
public:
  explicit Peer(const std::function<void()> &run = [] {});
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;
  ~Peer();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Ends the process; a zombie until it is reaped.
  void kill() const;
  void reap();

private:
  pid_t pid_;
};

// Runs a function in a forked child. Returns its result, an exit status, or -1 if it
// did not end by itself.
int in_child(const std::function<int()> &run);

// In a child: become user and group nobody, dumpable as before.
void become_nobody();

// In a child: give up all capabilities, and keep the ids.
void drop_capabilities();

// How many descriptors are open.
size_t open_descriptors();

#endif
