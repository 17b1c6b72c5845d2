/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef EVENT_H
#define EVENT_H

#include <stddef.h>

/*
 * An event is a tracepoint of the kernel, by one of its two names:
 *
 * tracepoint:CATEGORY:NAME	as tracefs has it. System calls each have theirs.
 * rawtracepoint:NAME		as the kernel's source has it.
 *
 * Spelled as bpftrace does, which also knows "t:" and "rt:" for short.
 */
enum event_kind {
	EVENT_TRACEPOINT,
	EVENT_RAWTRACEPOINT,
};

struct event {
	enum event_kind kind;
	char *text; /* with the kind in full; owns the two below */
	const char *category; /* "" for a raw tracepoint */
	const char *name;
};

struct event_list {
	struct event *v;
	size_t n;
};

/*
 * All functions that return an int return 0, or a negative error after one line
 * on standard error.
 */

/* Append the events of a comma list. -EINVAL if one is spelled wrongly. */
int event_list_add(struct event_list *list, const char *arg);
void event_list_free(struct event_list *list);

/* -ENOENT if the running kernel has no such event. What cannot be found out
 * here passes, and is left to the attach.
 */
int event_check(const struct event *event);

/* Say that there is no such event, and name those that are spelled nearly so. */
void event_unknown(const struct event *event);

#endif
