/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef KVIEW_H
#define KVIEW_H

#include "session.h" /* EXIT_FAILED, EXIT_USAGE */

/* The subcommands, each with an argv of its own; they return the exit status. */
int cmd_stat(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_list_events(int argc, char **argv);
int cmd_target(int argc, char **argv);

#endif
