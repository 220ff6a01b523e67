// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The guest's switches and numbers: files of /proc and /sys, memory cgroups.
 * A Setting and a Cgroup end with their object.
 */
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

namespace cma_test {

/// The number at the beginning of a file; nothing if there is no such file.
std::optional<uint64_t> get_value(const std::string &path);
/// The first line of a file, nothing if it does not open.
std::optional<std::string> get_line(const std::string &path);
/// Whether the file took it.
bool put_value(const std::string &path, const std::string &value);

/// A counter of /proc/vmstat, 0 if there is none of the name.
uint64_t vm_event(const std::string &name);
/// A line of /proc/meminfo, in KiB.
uint64_t meminfo(const std::string &name);
/// Objects in use of a slab cache, 0 if it has no name of its own.
uint64_t slab_objects(const std::string &name);
/// A counter of the module; nothing if it has none of the name.
std::optional<uint64_t> counter(const std::string &name);

bool has_swap();
/// Takes all pages out of swap, and out of its cache, where a page stays that nobody has
/// any more.
void empty_swap();
unsigned numa_nodes();

/// Another value for a while.
class Setting {
public:
  Setting(std::string path, const std::string &value);
  Setting(const Setting &) = delete;
  Setting &operator=(const Setting &) = delete;
  ~Setting();

  explicit operator bool() const { return taken_; }

private:
  std::string path_;
  std::string before_;
  bool taken_;
};

/// A parameter of the module, for a while.
Setting module_parameter(const std::string &name, const std::string &value);

/// A memory cgroup of its own; its members have to be gone before it ends.
class Cgroup {
public:
  Cgroup();
  Cgroup(const Cgroup &) = delete;
  Cgroup &operator=(const Cgroup &) = delete;
  ~Cgroup();

  /// False if this kernel or guest has no memory cgroups.
  explicit operator bool() const { return usable_; }
  bool set(const std::string &name, const std::string &value) const;
  bool add(pid_t pid) const;
  /// The number that a file holds, 0 if there is none.
  uint64_t value(const std::string &file) const;
  /// A number out of a file with lines "name number".
  uint64_t number(const std::string &file, const std::string &name) const;
  /// Anonymous pages that are charged to it, counted frame by frame: memory.stat may be
  /// wrong by what each CPU has not told yet, 32 pages on 5.10.
  size_t anonymous_pages() const;

private:
  std::string path_;
  bool usable_;
};

} // namespace cma_test
