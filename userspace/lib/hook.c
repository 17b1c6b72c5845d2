// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hook.h"

#define NEED_CAPS "needs CAP_BPF and CAP_PERFMON (run as root)"

/* One line for each error that a load is known to end with. */
int hook_load_failed(const struct event *event, int error)
{
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
int hook_attach_failed(const struct hook *hook, int error,
		       const struct target *target)
{
	const struct event *event = hook->event;
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
	case ENOSPC:
		if (!target)
			goto other;
		warnx("no room for a view of %s: views take as many pages as kernel.kview_max_pages allows (sysctl)",
		      whom);
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

struct bpf_link *hook_make_link(const struct hook *hook, __u32 pid,
				__u32 view_flags)
{
	const struct event *event = hook->event;
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
		return bpf_program__attach_kprobe_multi_opts(hook->prog, NULL,
							     &multi_opts);
	switch (event->kind) {
	case EVENT_TRACEPOINT:
		return bpf_program__attach_tracepoint_opts(
			hook->prog, event->category, event->name, &tp_opts);
	case EVENT_RAWTRACEPOINT:
		return bpf_program__attach_raw_tracepoint_opts(
			hook->prog, event->name, &raw_opts);
	case EVENT_KPROBE:
	case EVENT_KRETPROBE:
		return bpf_program__attach_kprobe_opts(hook->prog, event->name,
						       &kprobe_opts);
	default:
		return bpf_program__attach_trace_opts(hook->prog, &trace_opts);
	}
}

int hook_take_link(struct hook *hook, struct bpf_link *link, int error,
		   const struct target *target)
{
	struct bpf_link **links;

	if (!link)
		return hook_attach_failed(hook, error, target);
	links = reallocarray(hook->links, hook->nr_links + 1, sizeof(*links));
	if (!links) {
		warn("%s", hook->event->text);
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	hook->links = links;
	links[hook->nr_links++] = link;
	return 0;
}

int hook_attach_all(struct hook *hook)
{
	struct bpf_link *link = hook_make_link(hook, 0, 0);

	return hook_take_link(hook, link, errno, NULL);
}

void hook_wait_for_programs(void)
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

void hook_detach(struct hook *hook)
{
	struct bpf_link *link;

	while (hook->nr_links) {
		link = hook->links[--hook->nr_links];
		hook->missed += link_missed(link);
		bpf_link__destroy(link);
	}
	free(hook->links);
	hook->links = NULL;
}

int hook_missed(const struct hook *hook, __u64 *missed)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	size_t i;

	if (bpf_prog_get_info_by_fd(bpf_program__fd(hook->prog), &info, &len)) {
		warn("%s: cannot read the program's state", hook->event->text);
		return -errno;
	}
	*missed = info.recursion_misses + hook->missed;
	for (i = 0; i < hook->nr_links; i++)
		*missed += link_missed(hook->links[i]);
	return 0;
}
