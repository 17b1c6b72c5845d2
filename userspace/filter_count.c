// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * Filters that count in the kernel: view, pre and in.
 */
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <sys/prctl.h>

#include "count.skel.h"
#include "filter_ops.h"

static void count_unload(struct filter *filter __attribute__((unused)),
			 struct counter *counter)
{
	count_bpf__destroy(counter->count);
	counter->count = NULL;
}

/* Open the object, with one of its programs to be loaded. */
static int count_open(struct counter *counter, bool in)
{
	counter->count = count_bpf__open();
	if (!counter->count)
		return counter_load_failed(counter, errno);
	return counter_choose_program(counter, counter->count->obj,
				      in ? "count_in_" : "count_");
}

static int count_load(struct filter *filter __attribute__((unused)),
		      struct counter *counter)
{
	int ret = count_open(counter, false);

	if (ret)
		return ret;
	bpf_map__set_autocreate(counter->count->maps.targets, false);
	ret = count_bpf__load(counter->count);
	return ret ? counter_load_failed(counter, -ret) : 0;
}

static int count_read(struct filter *filter __attribute__((unused)),
		      struct counter *counter, struct tally *tally)
{
	tally->lost = 0;
	return counter_sum(counter->count->maps.counter, &tally->count);
}

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
static int view_add_failed(const struct counter *counter, int error,
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
	return counter_attach_failed(counter, error, target);
}

static int view_add(const struct counter *counter, const struct bpf_link *link,
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
		return view_add_failed(counter, errno, targets, n);
	return 0;
}

static int view_attach(struct filter *filter, struct counter *counter)
{
	const struct target *targets = filter->targets->v;
	size_t n = filter->targets->n, i, batch;
	struct bpf_link *link;
	int ret;

	for (i = 0; i < n; i++) {
		if (!target_is_kthread(&targets[i]))
			continue;
		warnx("%d (%s) is a kernel thread, which has no view of its own: use --filter in",
		      targets[i].pid, targets[i].comm);
		return -EINVAL;
	}
	link = counter_attach(counter, targets[0].pidfd,
			      BPF_F_VIEW_PIDFD | filter->view_flags);
	ret = counter_link(counter, link, errno, &targets[0]);
	for (i = 1; !ret && i < n; i += batch) {
		batch = n - i;
		if (batch > BPF_LINK_TARGETS_MAX)
			batch = BPF_LINK_TARGETS_MAX;
		ret = view_add(counter, link, &targets[i], batch);
	}
	return ret;
}

const struct filter_ops filter_view = {
	.name = "view",
	.view_flags = BPF_F_VIEW_FOLLOW_FORK | BPF_F_VIEW_TASK_CONTEXT,
	.interval = -1,
	.check = view_check,
	.load = count_load,
	.attach = view_attach,
	.read = count_read,
	.unload = count_unload,
};

/*
 * Pre: attached for all, and run for those processes that have the flag. Whoever
 * else uses the flag at the same time is counted, too.
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

static int pre_start(struct filter *filter)
{
	const struct target *target;
	int error;
	size_t i;

	for (i = 0; i < filter->targets->n; i++) {
		target = &filter->targets->v[i];
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

static void pre_stop(struct filter *filter)
{
	size_t i;

	/* One that has ended needs none, and its PID may be another's. */
	for (i = 0; i < filter->targets->n; i++) {
		if (!filter->targets->v[i].gone)
			prctl(PR_SET_BPF_TRACED, filter->targets->v[i].pid, 0,
			      0, 0);
	}
}

const struct filter_ops filter_pre = {
	.name = "pre",
	.interval = -1,
	.check = pre_check,
	.load = count_load,
	.attach = counter_attach_all,
	.start = pre_start,
	.stop = pre_stop,
	.read = count_read,
	.unload = count_unload,
};

/*
 * In: attached for all, the program compares PIDs.
 */

static int in_load(struct filter *filter, struct counter *counter)
{
	const struct target_list *targets = filter->targets;
	int ret = count_open(counter, true);
	struct bpf_map *map;
	__u8 yes = 1;
	__u32 tgid;
	size_t i;

	if (ret)
		return ret;
	map = counter->count->maps.targets;
	if (targets->n == 1)
		counter->count->rodata->target = targets->v[0].pid;
	ret = bpf_map__set_max_entries(map, targets->n);
	if (!ret)
		ret = count_bpf__load(counter->count);
	for (i = 0; !ret && i < targets->n; i++) {
		tgid = targets->v[i].pid;
		ret = bpf_map__update_elem(map, &tgid, sizeof(tgid), &yes,
					   sizeof(yes), 0);
	}
	return ret ? counter_load_failed(counter, -ret) : 0;
}

const struct filter_ops filter_in = {
	.name = "in",
	.interval = -1,
	.check = check_programs_see_all,
	.load = in_load,
	.attach = counter_attach_all,
	.read = count_read,
	.unload = count_unload,
};
