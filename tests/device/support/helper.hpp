// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Programs that tests run: parts of the test binary itself, called with
 * "--helper NAME", and the programs built beside it.
 */
#pragma once

#include <chrono>
#include <string>

namespace cma_test {

/// The test binary as a helper; argv[0] is the helper's name.
int helper_main(int argc, char **argv);

/// unload-among-exits MS: unloads the module while processes exit of which it still knows
/// memory, one after the other. Nothing else may have the device open. Exits with 0 if it
/// is gone.
int unload_among_exits(std::chrono::milliseconds pause);

/// The absolute path of the test binary.
std::string own_path();
/// The absolute path of a program that is built beside the test binary.
std::string beside(const char *program);

/// A number from the environment, by which a run of random tests can be repeated.
unsigned long from_environment(const char *name, unsigned long otherwise);

} // namespace cma_test
