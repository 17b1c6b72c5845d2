// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter_ops.h"

#define NEED_CAPS "needs CAP_BPF and CAP_PERFMON (run as root)"

static const struct filter_ops *const all_ops[] = {
	&filter_view,
	&filter_in,
	&filter_pre,
	&filter_post,
};

const struct filter_ops *filter_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(all_ops) / sizeof(all_ops[0]); i++) {
		if (!strcmp(all_ops[i]->name, name))
			return all_ops[i];
	}
	return NULL;
}

const char *filter_name(const struct filter_ops *ops)
{
	return ops->name;
}

bool filter_has_flags(const struct filter_ops *ops, __u32 view_flags)
{
	return !(view_flags & ~ops->view_flags);
}

int filter_check(const struct filter_ops *ops)
{
	return ops->check();
}

int check_programs_see_all(void)
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

/* Of the program for an event, without what it has in front. */
static const char *program_name(const struct event *event)
{
	if (event->is_pattern)
		return "multi";
	switch (event->kind) {
	case EVENT_TRACEPOINT:
		return "tp";
	case EVENT_RAWTRACEPOINT:
		return "raw";
	case EVENT_FENTRY:
		return "fentry";
	case EVENT_FEXIT:
		return "fexit";
	case EVENT_FMOD_RET:
		return "fmod_ret";
	default:
		return "kprobe";
	}
}

int counter_choose_program(struct counter *counter, struct bpf_object *object,
			   const char *prefix)
{
	const struct event *event = counter->event;
	struct bpf_program *prog;
	char name[64];
	bool chosen;
	int ret;

	snprintf(name, sizeof(name), "%s%s", prefix, program_name(event));
	bpf_object__for_each_program(prog, object) {
		chosen = !strcmp(bpf_program__name(prog), name);
		bpf_program__set_autoload(prog, chosen);
		if (chosen)
			counter->prog = prog;
	}
	if (!event_needs_btf(event->kind))
		return 0;
	ret = bpf_program__set_attach_target(counter->prog, 0, event->name);
	return ret ? counter_load_failed(counter, -ret) : 0;
}

/* One line for each error that a load is known to end with. */
int counter_load_failed(const struct counter *counter, int error)
{
	const struct event *event = counter->event;
	bool btf = event_needs_btf(event->kind);

	if (error == EPERM || error == EACCES) {
		warnx("no permission to load a BPF program: " NEED_CAPS);
	} else if (btf && (error == ENOENT || error == ESRCH)) {
		event_unknown(event);
	} else if (event->kind == EVENT_FMOD_RET && error == EINVAL) {
		warnx("%s: the kernel does not let the result of this function be modified (kview list-events 'fmod_ret:*' shows those it does): use fentry:%s",
		      event->text, event->name);
	} else if (btf && error == EINVAL) {
		warnx("%s: the kernel does not let a BPF trampoline be attached to this function: use kprobe:%s or kretprobe:%s",
		      event->text, event->name, event->name);
	} else {
		errno = error;
		warn("%s: cannot load the BPF program", event->text);
	}
	return -error;
}

/* One line for each error that an attach is known to end with. */
int counter_attach_failed(const struct counter *counter, int error,
			  const struct target *target)
{
	const struct event *event = counter->event;
	const char *text = event->text, *name = event->name;
	char whom[32] = "one of the processes";

	if (target && target->pid)
		snprintf(whom, sizeof(whom), "process %d", target->pid);
	switch (error) {
	case ENOENT:
		event_unknown(event);
		break;
	case EINVAL:
		if (!event_is_function(event->kind))
			goto other;
		warnx("%s: the kernel does not let a probe be set there (the kernel log may say why)",
		      text);
		break;
	case EILSEQ:
		warnx("%s: no instruction of the function begins there", text);
		break;
	case EADDRNOTAVAIL:
		if (!event_is_function(event->kind) || event->is_pattern)
			goto other;
		/* A pattern that matches this one name. */
		warnx("%s: the kernel has several functions of this name: use %s%.*s[%c] for all of them",
		      text, event_prefix(event->kind), (int)strlen(name) - 1,
		      name, name[strlen(name) - 1]);
		break;
	case EPERM:
	case EACCES:
		warnx("no permission to attach to %s: " NEED_CAPS, text);
		break;
	case ESRCH:
		if (!target)
			goto other;
		if (target->pid)
			warnx("no such process: %d (it has ended)",
			      target->pid);
		else
			warnx("%s has ended", whom);
		break;
	case EOPNOTSUPP:
		if (!target)
			goto other;
		warnx("%s cannot be seen in a kernel view (the kernel log says why): use --filter in",
		      text);
		break;
	case E2BIG:
		if (!target)
			goto other;
		warnx("too many programs on %s of %s: detach some (see kview list)",
		      text, whom);
		break;
	default:
other:
		errno = error;
		if (target)
			warn("cannot attach to %s of %s", text, whom);
		else
			warn("cannot attach to %s", text);
	}
	return -error;
}

