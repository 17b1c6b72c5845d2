// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "names.h"

#define MAX_NEAR 3
#define MAX_NAME 600
#define FORMS                                                                    \
	"tracepoint:CATEGORY:NAME, rawtracepoint:NAME, or kprobe:, kretprobe:, " \
	"fentry:, fexit: or fmod_ret: with the name of a function"

static const struct {
	const char *prefix;
	const char *shorts[2];
} kinds[NR_EVENT_KINDS] = {
	[EVENT_TRACEPOINT] = { "tracepoint:", { "t:" } },
	[EVENT_RAWTRACEPOINT] = { "rawtracepoint:", { "rt:" } },
	[EVENT_KPROBE] = { "kprobe:", { "k:" } },
	[EVENT_KRETPROBE] = { "kretprobe:", { "kr:" } },
	[EVENT_FENTRY] = { "fentry:", { "f:", "kfunc:" } },
	[EVENT_FEXIT] = { "fexit:", { "fr:", "kretfunc:" } },
	[EVENT_FMOD_RET] = { "fmod_ret:", {} },
};

const char *event_prefix(enum event_kind kind)
{
	return kinds[kind].prefix;
}

bool event_is_function(enum event_kind kind)
{
	return kind != EVENT_TRACEPOINT && kind != EVENT_RAWTRACEPOINT;
}

bool event_needs_btf(enum event_kind kind)
{
	return kind == EVENT_FENTRY || kind == EVENT_FEXIT ||
	       kind == EVENT_FMOD_RET;
}

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* The part of a name, with or without a kind and a category, after these. */
static const char *base_name(const char *text)
{
	const char *colon = strrchr(text, ':');

	return colon ? colon + 1 : text;
}

bool event_has_kind(const char *text, enum event_kind *kind, const char **rest)
{
	const char *prefix;
	size_t i, j;

	for (i = 0; i < NR_EVENT_KINDS; i++) {
		prefix = kinds[i].prefix;
		for (j = 0; prefix; j++) {
			if (has_prefix(text, prefix)) {
				*kind = i;
				*rest = text + strlen(prefix);
				return true;
			}
			prefix = j < 2 ? kinds[i].shorts[j] : NULL;
		}
	}
	return false;
}

/* The part of a name after the kind. */
static const char *without_kind(const char *text)
{
	enum event_kind kind;
	const char *rest;

	return event_has_kind(text, &kind, &rest) ? rest : text;
}

/*
 * Edit distance: how many insertions, deletions, replacements and swaps of
 * neighbours make one string into the other. Anything above limit is limit + 1.
 */
static size_t distance(const char *a, const char *b, size_t limit)
{
	size_t n = strlen(a), m = strlen(b), i, j, best, d;
	unsigned int rows[3][128];
	unsigned int *before = rows[0], *last = rows[1], *now = rows[2], *tmp;

	if (m >= 128 || n > m + limit || m > n + limit)
		return limit + 1;
	for (j = 0; j <= m; j++)
		last[j] = j;
	for (i = 1; i <= n; i++) {
		now[0] = i;
		best = i;
		for (j = 1; j <= m; j++) {
			d = last[j - 1] + (a[i - 1] != b[j - 1]);
			if (last[j] + 1 < d)
				d = last[j] + 1;
			if (now[j - 1] + 1 < d)
				d = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			now[j] = d;
			if (d < best)
				best = d;
		}
		if (best > limit)
			return limit + 1;
		tmp = before;
		before = last;
		last = now;
		now = tmp;
	}
	return last[m] < limit ? last[m] : last[m] > limit ? limit + 1 : limit;
}

/* The names nearest to one, best first. */
struct nearest {
	const char *text; /* the whole name that was not found */
	const char *wanted; /* the same without the kind */
	size_t limit;
	bool spelled_alike; /* that they contain it is not enough */
	size_t n;
	struct {
		char *text;
		size_t score;
	} v[MAX_NEAR];
};

static size_t score(const struct nearest *near, const char *candidate)
{
	const char *text = without_kind(candidate);
	const char *wanted = base_name(near->wanted);
	size_t whole, base;

	whole = distance(near->wanted, text, near->limit);
	/* A wrong or forgotten category counts as one error. */
	base = distance(wanted, base_name(text), near->limit) + 1;
	if (base < whole)
		whole = base;
	/* Less near than any that is spelled alike: what contains the word. */
	if (whole > near->limit && strlen(wanted) >= 3 &&
	    !near->spelled_alike && strstr(base_name(text), wanted))
		return near->limit + strlen(text);
	return whole <= near->limit ? whole : SIZE_MAX;
}

static void offer(struct nearest *near, const char *text)
{
	size_t s = score(near, text), i;
	char *copy;

	if (s == SIZE_MAX || !strcmp(text, near->text))
		return;
	for (i = 0; i < near->n; i++) {
		if (!strcmp(near->v[i].text, text))
			return;
	}
	for (i = near->n; i > 0 && near->v[i - 1].score > s; i--)
		;
	if (i == MAX_NEAR)
		return;
	copy = strdup(text);
	if (!copy)
		return;
	if (near->n == MAX_NEAR)
		free(near->v[--near->n].text);
	memmove(&near->v[i + 1], &near->v[i],
		(near->n - i) * sizeof(near->v[0]));
	near->v[i].text = copy;
	near->v[i].score = s;
	near->n++;
}

