// SPDX-License-Identifier: MIT OR BSD-2-Clause
#include "holders.hpp"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <fmt/core.h>
#include <pwd.h>
#include <sys/stat.h>

namespace {

namespace fs = std::filesystem;

std::optional<int> as_number(const std::string &text)
{
  int number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

HeldHandle parse_handle(std::istringstream words)
{
  HeldHandle handle = {};
  std::string kind;
  words >> handle.number >> kind;
  handle.window = kind == "window";
  if (!handle.window)
    words >> handle.pid;
  words >> handle.access;
  return handle;
}

HeldWindow parse_window(std::istringstream words)
{
  HeldWindow window = {};
  std::string unit;
  words >> window.length >> unit >> window.access >> window.mode;
  return window;
}

/* Nothing if the descriptor is gone meanwhile, or of another file by now. */
std::optional<HeldFile> read_file(const fs::path &process, int fd)
{
  HeldFile file = {};
  file.fd = fd;
  bool ours = false;
  std::ifstream fdinfo(process / "fdinfo" / std::to_string(fd));
  for (std::string line; std::getline(fdinfo, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    ours |= key.rfind("cma-", 0) == 0;
    if (key == "cma-access:")
      words >> file.access;
    else if (key == "cma-copies:")
      words >> file.copies;
    else if (key == "cma-bytes:")
      words >> file.bytes;
    else if (key == "cma-verdicts:")
      words >> file.verdicts;
    else if (key == "cma-handles:")
      words >> file.handle_count;
    else if (key == "cma-windows:")
      words >> file.window_count;
    else if (key == "cma-handle:")
      file.handles.push_back(parse_handle(std::move(words)));
    else if (key == "cma-window:")
      file.windows.push_back(parse_window(std::move(words)));
  }
  if (!ours)
    return std::nullopt;
  return file;
}

bool is_refusal(const std::error_code &error)
{
  return error == std::errc::permission_denied ||
         error == std::errc::operation_not_permitted;
}

/* False if /proc does not let the caller look. */
bool read_files(const fs::path &process, Holder &holder)
{
  std::error_code error;
  for (fs::directory_iterator entry(process / "fd", error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unread; /* closed meanwhile, or refused */
    const std::string target = fs::read_symlink(entry->path(), unread);
    if (is_refusal(unread))
      return false;
    /* Elsewhere than in /dev, perhaps, or "(deleted)": fdinfo is asked in the end. */
    if (target.find("/cma") == std::string::npos)
      continue;
    if (const auto fd = as_number(entry->path().filename()))
      if (auto file = read_file(process, *fd))
        holder.files.push_back(std::move(*file));
  }
  std::sort(holder.files.begin(), holder.files.end(),
            [](const HeldFile &one, const HeldFile &other) { return one.fd < other.fd; });
  return !is_refusal(error);
}

void read_mappings(const fs::path &process, Holder &holder)
{
  std::ifstream maps(process / "maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0;
    uint64_t end = 0;
    int named = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &begin,
                    &end, &named) != 2 ||
        line.compare(static_cast<size_t>(named), std::string::npos, "anon_inode:[cma]") !=
            0)
      continue;
    holder.mappings++;
    holder.mapped += end - begin;
  }
}

std::string user_of(const fs::path &process)
{
  struct stat status = {};
  if (stat(process.c_str(), &status) != 0)
    return "?";
  const passwd *entry = getpwuid(status.st_uid);
  return entry ? entry->pw_name : std::to_string(status.st_uid);
}

/* As it may stand on a terminal: anybody may call a process anything. */
std::string command_of(const fs::path &process)
{
  std::string command;
  std::getline(std::ifstream(process / "comm"), command);
  for (char &c : command)
    if (c < ' ' || c > '~')
      c = '?';
  return command;
}

} // namespace

Holders find_holders(pid_t only)
{
  Holders holders;
  const auto look = [&holders](pid_t pid) {
    const fs::path process = fmt::format("/proc/{}", pid);
    Holder holder = {};
    holder.pid = pid;
    if (!read_files(process, holder))
      holders.hidden++;
    read_mappings(process, holder);
    if (holder.files.empty() && holder.mappings == 0)
      return;
    holder.user = user_of(process);
    holder.command = command_of(process);
    holders.known.push_back(std::move(holder));
  };
  if (only != 0) {
    if (!fs::exists(fmt::format("/proc/{}", only)))
      throw std::runtime_error(fmt::format("there is no process {}", only));
    look(only);
    return holders;
  }
  for (const auto &entry : fs::directory_iterator("/proc"))
    if (const auto pid = as_number(entry.path().filename()))
      look(*pid);
  std::sort(holders.known.begin(), holders.known.end(),
            [](const Holder &one, const Holder &other) { return one.pid < other.pid; });
  return holders;
}
