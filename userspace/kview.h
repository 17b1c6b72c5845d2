/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef KVIEW_H
#define KVIEW_H

/* The subcommands, each with an argv of its own; they return the exit status. */
int cmd_stat(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_list_events(int argc, char **argv);
int cmd_target(int argc, char **argv);

#define EXIT_FAILED 1
#define EXIT_USAGE 2

#endif
