// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * One transfer between this program and a range of a process's memory, or of a
 * window, chunk by chunk: what cma read and cma write have in common. It knows how far it
 * came and why it stopped, and reports both exactly.
 */
#ifndef CMA_TOOLS_TRANSFER_HPP
#define CMA_TOOLS_TRANSFER_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "command.hpp"
#include "progress.hpp"

/** What the command line of cma read and of cma write asks for. */
struct TransferOptions {
  bool write = false;
  pid_t pid = 0;
  uint64_t window = 0;  /* its name; 0: the process is meant */
  uint64_t address = 0; /* in a window: the offset from its beginning */
  /* Nothing: to the end of the input; or of the window. */
  std::optional<uint64_t> length = {};
  std::optional<uint64_t> expected = {}; /* the same, guessed if need be, to show */
  std::string file = {};                 /* empty or "-": standard input or output */
  bool json = false;
};

class Transfer {
public:
  /** Opens the way to the process. Throws if the range is none. */
  explicit Transfer(const TransferOptions &options);

  /** Where data rests between a process and a file. */
  std::vector<char> buffer;

  /** Bytes that the next chunk should have; 0 when the transfer is over, because all
   *  was moved, something failed or a signal came. */
  size_t next_chunk() const;

  /** Copy between memory here and the process, at the present position. Bytes moved;
   *  0 after a failure, which is noted. */
  size_t move(char *memory, size_t length);

  /** So many more bytes have arrived where they should. */
  void arrived(size_t bytes);

  /** Something other than the copy failed. error: errno value, or 0 for none. */
  void stop(int error, const std::string &why);

  bool failed() const { return !problem.empty(); }

  /** Report to stderr, and as JSON if wanted; ends the program after a failure. */
  void finish(FILE *json);

private:
  void open_peer();
  void read_to_end_of(uint64_t whole);
  void stop_at(const cma_request &request, int error);

  TransferOptions options;
  cma::Context context;
  cma::Handle handle; /* empty if there could be none */
  cma::Peer peer;
  Progress progress;
  uint64_t moved = 0;
  int error = 0;
  std::string problem;
  std::optional<uint64_t> fault_address;
};

/** The arguments: PID ADDR [LEN], or with --window [OFFSET [LEN]]; and --json. Of a
 *  process's memory there is no end to read to: options.write tells which it is. */
void add_transfer_arguments(CLI::App &command, TransferOptions &options);

#endif
