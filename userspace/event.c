// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <bpf/btf.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

#define MAX_NEAR 3
#define FORMS "tracepoint:CATEGORY:NAME or rawtracepoint:NAME"

static const char tracepoint_prefix[] = "tracepoint:";
static const char raw_prefix[] = "rawtracepoint:";
static const char btf_prefix[] = "btf_trace_";

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

/* The part of a name after the kind. */
static const char *without_kind(const char *text)
{
	if (has_prefix(text, tracepoint_prefix))
		return text + strlen(tracepoint_prefix);
	if (has_prefix(text, raw_prefix))
		return text + strlen(raw_prefix);
	return text;
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
	    strstr(base_name(text), wanted))
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

/*
 * Call visit(text, arg) for each tracepoint of the kernel, with the kind in
 * front, until it returns true. False if the names cannot be had.
 */
typedef bool (*visit_fn)(const char *text, void *arg);

static bool each_tracepoint(visit_fn visit, void *arg)
{
	static const char *const paths[] = {
		"/sys/kernel/tracing/available_events",
		"/sys/kernel/debug/tracing/available_events",
	};
	char line[256], text[sizeof(tracepoint_prefix) + sizeof(line)];
	FILE *file = NULL;
	size_t i;

	for (i = 0; !file && i < sizeof(paths) / sizeof(paths[0]); i++)
		file = fopen(paths[i], "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, sizeof(text), "%s%s", tracepoint_prefix, line);
		if (visit(text, arg))
			break;
	}
	fclose(file);
	return true;
}

static bool each_raw_tracepoint(visit_fn visit, void *arg)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type;
	char text[256];
	const char *name;
	__u32 i;

	if (!btf)
		return false;
	for (i = 1; i < btf__type_cnt(btf); i++) {
		type = btf__type_by_id(btf, i);
		if (!btf_is_typedef(type))
			continue;
		name = btf__name_by_offset(btf, type->name_off);
		if (!name || !has_prefix(name, btf_prefix))
			continue;
		snprintf(text, sizeof(text), "%s%s", raw_prefix,
			 name + strlen(btf_prefix));
		if (visit(text, arg))
			break;
	}
	btf__free(btf);
	return true;
}

static bool visit_offer(const char *text, void *arg)
{
	offer(arg, text);
	return false;
}

/* Print the line, with the nearest names of the kinds asked for. */
static void complain(const char *what, const char *text, const char *hint,
		     bool tracepoints, bool raw)
{
	struct nearest near = { .text = text, .wanted = without_kind(text) };
	char list[MAX_NEAR * 256] = "";
	size_t i, len = 0;

	near.limit = strlen(base_name(text)) / 3;
	if (near.limit < 2)
		near.limit = 2;
	if (tracepoints && !each_tracepoint(visit_offer, &near) && !raw)
		hint = "tracefs is not mounted on /sys/kernel/tracing";
	if (raw)
		each_raw_tracepoint(visit_offer, &near);
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

static int misspelled(const char *text)
{
	complain("bad event", text, "an event is " FORMS, true, true);
	return -EINVAL;
}

static int event_parse(struct event *event, const char *text)
{
	const char *prefix, *rest;
	char *name;

	if (has_prefix(text, tracepoint_prefix) || has_prefix(text, "t:")) {
		event->kind = EVENT_TRACEPOINT;
		prefix = tracepoint_prefix;
	} else if (has_prefix(text, raw_prefix) || has_prefix(text, "rt:")) {
		event->kind = EVENT_RAWTRACEPOINT;
		prefix = raw_prefix;
	} else {
		return misspelled(text);
	}
	rest = strchr(text, ':') + 1;
	if (strpbrk(rest, "*?[]")) {
		warnx("event '%s': no patterns here, name each event", text);
		return -EINVAL;
	}

	if (asprintf(&event->text, "%s%s", prefix, rest) < 0) {
		warn("event '%s'", text);
		return -ENOMEM;
	}
	name = event->text + strlen(prefix);
	event->category = "";
	event->name = name;
	if (event->kind == EVENT_TRACEPOINT) {
		/* Split a copy behind the text: category NUL name NUL. */
		size_t len = strlen(event->text) + 1, room = strlen(name) + 1;
		char *both = realloc(event->text, len + room), *colon;

		if (!both) {
			warn("event '%s'", text);
			goto bad;
		}
		event->text = both;
		name = both + len;
		strcpy(name, both + strlen(prefix));
		colon = strchr(name, ':');
		if (!colon || colon == name) {
			misspelled(event->text);
			goto bad;
		}
		*colon = '\0';
		event->category = name;
		event->name = colon + 1;
	}
	if (!*event->name || strchr(event->name, ':')) {
		misspelled(event->text);
		goto bad;
	}
	return 0;

bad:
	free(event->text);
	event->text = NULL;
	return -EINVAL;
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

	for (i = 0; i < list->n; i++)
		free(list->v[i].text);
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

int event_check(const struct event *event)
{
	struct lookup lookup = { .event = event };

	if (event->kind == EVENT_TRACEPOINT) {
		if (!each_tracepoint(visit_lookup, &lookup))
			return 0;
	} else {
		each_tracepoint(visit_lookup_raw, &lookup);
		if (!lookup.found &&
		    !each_raw_tracepoint(visit_lookup, &lookup))
			return 0;
	}
	if (lookup.found)
		return 0;
	event_unknown(event);
	return -ENOENT;
}

void event_unknown(const struct event *event)
{
	bool raw = event->kind == EVENT_RAWTRACEPOINT;

	complain("unknown event", event->text,
		 raw ? "the kernel has no raw tracepoint of that name" :
		       "see available_events in tracefs for those there are",
		 !raw, raw);
}
