/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef COUNT_H
#define COUNT_H

#include <linux/types.h>
#include <stdbool.h>

#include "event.h"
#include "filter.h"
#include "target.h"

/*
 * Counting events of some processes, whichever filter tells them from others.
 *
 * Life: count_open(), count_poll() now and then, count_stop(), count_tally() for
 * each event, count_close().
 *
 * All functions that return an int return 0, or a negative error after one line
 * on standard error.
 */
struct count;

/*
 * Load and attach a program for each event; counting has begun when this
 * returns. After an error, nothing is attached. Both lists must stay.
 */
int count_open(struct count **count, const struct filter *filter,
	       const struct event_list *events,
	       const struct target_list *targets, __u32 view_flags);

/* Milliseconds until the next count_poll() is due, -1: never. */
int count_interval(const struct count *count);
void count_poll(struct count *count);

/*
 * Stop counting, then detach everything; or, if it is over with the targets,
 * detach everything and wait for the last event to be counted.
 */
int count_stop(struct count *count, bool over);

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

/* After count_stop(). */
struct tally count_tally(const struct count *count, size_t event);

/* Detach what is attached, and free everything. */
void count_close(struct count *count);

#endif
