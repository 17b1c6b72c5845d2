/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef FILTER_H
#define FILTER_H

#include <linux/types.h>
#include <stdbool.h>

#include "event.h"
#include "target.h"

/*
 * The four ways to count the events of some processes only, by who tells them
 * from those of all others, and when:
 *
 * view	the kernel view of each target: others do not meet the program
 * pre	the kernel, at each hook, before it starts a program (needs the kernel
 *	with that patch)
 * in	the program: it runs for every process, and compares PIDs
 * post	user space: the program sends it every event of every process
 *
 * Life of a filter: filter_find(), check(), filter_open(), filter_poll() now
 * and then, filter_stop(), filter_count() for each event, filter_close().
 *
 * All functions that return an int return 0, or a negative error after one line
 * on standard error.
 */
struct filter_ops;
struct filter;

/* NULL if there is no way of that name. */
const struct filter_ops *filter_find(const char *name);
const char *filter_name(const struct filter_ops *ops);
/* Does it know these flags of views (BPF_F_VIEW_*)? */
bool filter_has_flags(const struct filter_ops *ops, __u32 view_flags);
/* Can the running kernel do it? */
int filter_check(const struct filter_ops *ops);

/*
 * Load and attach a program for each event; counting has begun when this
 * returns. After an error, nothing is attached. Both lists must stay.
 */
int filter_open(struct filter **filter, const struct filter_ops *ops,
		const struct event_list *events,
		const struct target_list *targets, __u32 view_flags);

/* Milliseconds until the next filter_poll() is due, -1: never. */
int filter_interval(const struct filter *filter);
void filter_poll(struct filter *filter);

/*
 * Stop counting, then detach everything; or, if it is over with the targets,
 * detach everything and wait for the last event to be counted.
 */
int filter_stop(struct filter *filter, bool over);

/* What was counted for one event. */
struct tally {
	__u64 count;
	/*
	 * Events that were met but not counted: where a program would have
	 * interrupted itself, and with "post" also where the ring was full.
	 * Other than with "view", they need not be the targets'.
	 */
	__u64 lost;
};

/* After filter_stop(). */
struct tally filter_count(const struct filter *filter, size_t event);

/* Detach what is attached, and free everything. */
void filter_close(struct filter *filter);

#endif
