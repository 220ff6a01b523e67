// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Who uses /dev/cma, as /proc has it: open files by /proc/PID/fdinfo, and mappings by
 * /proc/PID/maps. A program can hold the module by either.
 */
#ifndef CMA_TOOLS_HOLDERS_HPP
#define CMA_TOOLS_HOLDERS_HPP

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

struct HeldHandle {
  int number;
  bool window;        /* of a window; else of a process */
  pid_t pid;          /* 0: not known here; -1: gone */
  std::string access; /* "r", "w" or "rw" */
};

struct HeldWindow {
  uint64_t length;
  std::string access;
  std::string mode; /* "0640" */
};

/** An open file. Descriptors that were inherited or passed on share one, and each shows
 *  all that is in it. */
struct HeldFile {
  int fd;
  std::string access;
  uint64_t copies = 0, bytes = 0, verdicts = 0;
  /** How many there are; of very many not all are told below. */
  uint64_t handle_count = 0, window_count = 0;
  std::vector<HeldHandle> handles;
  std::vector<HeldWindow> windows;
};

struct Holder {
  pid_t pid;
  std::string user, command;
  std::vector<HeldFile> files;
  unsigned mappings = 0;
  uint64_t mapped = 0; /* bytes */
};

struct Holders {
  std::vector<Holder> known; /* by pid */
  unsigned hidden = 0;       /* processes that /proc does not let the caller look into */
};

/** only: this process alone, if it is not 0. Throws if there is none. */
Holders find_holders(pid_t only = 0);

#endif