static bool visit_offer(const char *text, void *arg)
{
	offer(arg, text);
	return false;
}

/*
 * Print the line, with the nearest names of the kinds asked for (bits); wanted is
 * what they are to be near to, and a part of text.
 */
static void complain(const char *what, const char *text, const char *wanted,
		     const char *hint, unsigned int wanted_kinds)
{
	struct nearest near = { .text = text, .wanted = wanted };
	char list[MAX_NEAR * MAX_NAME] = "";
	size_t i, len = 0;

	near.limit = strlen(base_name(wanted)) / 3;
	if (near.limit < 1)
		near.limit = 1;
	for (i = 0; *base_name(wanted) && i < NR_EVENT_KINDS; i++) {
		if (!(wanted_kinds & 1U << i))
			continue;
		/* Nearly any word is a part of one of so many functions. */
		near.spelled_alike = event_is_function(i) &&
				     wanted_kinds != 1U << i;
		if (names_visit(i, visit_offer, &near) &&
		    wanted_kinds == 1U << i && i != EVENT_RAWTRACEPOINT &&
		    !event_needs_btf(i))
			hint = "tracefs is not mounted on /sys/kernel/tracing";
	}
	for (i = 0; i < near.n; i++) {
		/* Next to a good one, a bad one is noise. */
		if (near.v[i].score > near.v[0].score + 1)
			break;
		len += snprintf(list + len, sizeof(list) - len, "%s%s",
				i ? ", " : "", near.v[i].text);
	}
	if (near.n)
		warnx("%s '%s': did you mean %s?", what, text, list);
	else
		warnx("%s '%s': %s", what, text, hint);
	for (i = 0; i < near.n; i++)
		free(near.v[i].text);
}

void event_suggest(const char *what, const char *text, const char *hint)
{
	unsigned int wanted_kinds = 1U << EVENT_TRACEPOINT |
				    1U << EVENT_RAWTRACEPOINT;
	const char *rest = text;
	enum event_kind kind;

	/* kprobe: stands for all kinds that are for functions. */
	if (!event_has_kind(text, &kind, &rest))
		wanted_kinds |= 1U << EVENT_KPROBE;
	else if (event_is_function(kind))
		wanted_kinds = 1U << kind;
	complain(what, text, rest, hint, wanted_kinds);
}

static int misspelled(const char *text)
{
	event_suggest("bad event", text, "an event is " FORMS);
	return -EINVAL;
}

/* CATEGORY:NAME, of which one is cut off here. */
static int parse_tracepoint(struct event *event, char *name)
{
	char *colon = strchr(name, ':');

	if (!colon || colon == name)
		return misspelled(event->text);
	*colon = '\0';
	event->category = name;
	event->name = colon + 1;
	return 0;
}

/* FUNCTION, FUNCTION+OFFSET or PATTERN. */
static int parse_function(struct event *event, char *name)
{
	char *plus = strchr(name, '+'), *end;

	event->is_pattern = strpbrk(name, "*?[]");
	if (!plus)
		return 0;
	if (event->kind != EVENT_KPROBE || event->is_pattern) {
		warnx("event '%s': only kprobe: with one function takes an offset",
		      event->text);
		return -EINVAL;
	}
	errno = 0;
	event->offset = strtoul(plus + 1, &end, 0);
	if (errno || *end || !isdigit((unsigned char)plus[1])) {
		warnx("bad event '%s': an offset is a number of bytes, such as 0x10",
		      event->text);
		return -EINVAL;
	}
	*plus = '\0';
	return 0;
}

static int event_parse(struct event *event, const char *text)
{
	const char *rest, *prefix;
	int len, ret = 0;
	char *name;

	memset(event, 0, sizeof(*event));
	if (!event_has_kind(text, &event->kind, &rest))
		return misspelled(text);
	if (strpbrk(rest, "*?[]") && event->kind != EVENT_KPROBE &&
	    event->kind != EVENT_KRETPROBE) {
		warnx("event '%s': no patterns here, name each event (kprobe: and kretprobe: take them)",
		      text);
		return -EINVAL;
	}

	/* Behind the text there is a copy of what follows the kind, to be cut. */
	prefix = event_prefix(event->kind);
	len = asprintf(&event->text, "%s%s%c%s", prefix, rest, '\0', rest);
	if (len < 0) {
		event->text = NULL;
		warn("event '%s'", text);
		return -ENOMEM;
	}
	name = event->text + len - strlen(rest);
	event->category = "";
	event->name = name;
	if (event->kind == EVENT_TRACEPOINT)
		ret = parse_tracepoint(event, name);
	else if (event_is_function(event->kind))
		ret = parse_function(event, name);
	if (!ret && (!*event->name || strchr(event->name, ':')))
		ret = misspelled(event->text);
	if (ret) {
		free(event->text);
		event->text = NULL;
	}
	return ret;
}

