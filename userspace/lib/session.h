/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef SESSION_H
#define SESSION_H

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "command.h"
#include "filter.h"
#include "target.h"

/*
 * What programs that trace processes have in common: options that say which and
 * how, and waiting for the end: of the processes, of a command, of a time, or by
 * a signal.
 *
 * Life: session_init(), argp_parse() with session_argp as a child of the
 * program's argp, session_open(); then, when all is attached, session_go(),
 * session_wait() and session_end(); in any case session_close().
 */
struct session {
	const char *name; /* of the program, for messages: "kview stat" */
	/* Options. */
	struct target_list targets;
	const struct filter *filter;
	__u32 view_flags;
	double duration; /* seconds, 0: no limit */
	bool json;
	const char *path; /* of the output */
	char **argv; /* of the command, or NULL */
	bool bad; /* usage; a line on standard error has said so */

	struct command command;
	bool command_is_target;
	FILE *file; /* the output */
	bool over; /* all targets have ended */
	double start; /* session_now() of session_go() */
	double seconds; /* from then to the end */
	/* What there is to wait for; SIGINT and SIGTERM are blocked. */
	sigset_t old_mask;
	int signals, timer, command_fd;
};

/*
 * The options --pid, --filter, --follow-fork, --duration, --json, --output,
 * --verbose and the command. Its input is a struct session. After a mistake it
 * looks at nothing more, so that this one alone is reported; so must its parent.
 */
extern const struct argp session_argp;

/* For help texts: what the targets are, when it ends, the filters, the statuses. */
#define SESSION_DOC_TARGET                                                      \
	"The target is the process or processes of -p, else COMMAND, which is " \
	"attached to before its first instruction. Events are seen of all "     \
	"threads of a target, and with --follow-fork of the child processes "   \
	"that it forks and of theirs, until\n"                                  \
	"\n"                                                                    \
	"  - COMMAND ends; or, without one, all targets have ended;\n"          \
	"  - the time of --duration has passed;\n"                              \
	"  - SIGINT or SIGTERM arrives.\n"                                      \
	"\n"                                                                    \
	"In the two last cases COMMAND is ended with SIGTERM after everything " \
	"has been printed, and by a second SIGINT or SIGTERM with SIGKILL. "    \
	"Child processes of targets are not waited for.\n"                      \
	"\n"
#define SESSION_DOC_FILTER                                                      \
	"FILTER says who tells the targets' events from all others, and at "    \
	"what price to the other processes:\n"                                  \
	"\n"                                                                    \
	"  view  the kernel view of each target: no price (default)\n"          \
	"  pre   a flag of the process, tested by each hook before it runs a\n" \
	"        program; needs a kernel with that patch\n"                     \
	"  in    the program: each event of each process runs it\n"             \
	"  post  this tool: each event of each process is sent to it\n"         \
	"\n"                                                                    \
	"--follow-fork needs the filter view. in and post work in the initial " \
	"PID namespace only.\n"                                                 \
	"\n"
#define SESSION_DOC_STATUS                                                        \
	"EXIT STATUS\n"                                                           \
	"\n"                                                                      \
	"  0      everything was printed\n"                                       \
	"  1      failure; nothing stays attached\n"                              \
	"  2      bad usage\n"                                                    \
	"  other  the status of COMMAND, 128 + N if signal N killed it; 127 if\n" \
	"         it cannot be found, 126 if it cannot be run\n"                  \
	"\n"

#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* A number of seconds above 0, for an option of that name. 0 or -EINVAL. */
int session_parse_seconds(const char *what, const char *arg, double *seconds);

/* The tools look at what there is this often, in seconds. */
#define SESSION_MIN_INTERVAL 0.1

/* The same for an option --interval, which is at least that. */
int session_parse_interval(const char *arg, double *seconds);

void session_init(struct session *session, const char *name);

/*
 * Check that the kernel can do the filter, open the output, start the command,
 * and hold it, and take hold of the targets. Returns 0, or the status to exit
 * with after one line on standard error.
 */
int session_open(struct session *session);

/*
 * Let the command run, and start the time. Returns 0, or a negative error after
 * one line on standard error, as do those below.
 */
int session_go(struct session *session);

/*
 * Wait for the end. In the meantime poll(arg), if it is not NULL, is called each
 * time when fd (-1: none) can be read, and every interval milliseconds (-1: never);
 * if it returns an error, that is the end, and the result. It may be called more
 * often.
 */
int session_wait(struct session *session, int fd, int interval,
		 int (*poll)(void *arg), void *arg);

/* "WHAT process 1 (init), filter view:", for WHAT of all targets. */
void session_heading(const struct session *session, const char *what);

/* Write out what is left in the output. */
int session_flush(const struct session *session);

/* End the command, if there is one. Returns the status to exit with. */
int session_end(struct session *session);

void session_close(struct session *session);

/* Seconds of the monotonic clock. */
double session_now(void);

#endif
