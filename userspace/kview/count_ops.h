/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef COUNT_OPS_H
#define COUNT_OPS_H

#include <bpf/libbpf.h>

#include "count.h"

/* Who counts: the program, or we. Private to count*.c. */

struct count_bpf;
struct post_bpf;

/* The program of one event. */
struct counter {
	struct hook hook;
	/* One of these two is loaded, and holds the program. */
	struct count_bpf *count;
	struct post_bpf *post;
	__u64 matched; /* post: events of the targets so far */
	/* When all programs were attached, and at the end. */
	struct tally base, end;
};

struct count {
	const struct filter *filter;
	const struct count_ops *ops;
	const struct event_list *events;
	const struct target_list *targets;
	struct ring_buffer *ring; /* in user space */
	bool detached;
	struct counter counters[]; /* one for each event */
};

struct count_ops {
	int interval;
	/* Load counter->hook.prog. */
	int (*load)(struct count *count, struct counter *counter);
	/* Optional. */
	void (*poll)(struct count *count);
	int (*read)(struct count *count, struct counter *counter,
		    struct tally *tally);
	void (*unload)(struct counter *counter);
};

extern const struct count_ops count_in_kernel;
extern const struct count_ops count_in_user_space;

/*
 * Make counter->hook.prog the one of an open object that is for this event, and
 * whose name has the prefix, and have it alone loaded.
 */
int counter_choose_program(struct counter *counter, struct bpf_object *object,
			   const char *prefix);

#endif
