// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "filter.h"

static const struct filter *const all[] = {
	&filter_view,
	&filter_in,
	&filter_pre,
	&filter_post,
};

const struct filter *filter_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!strcmp(all[i]->name, name))
			return all[i];
	}
	return NULL;
}

bool filter_has_flags(const struct filter *filter, __u32 view_flags)
{
	return !(view_flags & ~filter->view_flags);
}

/*
 * In and post: attached for all. This needs programs that run for all processes,
 * and are told our PIDs.
 */

static int check_programs_see_all(void)
{
	/* Our own flag is of no use, so that to clear it tells without harm. */
	if (!prctl(PR_SET_BPF_TRACED, 0, 0, 0, 0)) {
		warnx("on this kernel programs run for flagged processes only: use --filter pre");
		return -EOPNOTSUPP;
	}
	if (!target_pids_are_global()) {
		warnx("filters in and post see PIDs of the initial PID namespace only, and this is another: use --filter view");
		return -EINVAL;
	}
	return 0;
}

static int attach_for_all(struct hook *hook,
			  const struct target_list *targets
			  __attribute__((unused)),
			  __u32 view_flags __attribute__((unused)))
{
	return hook_attach_all(hook);
}

const struct filter filter_in = {
	.name = "in",
	.in_program = true,
	.check = check_programs_see_all,
	.attach = attach_for_all,
};

const struct filter filter_post = {
	.name = "post",
	.in_user_space = true,
	.check = check_programs_see_all,
	.attach = attach_for_all,
};

/*
 * Pre: attached for all, and run for those processes that have the flag. Whoever
 * else uses the flag at the same time is seen, too.
 */

static int pre_check(void)
{
	if (!prctl(PR_SET_BPF_TRACED, 0, 0, 0, 0))
		return 0;
	if (errno == EPERM) {
		warnx("no permission for filter pre: needs CAP_BPF and CAP_PERFMON (run as root)");
		return -EPERM;
	}
	warnx("filter pre needs the kernel that is patched for it (kernel-patches/pre-ebpf), and this is another: use --filter in");
	return -EOPNOTSUPP;
}

static int pre_start(const struct target_list *targets)
{
	const struct target *target;
	int error;
	size_t i;

	for (i = 0; i < targets->n; i++) {
		target = &targets->v[i];
		if (!prctl(PR_SET_BPF_TRACED, target->pid, 1, 0, 0))
			continue;
		error = errno;
		if (error == ESRCH)
			warnx("no such process: %d (it has ended)",
			      target->pid);
		else
			warn("cannot set the flag of process %d", target->pid);
		return -error;
	}
	return 0;
}

static void pre_stop(const struct target_list *targets)
{
	size_t i;

	/* One that has ended needs none, and its PID may be another's. */
	for (i = 0; i < targets->n; i++) {
		if (!targets->v[i].gone)
			prctl(PR_SET_BPF_TRACED, targets->v[i].pid, 0, 0, 0);
	}
}

const struct filter filter_pre = {
	.name = "pre",
	.check = pre_check,
	.attach = attach_for_all,
	.start = pre_start,
	.stop = pre_stop,
};
