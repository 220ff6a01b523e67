// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Who a process is. A Persona lends the test's own process another real and
 * effective user for a while; the other functions are steps for peers, which
 * stay what they became.
 */
#pragma once

#include <initializer_list>
#include <sys/types.h>

namespace cma_test {

constexpr uid_t alice = 1000;
constexpr uid_t bob = 1001;
constexpr uid_t nobody = 65534;

/// Real and effective ids for the life of the object; root stays saved.
class Persona {
public:
  Persona(uid_t uid, gid_t gid);
  Persona(const Persona &) = delete;
  Persona &operator=(const Persona &) = delete;
  ~Persona();
};

/// For good, with no other group; leaves the process dumpable, as a program is that the
/// user started. Ends the process if it cannot be done.
void become(uid_t uid, gid_t gid);
inline void become(uid_t user)
{
  become(user, user);
}
/// As become(), keeping these capabilities permitted, and effective too if asked.
void become_with(uid_t user, std::initializer_list<int> capabilities,
                 bool effective = true);
/// Takes one capability from root, and leaves it all others.
void drop_capability(int capability);

/// Another process in the calling one's memory, of that user; it sleeps. To be called
/// once.
pid_t clone_sibling(uid_t user);

} // namespace cma_test
