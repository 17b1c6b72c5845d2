/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef FILTER_OPS_H
#define FILTER_OPS_H

#include <bpf/libbpf.h>

#include "filter.h"

/* What the ways to count have in common; private to filter*.c. */

struct count_bpf;
struct post_bpf;

/* Of the kernel with the flag of filter pre: PID (0: ours), 1 (on) or 0 (off). */
#ifndef PR_SET_BPF_TRACED
#define PR_SET_BPF_TRACED 0x6b765057
#endif

/* The program of one event. */
struct counter {
	const struct event *event;
	/* One of these two is loaded, and holds the program. */
	struct count_bpf *count;
	struct post_bpf *post;
	struct bpf_program *prog;
	struct bpf_link **links;
	size_t nr_links;
	__u64 matched; /* post: events of the targets so far */
	__u64 missed; /* by hooks, until their links were destroyed */
	/* When all programs were attached, and at the end. */
	struct tally base, end;
};

struct filter {
	const struct filter_ops *ops;
	const struct event_list *events;
	const struct target_list *targets;
	__u32 view_flags;
	struct ring_buffer *ring; /* post */
	bool detached;
	struct counter counters[]; /* one for each event */
};

struct filter_ops {
	const char *name;
	__u32 view_flags; /* those that it knows */
	int interval;
	int (*check)(void);
	/* Load counter->prog. */
	int (*load)(struct filter *filter, struct counter *counter);
	/* Attach it, with counter_link(). */
	int (*attach)(struct filter *filter, struct counter *counter);
	/* Optional: after all are attached, and before any is detached. */
	int (*start)(struct filter *filter);
	void (*stop)(struct filter *filter);
	/* Optional. */
	void (*poll)(struct filter *filter);
	int (*read)(struct filter *filter, struct counter *counter,
		    struct tally *tally);
	void (*unload)(struct filter *filter, struct counter *counter);
};

extern const struct filter_ops filter_view;
extern const struct filter_ops filter_pre;
extern const struct filter_ops filter_in;
extern const struct filter_ops filter_post;

/*
 * Make counter->prog the one of an open object that is for this event, and whose
 * name has the prefix, and have it alone loaded.
 */
int counter_choose_program(struct counter *counter, struct bpf_object *object,
			   const char *prefix);
/*
 * Attach it for one process, in its view, or for all if both are 0. NULL, with
 * errno set, if that failed: see counter_link().
 */
struct bpf_link *counter_attach(const struct counter *counter, __u32 pid,
				__u32 view_flags);
/* Attach the program for every process. */
int counter_attach_all(struct filter *filter, struct counter *counter);
/*
 * Take over a link that was just made, or say why it was not: error is errno of
 * the failed attach, target the process or NULL.
 */
int counter_link(struct counter *counter, struct bpf_link *link, int error,
		 const struct target *target);
/*
 * Say why a program could not be attached; target is the process, one of PID 0
 * if it is not known which, or NULL: all of them. Returns -error.
 */
int counter_attach_failed(const struct counter *counter, int error,
			  const struct target *target);
/* The sum over all CPUs of the only element of a per-CPU array. */
int counter_sum(const struct bpf_map *map, __u64 *sum);
/* Say why the program of an event could not be loaded; returns -error. */
int counter_load_failed(const struct counter *counter, int error);
/*
 * Can programs be run for all processes, and tell them by our PIDs? Not on the
 * kernel of filter pre, and not outside of the initial PID namespace.
 */
int check_programs_see_all(void);

#endif
