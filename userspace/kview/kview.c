// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <argp.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kview.h"

static const char doc[] =
	"Trace processes through their own views of the kernel.\n"
	"\v"
	"COMMAND is one of:\n"
	"\n"
	"  stat         count kernel events of processes, as perf stat does\n"
	"  list         show the kernel views in the system\n"
	"  list-events  show the events that there are to count\n"
	"  target       add processes to those that a link is for, or take some away\n"
	"\n"
	"A kernel view is what one process sees of the kernel's text: a copy of the "
	"pages with tracing hooks, in its own page tables. A program that is attached "
	"through a view runs for this process, and costs no other process anything.\n"
	"\n"
	"EXIT STATUS\n"
	"\n"
	"  0  success\n"
	"  1  failure: nothing stays attached, and no link is changed\n"
	"  2  bad usage\n"
	"\n"
	"\"kview stat -- COMMAND\" exits as the command does, 127 if it cannot be "
	"found and 126 if it cannot be run.\n"
	"\n"
	"See \"kview COMMAND --help\".";

static const struct {
	const char *name;
	char *full_name; /* for messages, as argv[0] */
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "stat", "kview stat", cmd_stat },
	{ "list", "kview list", cmd_list },
	{ "list-events", "kview list-events", cmd_list_events },
	{ "target", "kview target", cmd_target },
};

static int verbose;

static int print_libbpf(enum libbpf_print_level level, const char *format,
			va_list args)
{
	if (level == LIBBPF_DEBUG || !verbose)
		return 0;
	return vfprintf(stderr, format, args);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	size_t i;

	switch (key) {
	case 'v':
		verbose = 1;
		return 0;
	case ARGP_KEY_ARG:
		for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
			int *status = state->input;
			char **argv = state->argv + state->next - 1;
			int argc = state->argc - state->next + 1;

			if (strcmp(arg, commands[i].name))
				continue;
			argv[0] = commands[i].full_name;
			state->next = state->argc;
			*status = commands[i].run(argc, argv);
			return 0;
		}
		warnx("unknown command '%s': there are stat, list, list-events and target (see kview --help)",
		      arg);
		*(int *)state->input = EXIT_USAGE;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		warnx("no command given: there are stat, list, list-events and target (see kview --help)");
		*(int *)state->input = EXIT_USAGE;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = { { "verbose", 'v', NULL, 0,
						"Show libbpf's messages", 0 },
					      {} };

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "COMMAND [OPTION...]",
	.doc = doc,
};

int main(int argc, char **argv)
{
	int status = EXIT_FAILED;

	argp_err_exit_status = EXIT_USAGE;
	libbpf_set_print(print_libbpf);
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &status))
		return EXIT_FAILED;
	/* What could not be written must not pass for written. */
	if (!status && (fflush(stdout) || ferror(stdout))) {
		warnx("cannot write to standard output");
		return EXIT_FAILED;
	}
	return status;
}
