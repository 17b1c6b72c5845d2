/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef HOOK_H
#define HOOK_H

#include <bpf/libbpf.h>
#include <stddef.h>

#include "event.h"
#include "target.h"

/* A program on the hook of an event, and what it is attached with. */
struct hook {
	const struct event *event;
	struct bpf_program *prog;
	struct bpf_link **links;
	size_t nr_links;
	__u64 missed; /* by links, until they were destroyed */
};

/*
 * All functions that return an int return 0, or a negative error after one line
 * on standard error.
 */

/* Say why the program for an event could not be loaded; returns -error. */
int hook_load_failed(const struct event *event, int error);

/*
 * Attach the program for one process (its PID, or with BPF_F_VIEW_PIDFD its
 * pidfd), in its view, or for all if both are 0. NULL, with errno set, if that
 * failed: see hook_take_link().
 */
struct bpf_link *hook_make_link(const struct hook *hook, __u32 pid,
				__u32 view_flags);
/*
 * Take over a link that was just made, or say why it was not: error is errno of
 * the failed attach, target the process or NULL.
 */
int hook_take_link(struct hook *hook, struct bpf_link *link, int error,
		   const struct target *target);
/*
 * Say why a program could not be attached; target is the process, one of PID 0
 * if it is not known which, or NULL: all of them. Returns -error.
 */
int hook_attach_failed(const struct hook *hook, int error,
		       const struct target *target);
/* Attach the program for every process. */
int hook_attach_all(struct hook *hook);

void hook_detach(struct hook *hook);

/*
 * How many events the program was not run for: where it would have interrupted
 * itself, or where the hook had no room. Other than in views, they need not be
 * those of targets.
 */
int hook_missed(const struct hook *hook, __u64 *missed);

/*
 * Wait until no CPU is in a program that it entered before: hooks run them in
 * RCU read-side critical sections, if not with preemption off, so that to wait
 * for a grace period is to wait for them.
 */
void hook_wait_for_programs(void);

#endif
