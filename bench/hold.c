// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * Keep programs attached for processes that sleep, while something else is
 * measured. In the end the first of these processes makes the calls that are
 * traced, and their events are counted: what was measured was traced for
 * somebody else indeed.
 *
 * kview-hold [--filter F] [--program P] [--targets N] EVENT...
 *
 * Prints "ready" when all is attached, and goes on until SIGINT or SIGTERM.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "attach.h"

#define MAX_TARGETS 1000
#define MAX_EVENTS 4
#define CALLS 100

static struct {
	enum filter filter;
	enum program program;
	unsigned int targets;
} options = { .targets = 1 };

/* --- a target --- */

static void call_read(void)
{
	static int zero = -1;
	char byte;

	if (zero < 0)
		zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (zero < 0 || read(zero, &byte, 1) != 1)
		err(1, "/dev/zero");
}

static void call_sendmsg(void)
{
	static int pair[2] = { -1, -1 };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (pair[0] < 0 &&
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		err(1, "socketpair");
	if (sendmsg(pair[0], &msg, 0) != 1 || recv(pair[1], &byte, 1, 0) != 1)
		err(1, "sendmsg");
}

static struct {
	const char *name;
	const char *event; /* tracepoint */
	const char *func; /* that nobody waits in */
	void (*call)(void);
} calls[] = {
	{ "read", "sys_enter_read", "read_zero", call_read },
	{ "sendmsg", "sys_enter_sendmsg", "__sys_sendmsg", call_sendmsg },
};

/* Sleep without a read(): who is traced is to cause no events until asked to. */
static void be_target(const int *wanted, unsigned int nr_wanted, int done)
{
	sigset_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	for (;;) {
		if (sigwaitinfo(&set, NULL) != SIGUSR1)
			continue;
		for (unsigned int i = 0; i < nr_wanted; i++)
			for (unsigned int j = 0; j < CALLS; j++)
				calls[wanted[i]].call();
		if (write(done, "", 1) != 1)
			_exit(1);
	}
}

/* --- the parent --- */

static pid_t start_target(const int *wanted, unsigned int nr_wanted, int done)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid)
		be_target(wanted, nr_wanted, done);
	return pid;
}

/* The plan for all targets but the first is to do the same for them, too. */
static struct bpf_link *attach_one_more(struct bpf_program *bpf,
					const struct plan *plan, pid_t pid)
{
	struct audience audience = { .pid = pid };
	struct bpf_link *link =
		attach_program(bpf, plan->program, &plan->hook, &audience);

	if (!link)
		err(1, "attach for process %d", pid);
	return link;
}

/* Calls of the first target, and what the programs see of them. */
static int check(struct attachment *const *at, unsigned int nr, pid_t target,
		 int done)
{
	uint64_t before = 0, events = 0;
	/* One buffer has what all programs print; else each counts for itself. */
	unsigned int counters = options.program == PROGRAM_PRINTK ? 1 : nr;
	const unsigned int expected = nr * CALLS;
	char byte;
	int bad;

	for (unsigned int i = 0; i < counters; i++)
		before += count_events(at[i]);
	if (kill(target, SIGUSR1) || read(done, &byte, 1) != 1)
		err(1, "the target is gone");
	for (unsigned int i = 0; i < counters; i++)
		events += count_events(at[i]);
	events -= before;
	/* Nobody keeps events of others from post, or of other calls from raw. */
	bad = options.filter == FILTER_POST || options.program == PROGRAM_RAW ||
			      options.program == PROGRAM_BTF ?
		      events < expected :
		      events != expected;
	printf("%s: %lu events of %u calls\n", bad ? "wrong" : "checked",
	       events, expected);
	return bad;
}

static const struct argp_option argp_options[] = {
	{ "filter", 'f', FILTER_CHOICE, 0,
	  "what keeps the program to the targets (none: attach nothing)", 0 },
	{ "program", 'p', PROGRAM_CHOICE, 0, "what to attach", 0 },
	{ "targets", 'T', "N", 0,
	  "with none and view: so many sleeping processes (1)", 0 },
	{}
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 'f':
		options.filter = index_of(
			filter_names, ARRAY_SIZE(filter_names), arg, "filter");
		break;
	case 'p':
		options.program = index_of(program_names,
					   ARRAY_SIZE(program_names), arg,
					   "program");
		break;
	case 'T':
		options.targets = number_of(arg, 1, MAX_TARGETS, "--targets");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "read|sendmsg...",
	.doc = "Keep BPF programs attached for processes that sleep, until SIGINT or SIGTERM.",
};

int main(int argc, char **argv)
{
	struct attachment *at[MAX_EVENTS];
	unsigned int nr = 0;
	int first, wanted[MAX_EVENTS], done[2], bad = 0;
	pid_t targets[MAX_TARGETS];
	sigset_t set;

	argp_parse(&argp, argc, argv, 0, &first, NULL);
	if (argc - first < 1 || argc - first > MAX_EVENTS)
		errx(2, "which system calls? (try --help)");
	if (options.targets > 1 && options.filter != FILTER_NONE &&
	    options.filter != FILTER_VIEW)
		errx(2, "--targets goes with --filter none and view");
	for (int i = first; i < argc; i++, nr++) {
		unsigned int j;

		for (j = 0; j < ARRAY_SIZE(calls); j++)
			if (!strcmp(calls[j].name, argv[i]))
				break;
		if (j == ARRAY_SIZE(calls))
			errx(2, "unknown call '%s' (try --help)", argv[i]);
		wanted[nr] = j;
	}

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (pipe2(done, O_CLOEXEC))
		err(1, "pipe");
	for (unsigned int i = 0; i < options.targets; i++)
		targets[i] = start_target(wanted, nr, done[1]);

	for (unsigned int i = 0; i < nr; i++) {
		struct plan plan = {
			.filter = options.filter,
			.program = options.program,
			.hook = { .event = calls[wanted[i]].event,
				  .funcs = &calls[wanted[i]].func,
				  .nr_funcs = 1 },
			.target = targets[0],
			.copies = 1,
		};

		at[i] = attach_plan(&plan);
		for (unsigned int j = 1;
		     j < options.targets && options.filter == FILTER_VIEW; j++)
			attach_one_more(attached_program(at[i]), &plan,
					targets[j]);
	}
	puts("ready");
	fflush(stdout);

	sigdelset(&set, SIGUSR1);
	while (sigwaitinfo(&set, NULL) < 0)
		;
	if (options.filter != FILTER_NONE)
		bad = check(at, nr, targets[0], done[0]);
	/* The other links end with us. */
	for (unsigned int i = 0; i < nr; i++)
		detach_all(at[i]);
	return bad;
}
