// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>

#include "filter.h"

/*
 * View: a link is made for the first target, and the others are added to it,
 * all by their pidfds.
 */

/*
 * The kernel looks at the program first where it knows views (EBADF), and
 * finds fault with the rest where it does not.
 */
static int view_check(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .view.pid = 1);
	int ret = bpf_link_create(-1, 0, BPF_TRACE_RAW_TP, &opts);

	switch (ret) {
	case -EBADF:
		return 0;
	case -EPERM:
		warnx("no permission for kernel views: needs CAP_BPF and CAP_PERFMON (run as root)");
		return ret;
	case -EOPNOTSUPP:
		warnx("this kernel is built without kernel views (CONFIG_KVIEW): use --filter in");
		return ret;
	default:
		if (ret >= 0)
			ret = -EINVAL;
		warnx("this kernel does not support kernel views: use --filter in");
		return ret;
	}
}

/* The kernel does not tell which of the targets it could not add. */
static int view_add_failed(const struct hook *hook, int error,
			   const struct target *targets, size_t n)
{
	static const struct target unknown;
	const struct target *target = n == 1 ? targets : &unknown;
	size_t i;

	for (i = 0; error == ESRCH && i < n; i++) {
		if (target_has_ended(&targets[i])) {
			target = &targets[i];
			break;
		}
	}
	return hook_attach_failed(hook, error, target);
}

static int view_add(const struct hook *hook, const struct bpf_link *link,
		    const struct target *targets, size_t n)
{
	LIBBPF_OPTS(bpf_link_update_targets_opts, opts,
		    .flags = BPF_F_VIEW_PIDFD);
	__u32 pidfds[BPF_LINK_TARGETS_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		pidfds[i] = targets[i].pidfd;
	if (bpf_link_update_targets(bpf_link__fd(link), BPF_LINK_TARGETS_ADD,
				    pidfds, n, &opts))
		return view_add_failed(hook, errno, targets, n);
	return 0;
}

static int view_attach(struct hook *hook, const struct target_list *list,
		       __u32 view_flags)
{
	const struct target *targets = list->v;
	size_t n = list->n, i, batch;
	struct bpf_link *link;
	int ret;

	for (i = 0; i < n; i++) {
		if (!target_is_kthread(&targets[i]))
			continue;
		warnx("%d (%s) is a kernel thread, which has no view of its own: use --filter in",
		      targets[i].pid, targets[i].comm);
		return -EINVAL;
	}
	link = hook_make_link(hook, targets[0].pidfd,
			      BPF_F_VIEW_PIDFD | view_flags);
	ret = hook_take_link(hook, link, errno, &targets[0]);
	for (i = 1; !ret && i < n; i += batch) {
		batch = n - i;
		if (batch > BPF_LINK_TARGETS_MAX)
			batch = BPF_LINK_TARGETS_MAX;
		ret = view_add(hook, link, &targets[i], batch);
	}
	return ret;
}

const struct filter filter_view = {
	.name = "view",
	.view_flags = BPF_F_VIEW_FOLLOW_FORK | BPF_F_VIEW_TASK_CONTEXT,
	.check = view_check,
	.attach = view_attach,
};