int event_list_add(struct event_list *list, const char *arg)
{
	char *copy = strdup(arg), *rest = copy, *text;
	struct event *v;
	int ret = 0;

	if (!copy)
		goto nomem;
	while (!ret && (text = strsep(&rest, ","))) {
		v = realloc(list->v, (list->n + 1) * sizeof(*v));
		if (!v)
			goto nomem;
		list->v = v;
		ret = event_parse(&v[list->n], text);
		if (!ret)
			list->n++;
	}
	free(copy);
	return ret;

nomem:
	warn("events '%s'", arg);
	free(copy);
	return -ENOMEM;
}

void event_list_free(struct event_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		free(list->v[i].text);
		free(list->v[i].addrs);
	}
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

struct lookup {
	const struct event *event;
	bool found;
};

static bool visit_lookup(const char *text, void *arg)
{
	struct lookup *lookup = arg;

	lookup->found = !strcmp(text, lookup->event->text);
	return lookup->found;
}

/*
 * Nearly every tracepoint has a trace event of its name, and to look through
 * these takes a small part of the time that all of the kernel's types take.
 */
static bool visit_lookup_raw(const char *text, void *arg)
{
	struct lookup *lookup = arg;

	lookup->found = !has_prefix(text, "tracepoint:syscalls:") &&
			!strcmp(base_name(text), lookup->event->name);
	return lookup->found;
}

static bool visit_lookup_function(const struct function *function, void *arg)
{
	struct lookup *lookup = arg;

	lookup->found = !strcmp(function->name, lookup->event->name);
	return lookup->found;
}

/* Functions of a pattern. */
struct matches {
	struct event *event;
	size_t room;
	bool failed;
};

static bool visit_match(const struct function *function, void *arg)
{
	struct matches *matches = arg;
	struct event *event = matches->event;
	unsigned long *addrs;

	if (fnmatch(event->name, function->name, 0))
		return false;
	if (event->nr_addrs == matches->room) {
		matches->room = matches->room ? 2 * matches->room : 64;
		addrs = reallocarray(event->addrs, matches->room,
				     sizeof(*addrs));
		if (!addrs) {
			matches->failed = true;
			return true;
		}
		event->addrs = addrs;
	}
	event->addrs[event->nr_addrs++] = function->addr;
	return false;
}

/* By address, as several functions may have one name. */
static int find_matches(struct event *event)
{
	struct matches matches = { .event = event };
	int ret = functions_visit(true, visit_match, &matches);

	if (ret) {
		warnx("event '%s': patterns need available_filter_functions_addrs in tracefs (Linux 6.5 or later, run as root)",
		      event->text);
		return ret;
	}
	if (matches.failed) {
		warn("event '%s'", event->text);
		return -ENOMEM;
	}
	if (!event->nr_addrs) {
		event_unknown(event);
		return -ENOENT;
	}
	return 0;
}

int event_check(struct event *event)
{
	struct lookup lookup = { .event = event };

	if (event->is_pattern)
		return find_matches(event);
	if (event_is_function(event->kind)) {
		if (functions_visit(false, visit_lookup_function, &lookup))
			return 0;
	} else if (event->kind == EVENT_TRACEPOINT) {
		if (names_visit(event->kind, visit_lookup, &lookup))
			return 0;
	} else {
		names_visit(EVENT_TRACEPOINT, visit_lookup_raw, &lookup);
		if (!lookup.found &&
		    names_visit(event->kind, visit_lookup, &lookup))
			return 0;
	}
	if (lookup.found)
		return 0;
	event_unknown(event);
	return -ENOENT;
}

static void function_unknown(const struct event *event)
{
	struct lookup lookup = { .event = event };

	functions_visit(false, visit_lookup_function, &lookup);
	if (lookup.found && event_needs_btf(event->kind))
		warnx("event '%s': the kernel's BTF does not describe this function: use kprobe:%s or kretprobe:%s",
		      event->text, event->name, event->name);
	else if (!lookup.found && function_exists(event->name))
		warnx("event '%s': the kernel does not let this function be traced (available_filter_functions in tracefs has those it does)",
		      event->text);
	else
		complain("unknown event", event->text, event->name,
			 "the kernel has no function of that name",
			 1U << event->kind);
}

void event_unknown(const struct event *event)
{
	const char *hint;

	if (event->is_pattern) {
		warnx("event '%s': no function of the kernel matches (kview list-events shows those there are)",
		      event->text);
		return;
	}
	if (event_is_function(event->kind)) {
		function_unknown(event);
		return;
	}
	hint = event->kind == EVENT_RAWTRACEPOINT ?
		       "the kernel has no raw tracepoint of that name" :
		       "see available_events in tracefs for those there are";
	complain("unknown event", event->text, without_kind(event->text), hint,
		 1U << event->kind);
}
