// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Lets a long transfer be stopped between two chunks, say how far it came, and
 * still end as a program does that the signal killed. A pipe without a reader is
 * an error of write(2), not a silent death.
 */
#ifndef CMA_TOOLS_SIGNALS_HPP
#define CMA_TOOLS_SIGNALS_HPP

/** From now on SIGINT, SIGTERM and SIGHUP are noted, and SIGPIPE is ignored. */
void note_signals();

/** The signal that came, or 0. */
int noted_signal();

/** End the program by this signal. */
[[noreturn]] void die_of(int signal);

#endif
