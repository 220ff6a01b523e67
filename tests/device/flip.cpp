// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A process that is now its user's and now root's: it becomes a set-user-id
 * copy of this program and a plain one by turns, for ever. "flip PLAIN SETUID"
 * names the two. As root it keeps a secret at an address that both use for
 * their words; giving up root it keeps it still, and may not be looked at
 * until execve(2) has taken the memory away.
 */
#include "support/flip.hpp"

#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
  using namespace cma_test;
  if (argc != 3)
    return 2;
  void *memory =
      mmap(reinterpret_cast<void *>(flip_address), sizeof(uint64_t),
           PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (memory == MAP_FAILED)
    return 3;
  const bool secret = geteuid() != getuid();
  const uint64_t word = secret ? flip_secret : flip_public;
  memcpy(memory, &word, sizeof(word));
  if (secret && setresuid(getuid(), getuid(), getuid()) < 0)
    return 4;
  execl(secret ? argv[1] : argv[2], "flip", argv[1], argv[2], nullptr);
  return 5;
}
