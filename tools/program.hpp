// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * A program's file, as the dynamic linker and the kernel will see it: whether a library
 * can be preloaded into it.
 */
#ifndef CMA_TOOLS_PROGRAM_HPP
#define CMA_TOOLS_PROGRAM_HPP

#include <filesystem>
#include <optional>
#include <string>

/** The file that execvp(3) would take for a command; nothing if there is none. */
std::optional<std::filesystem::path> find_program(const std::string &command);

/** Why nothing can be preloaded into this program, or into the interpreter of this
 *  script: a clause that goes on from its name. Empty if something can, or if it cannot
 *  be told. */
std::string why_not_preloaded(const std::filesystem::path &program);

#endif