struct bpf_link *counter_attach(const struct counter *counter, __u32 pid,
				__u32 view_flags)
{
	const struct event *event = counter->event;
	bool retprobe = event->kind == EVENT_KRETPROBE;
	LIBBPF_OPTS(bpf_tracepoint_opts, tp_opts, .pid = pid,
		    .view_flags = view_flags);
	LIBBPF_OPTS(bpf_raw_tracepoint_opts, raw_opts, .pid = pid,
		    .view_flags = view_flags);
	LIBBPF_OPTS(bpf_kprobe_opts, kprobe_opts, .offset = event->offset,
		    .retprobe = retprobe, .pid = pid, .view_flags = view_flags);
	LIBBPF_OPTS(bpf_kprobe_multi_opts, multi_opts, .addrs = event->addrs,
		    .cnt = event->nr_addrs, .retprobe = retprobe, .pid = pid,
		    .view_flags = view_flags);
	LIBBPF_OPTS(bpf_trace_opts, trace_opts, .pid = pid,
		    .view_flags = view_flags);

	if (event->is_pattern)
		return bpf_program__attach_kprobe_multi_opts(counter->prog,
							     NULL, &multi_opts);
	switch (event->kind) {
	case EVENT_TRACEPOINT:
		return bpf_program__attach_tracepoint_opts(
			counter->prog, event->category, event->name, &tp_opts);
	case EVENT_RAWTRACEPOINT:
		return bpf_program__attach_raw_tracepoint_opts(
			counter->prog, event->name, &raw_opts);
	case EVENT_KPROBE:
	case EVENT_KRETPROBE:
		return bpf_program__attach_kprobe_opts(
			counter->prog, event->name, &kprobe_opts);
	default:
		return bpf_program__attach_trace_opts(counter->prog,
						      &trace_opts);
	}
}

int counter_link(struct counter *counter, struct bpf_link *link, int error,
		 const struct target *target)
{
	struct bpf_link **links;

	if (!link)
		return counter_attach_failed(counter, error, target);
	links = reallocarray(counter->links, counter->nr_links + 1,
			     sizeof(*links));
	if (!links) {
		warn("%s", counter->event->text);
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	counter->links = links;
	links[counter->nr_links++] = link;
	return 0;
}

int counter_attach_all(struct filter *filter __attribute__((unused)),
		       struct counter *counter)
{
	struct bpf_link *link = counter_attach(counter, 0, 0);

	return counter_link(counter, link, errno, NULL);
}

int counter_sum(const struct bpf_map *map, __u64 *sum)
{
	int nr_cpus = libbpf_num_possible_cpus(), i, ret;
	__u64 *values;
	__u32 key = 0;

	if (nr_cpus < 0) {
		errno = -nr_cpus;
		warn("cannot tell the number of CPUs");
		return nr_cpus;
	}
	values = calloc(nr_cpus, sizeof(*values));
	if (!values) {
		warn("counters");
		return -ENOMEM;
	}
	ret = bpf_map__lookup_elem(map, &key, sizeof(key), values,
				   nr_cpus * sizeof(*values), 0);
	if (ret)
		warn("cannot read the counters");
	*sum = 0;
	for (i = 0; !ret && i < nr_cpus; i++)
		*sum += values[i];
	free(values);
	return ret;
}

/*
 * Wait until no CPU is in a program that it entered before: hooks run them in
 * RCU read-side critical sections, if not with preemption off, so that to wait
 * for a grace period is to wait for them.
 */
static void wait_for_programs(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(100 * 1000);
}

/* Events that the hook of a link could not hand to the program. */
static __u64 link_missed(const struct bpf_link *link)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len))
		return 0;
	switch (info.type) {
	case BPF_LINK_TYPE_KVIEW:
		return info.kview.missed;
	case BPF_LINK_TYPE_KPROBE_MULTI:
		return info.kprobe_multi.missed;
	case BPF_LINK_TYPE_PERF_EVENT:
		if (info.perf_event.type == BPF_PERF_EVENT_KPROBE ||
		    info.perf_event.type == BPF_PERF_EVENT_KRETPROBE)
			return info.perf_event.kprobe.missed;
		return 0;
	default:
		return 0;
	}
}

