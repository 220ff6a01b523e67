// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The readers share two pipes. A word is as small as a pipe keeps whole, so
// each reader takes one; who is early takes no second one before all answered.

#include "readers.hpp"

#include "processor.hpp"

#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace bench {

Readers::Readers(int number, const Mechanism &mechanism, const Place &from,
                 std::size_t bytes)
{
  if (pipe(words_.data()) != 0 || pipe(answers_.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  for (int i = 0; i < number; ++i) {
    const OnProcessor here(i);
    peers_.push_back(std::make_unique<Peer>(Belongings{.bytes = bytes, .huge = false},
                                            [&](std::byte *own) {
                                              live(mechanism, from, {own, bytes});
                                            }));
  }
}

Readers::~Readers()
{
  peers_.clear();
  for (const int fd : {words_[0], words_[1], answers_[0], answers_[1]})
    close(fd);
}

void Readers::live(const Mechanism &mechanism, const Place &from, iovec own) const
{
  const std::vector transfers{Transfer{.write = false,
                                       .pid = from.pid,
                                       .window = from.window,
                                       .local = {own},
                                       .remote = {{from.address, own.iov_len}}}};
  const auto calls = mechanism.prepare(transfers, Contact::kKnown);
  int times = 0;
  while (read(words_[0], &times, sizeof times) == sizeof times) {
    char good = 1;
    for (int i = 0; i < times; ++i)
      good &= static_cast<char>(calls.front()() == static_cast<ssize_t>(own.iov_len));
    if (write(answers_[1], &good, sizeof good) != sizeof good)
      return;
  }
}

std::chrono::duration<double> Readers::round(int times)
{
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < peers_.size(); ++i)
    if (write(words_[1], &times, sizeof times) != sizeof times)
      throw std::system_error(errno, std::generic_category(), "write");
  char good = 1;
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    char answer = 0;
    if (read(answers_[0], &answer, sizeof answer) != sizeof answer)
      throw std::system_error(errno, std::generic_category(), "read");
    good &= answer;
  }
  const auto end = std::chrono::steady_clock::now();
  if (good == 0)
    throw std::runtime_error("a reader failed to copy");
  return end - start;
}

} // namespace bench
