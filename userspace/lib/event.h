/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * An event is that a hook of the kernel is met. Hooks are tracepoints, by one of
 * their two names, and functions:
 *
 * tracepoint:CATEGORY:NAME	as tracefs has it. System calls each have theirs.
 * rawtracepoint:NAME		as the kernel's source has it.
 * kprobe:FUNCTION[+OFFSET]	the call of a function, or an instruction in it
 * kretprobe:FUNCTION		its return
 * kprobe:PATTERN		the call of any function that matches
 * kretprobe:PATTERN		its return
 * fentry:FUNCTION		the call, by way of a BPF trampoline
 * fexit:FUNCTION		the return, likewise
 * fmod_ret:FUNCTION		the call, where a program may prevent it
 *
 * Spelled as bpftrace does, which also knows "t:", "rt:", "k:", "kr:", "f:" and
 * "fr:" for short, and once called fentry and fexit "kfunc:" and "kretfunc:".
 */
enum event_kind {
	EVENT_TRACEPOINT,
	EVENT_RAWTRACEPOINT,
	EVENT_KPROBE,
	EVENT_KRETPROBE,
	EVENT_FENTRY,
	EVENT_FEXIT,
	EVENT_FMOD_RET,
	NR_EVENT_KINDS,
};

struct event {
	enum event_kind kind;
	char *text; /* with the kind in full; owns the two below */
	const char *category; /* "" but for a tracepoint */
	const char *name; /* of the tracepoint or function, or the pattern */
	unsigned long offset; /* in the function, in bytes */
	bool is_pattern;
	/* Of a pattern, after event_check(): where its functions have hooks. */
	unsigned long *addrs;
	size_t nr_addrs;
};

struct event_list {
	struct event *v;
	size_t n;
};

/*
 * All functions that return an int return 0, or a negative error after one line
 * on standard error, unless they say otherwise.
 */

/* Append the events of a comma list. -EINVAL if one is spelled wrongly. */
int event_list_add(struct event_list *list, const char *arg);
void event_list_free(struct event_list *list);

/* The kind in full with its colon, such as "kprobe:". */
const char *event_prefix(enum event_kind kind);
/*
 * True if a text begins with a kind, in full or for short; rest is then what
 * comes after it.
 */
bool event_has_kind(const char *text, enum event_kind *kind, const char **rest);
/* Is the hook of this kind in a function, not a tracepoint? */
bool event_is_function(enum event_kind kind);
/* Is its program loaded for one function, by the kernel's types? */
bool event_needs_btf(enum event_kind kind);

/*
 * -ENOENT if the running kernel has no such event. What cannot be found out
 * here passes, and is left to the attach; but not the functions of a pattern,
 * which are looked up.
 */
int event_check(struct event *event);

/* Say that there is no such event, and name those that are spelled nearly so. */
void event_unknown(const struct event *event);
/* The same of a text that is not even one: "WHAT 'TEXT': ...". */
void event_suggest(const char *what, const char *text, const char *hint);

#endif