static int counter_read(struct filter *filter, struct counter *counter,
			struct tally *tally)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	size_t i;
	int ret;

	ret = filter->ops->read(filter, counter, tally);
	if (ret)
		return ret;
	if (bpf_prog_get_info_by_fd(bpf_program__fd(counter->prog), &info,
				    &len)) {
		warn("%s: cannot read the program's state",
		     counter->event->text);
		return -errno;
	}
	tally->lost += info.recursion_misses + counter->missed;
	for (i = 0; i < counter->nr_links; i++)
		tally->lost += link_missed(counter->links[i]);
	return 0;
}

int filter_open(struct filter **filterp, const struct filter_ops *ops,
		const struct event_list *events,
		const struct target_list *targets, __u32 view_flags)
{
	struct filter *filter;
	size_t i;
	int ret;

	filter = calloc(1, sizeof(*filter) +
				   events->n * sizeof(filter->counters[0]));
	if (!filter) {
		warn("filter %s", ops->name);
		return -ENOMEM;
	}
	filter->ops = ops;
	filter->events = events;
	filter->targets = targets;
	filter->view_flags = view_flags;

	for (i = 0; i < events->n; i++) {
		filter->counters[i].event = &events->v[i];
		ret = ops->load(filter, &filter->counters[i]);
		if (ret)
			goto error;
	}
	for (i = 0; i < events->n; i++) {
		ret = ops->attach(filter, &filter->counters[i]);
		if (ret)
			goto error;
	}
	ret = ops->start ? ops->start(filter) : 0;
	if (ret)
		goto error;

	/*
	 * An attach can take a good part of a second. What was met by some
	 * programs while others were not yet attached is left out, so that all
	 * counts are of the same time.
	 */
	filter_poll(filter);
	for (i = 0; events->n > 1 && i < events->n; i++) {
		ret = counter_read(filter, &filter->counters[i],
				   &filter->counters[i].base);
		if (ret)
			goto error;
	}
	*filterp = filter;
	return 0;

error:
	filter_close(filter);
	return ret;
}

int filter_interval(const struct filter *filter)
{
	return filter->ops->interval;
}

void filter_poll(struct filter *filter)
{
	if (filter->ops->poll)
		filter->ops->poll(filter);
}

static void detach(struct filter *filter)
{
	struct counter *counter;
	struct bpf_link *link;
	size_t i;

	if (filter->detached)
		return;
	filter->detached = true;
	if (filter->ops->stop)
		filter->ops->stop(filter);
	for (i = 0; i < filter->events->n; i++) {
		counter = &filter->counters[i];
		while (counter->nr_links) {
			link = counter->links[--counter->nr_links];
			counter->missed += link_missed(link);
			bpf_link__destroy(link);
		}
		free(counter->links);
		counter->links = NULL;
	}
}

int filter_stop(struct filter *filter, bool over)
{
	struct counter *counter;
	int ret = 0;
	size_t i;

	if (over) {
		/* The dead are still to leave the CPU, which may be an event. */
		wait_for_programs();
		detach(filter);
		wait_for_programs();
	}
	filter_poll(filter);
	for (i = 0; !ret && i < filter->events->n; i++) {
		counter = &filter->counters[i];
		ret = counter_read(filter, counter, &counter->end);
	}
	detach(filter);
	return ret;
}

struct tally filter_count(const struct filter *filter, size_t event)
{
	const struct counter *counter = &filter->counters[event];

	return (struct tally){
		.count = counter->end.count - counter->base.count,
		.lost = counter->end.lost - counter->base.lost,
	};
}

void filter_close(struct filter *filter)
{
	size_t i;

	if (!filter)
		return;
	detach(filter);
	ring_buffer__free(filter->ring);
	for (i = 0; i < filter->events->n; i++)
		filter->ops->unload(filter, &filter->counters[i]);
	free(filter);
}
