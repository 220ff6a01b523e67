// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Files of /proc and /sys; see system.hpp.
#include "system.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace cma_test {
namespace {

/// The number after a name, in lines that begin with one.
uint64_t number_after(const std::string &path, const std::string &name)
{
  std::ifstream file(path);
  std::string word;
  for (uint64_t number = 0; file >> word; file.ignore(256, '\n'))
    if (word == name && file >> number)
      return number;
  return 0;
}

} // namespace

std::optional<uint64_t> get_value(const std::string &path)
{
  uint64_t value = 0;
  if (std::ifstream(path) >> value)
    return value;
  return {};
}

std::optional<std::string> get_line(const std::string &path)
{
  std::ifstream file(path);
  std::string line;
  if (!file)
    return {};
  std::getline(file, line);
  return line;
}

bool put_value(const std::string &path, const std::string &value)
{
  std::ofstream file(path);
  file << value << std::flush;
  return file.good();
}

uint64_t vm_event(const std::string &name)
{
  return number_after("/proc/vmstat", name);
}

uint64_t meminfo(const std::string &name)
{
  return number_after("/proc/meminfo", name + ":");
}

uint64_t slab_objects(const std::string &name)
{
  // Free objects that a CPU keeps at hand count as used until they are given back.
  put_value("/sys/kernel/slab/" + name + "/shrink", "1");
  return number_after("/proc/slabinfo", name);
}

std::optional<uint64_t> counter(const std::string &name)
{
  return get_value("/sys/class/misc/cma/" + name);
}

bool has_swap()
{
  return meminfo("SwapTotal") > 0;
}

void empty_swap()
{
  std::ifstream file("/proc/swaps");
  std::string path;
  std::getline(file, path); // the heads of its columns
  std::vector<std::string> paths;
  for (; file >> path; file.ignore(256, '\n'))
    paths.push_back(path);
  for (const std::string &swap : paths)
    if (swapoff(swap.c_str()) == 0)
      swapon(swap.c_str(), 0);
}

unsigned numa_nodes()
{
  unsigned nodes = 0;
  while (std::filesystem::exists("/sys/devices/system/node/node" + std::to_string(nodes)))
    nodes++;
  return nodes;
}

Setting::Setting(std::string path, const std::string &value)
    : path_(std::move(path)), before_(get_line(path_).value_or("")),
      taken_(put_value(path_, value))
{
}

Setting::~Setting()
{
  // A choice among words shows the chosen one in brackets.
  const size_t open = before_.find('[');
  if (open != std::string::npos)
    before_ = before_.substr(open + 1, before_.find(']') - open - 1);
  if (taken_)
    put_value(path_, before_);
}

Setting module_parameter(const std::string &name, const std::string &value)
{
  return {"/sys/module/cma/parameters/" + name, value};
}

Cgroup::Cgroup()
{
  static int last = 0;
  const std::string top = "/sys/fs/cgroup";
  path_ = top + "/cma-" + std::to_string(getpid()) + "-" + std::to_string(++last);
  usable_ = put_value(top + "/cgroup.subtree_control", "+memory") &&
            mkdir(path_.c_str(), 0755) == 0;
}

Cgroup::~Cgroup()
{
  for (int tries = 0; usable_ && rmdir(path_.c_str()) < 0 && tries < 100; tries++)
    usleep(20000);
}

bool Cgroup::set(const std::string &name, const std::string &value) const
{
  return put_value(path_ + "/" + name, value);
}

bool Cgroup::add(pid_t pid) const
{
  return set("cgroup.procs", std::to_string(pid));
}

uint64_t Cgroup::value(const std::string &file) const
{
  return get_value(path_ + "/" + file).value_or(0);
}

uint64_t Cgroup::number(const std::string &file, const std::string &name) const
{
  return number_after(path_ + "/" + file, name);
}

size_t Cgroup::anonymous_pages() const
{
  constexpr uint64_t anonymous = 1UL << 12; // KPF_ANON
  struct stat self {};
  if (stat(path_.c_str(), &self) < 0)
    return 0;
  std::ifstream owners("/proc/kpagecgroup", std::ios::binary);
  std::ifstream flags("/proc/kpageflags", std::ios::binary);
  std::array<uint64_t, 4096> owner{};
  std::array<uint64_t, 4096> flag{};
  size_t pages = 0;
  for (size_t count = 1; count > 0;) {
    const auto read = [](std::ifstream &file, auto &words) {
      file.read(reinterpret_cast<char *>(words.data()), sizeof(words));
      return static_cast<size_t>(file.gcount()) / sizeof(words[0]);
    };
    count = std::min(read(owners, owner), read(flags, flag));
    for (size_t i = 0; i < count; i++)
      pages += owner.at(i) == self.st_ino && (flag.at(i) & anonymous) != 0 ? 1 : 0;
  }
  return pages;
}

} // namespace cma_test
