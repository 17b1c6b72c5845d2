/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef FILTER_H
#define FILTER_H

#include <linux/types.h>
#include <stdbool.h>

#include "hook.h"
#include "target.h"

/*
 * The four ways to see the events of some processes only, by who tells them
 * from those of all others, and when:
 *
 * view	the kernel view of each target: others do not meet the program
 * pre	the kernel, at each hook, before it starts a program (needs the kernel
 *	with that patch)
 * in	the program: it runs for every process, and compares PIDs
 * post	user space: the program sends it every event of every process
 *
 * In use: filter_find(), check(), attach() for each hook, start(); then stop(),
 * and hook_detach() for each hook.
 *
 * All functions that return an int return 0, or a negative error after one line
 * on standard error.
 */
struct filter {
	const char *name;
	/* Who else has to tell the targets' events apart, if anybody. */
	bool in_program, in_user_space;
	__u32 view_flags; /* those of BPF_F_VIEW_* that it knows */
	/* Can the running kernel do it? */
	int (*check)(void);
	/* Attach a program that is loaded. */
	int (*attach)(struct hook *hook, const struct target_list *targets,
		      __u32 view_flags);
	/* Optional: after all are attached, and before any is detached. */
	int (*start)(const struct target_list *targets);
	void (*stop)(const struct target_list *targets);
};

/* NULL if there is no way of that name. */
const struct filter *filter_find(const char *name);
/* Does it know these flags of views? */
bool filter_has_flags(const struct filter *filter, __u32 view_flags);

extern const struct filter filter_view;
extern const struct filter filter_pre;
extern const struct filter filter_in;
extern const struct filter filter_post;

/* Of the kernel with the flag of filter pre: PID (0: ours), 1 (on) or 0 (off). */
#ifndef PR_SET_BPF_TRACED
#define PR_SET_BPF_TRACED 0x6b765057
#endif

#endif
