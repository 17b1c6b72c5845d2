/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef COMMAND_H
#define COMMAND_H

#include <signal.h>
#include <sys/types.h>

/*
 * A command that is run while events are counted.
 *
 * It is held before its first instruction: the child asks to be traced and
 * calls exec, after which the kernel sends it SIGTRAP, so that it stops on its
 * way out of the kernel, when execve() is over but nothing of the program has
 * run. What is attached then sees all of the program, and nothing of what made
 * it.
 */
struct command {
	pid_t pid; /* 0: none, or reaped */
	int status; /* what the shell would show, once reaped */
};

/*
 * Start argv[0], found in PATH, with the signal mask given, and hold it. Returns
 * 0, or a negative error after one line on standard error (-ENOENT: not found).
 */
int command_start(struct command *command, char **argv, const sigset_t *mask);
/* Let it run. */
int command_release(struct command *command);
/* Ask it to end (SIGTERM), or make it (SIGKILL). */
void command_kill(struct command *command, int sig);
/* Reap it, and return its status: 128 + N if signal N killed it. */
int command_wait(struct command *command);

#endif
