// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview list-events: what kview stat can count.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "kview.h"
#include "names.h"
#include "string_set.h"

static const char doc[] =
	"Show the events of the running kernel, as kview stat -e takes them.\n"
	"\v"
	"PATTERN is a shell pattern for whole events, of which those that match are "
	"shown; * stands for colons, too. Without it, all are: tracepoint:, "
	"rawtracepoint:, kprobe: and fentry:, each sorted by name. What there is of "
	"kprobe: there is of kretprobe:, and of fentry: of fexit:. These two, and "
	"fmod_ret:, are shown only if PATTERN begins with them.\n"
	"\n"
	"Events are those of the kernel image and of the modules that are loaded.\n"
	"\n"
	"EXIT STATUS\n"
	"\n"
	"  0  some event was shown\n"
	"  1  failure, or no event matches\n"
	"  2  bad usage\n"
	"\n"
	"EXAMPLES\n"
	"\n"
	"  kview list-events 'tracepoint:syscalls:*read*'\n"
	"  kview list-events '*:*sched_switch'\n"
	"  kview list-events 'fmod_ret:*'\n";

struct listing {
	const char *pattern;
	struct string_set events; /* of one kind that match */
	bool failed;
};

static bool visit(const char *text, void *arg)
{
	struct listing *listing = arg;

	if (!fnmatch(listing->pattern, text, 0))
		listing->failed = string_set_add(&listing->events, text);
	return listing->failed;
}

/* Is there anything to look for among the events of this kind? */
static bool may_match(enum event_kind kind, const char *pattern)
{
	const char *prefix = event_prefix(kind);
	size_t literal = strcspn(pattern, "*?[\\"), len = strlen(prefix);

	if (literal < len) {
		/* The same functions by other names, which are asked for by them. */
		if (kind == EVENT_KRETPROBE || kind == EVENT_FEXIT ||
		    kind == EVENT_FMOD_RET)
			return false;
		len = literal;
	}
	return !strncmp(pattern, prefix, len);
}

/* Returns how many there are, or a negative error after one line. */
static int list_kind(enum event_kind kind, const char *pattern)
{
	struct listing listing = { .pattern = pattern };
	int ret = names_visit(kind, visit, &listing), n;
	size_t i;

	if (listing.failed)
		ret = -ENOMEM;
	string_set_sort(&listing.events);
	for (i = 0; !ret && i < listing.events.n; i++)
		puts(listing.events.v[i]);
	n = listing.events.n;
	string_set_free(&listing.events);
	if (!ret)
		return n;
	errno = -ret;
	if (kind == EVENT_RAWTRACEPOINT)
		warn("cannot list %s events: the kernel's BTF cannot be read",
		     event_prefix(kind));
	else
		warn("cannot list %s events: tracefs must be mounted on /sys/kernel/tracing%s, and readable (run as root)",
		     event_prefix(kind),
		     kind == EVENT_FMOD_RET ?
			     " and debugfs on /sys/kernel/debug" :
			     "");
	return ret;
}

/* Returns the exit status. */
static int list_events(const char *pattern)
{
	enum event_kind kind;
	int n = 0, ret;

	for (kind = 0; kind < NR_EVENT_KINDS; kind++) {
		if (!may_match(kind, pattern))
			continue;
		ret = list_kind(kind, pattern);
		if (ret < 0)
			return EXIT_FAILED;
		n += ret;
	}
	if (n)
		return 0;
	if (strpbrk(pattern, "*?[\\"))
		warnx("no event matches '%s': a pattern is for a whole event, such as 'kprobe:vfs_*' or '*sched_switch'",
		      pattern);
	else
		event_suggest(
			"no event", pattern,
			"there is none like it (see kview list-events --help for patterns)");
	return EXIT_FAILED;
}

struct args {
	const char *pattern;
	bool bad;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!args->pattern) {
			args->pattern = arg;
			return 0;
		}
		warnx("'%s': kview list-events takes one pattern, in quotes (see kview list-events --help)",
		      arg);
		args->bad = true;
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "[PATTERN]",
	.doc = doc,
};

int cmd_list_events(int argc, char **argv)
{
	struct args args = {};
	enum event_kind kind;
	const char *rest;
	char *full;
	int status;

	if (argp_parse(&argp, argc, argv, 0, NULL, &args) || args.bad)
		return EXIT_USAGE;
	if (!args.pattern)
		args.pattern = "*";
	if (!event_has_kind(args.pattern, &kind, &rest))
		return list_events(args.pattern);
	if (asprintf(&full, "%s%s", event_prefix(kind), rest) < 0) {
		warn("pattern '%s'", args.pattern);
		return EXIT_FAILED;
	}
	status = list_events(full);
	free(full);
	return status;
}
