// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include "attach.h"
#include "demo_printk.skel.h"

#ifndef PR_SET_BPF_TRACED
#define PR_SET_BPF_TRACED 0x6b765057
#endif

const char *const filter_names[] = { "none", "post", "in", "pre", "view" };

const char *const program_names[] = {
	[PROGRAM_PRINTK] = "printk",
	[PROGRAM_COUNT] = "count",
	[PROGRAM_RAW] = "raw",
	[PROGRAM_BTF] = "tp_btf",
	[PROGRAM_KPROBE] = "kprobe",
	[PROGRAM_KRETPROBE] = "kretprobe",
	[PROGRAM_INSTRUCTION] = "instruction",
	[PROGRAM_MULTI] = "kprobe.multi",
	[PROGRAM_RETMULTI] = "kretprobe.multi",
	[PROGRAM_FENTRY] = "fentry",
	[PROGRAM_FEXIT] = "fexit",
	[PROGRAM_FMOD_RET] = "fmod_ret",
};

struct attachment {
	enum program program;
	pid_t pre; /* process with the pre-eBPF flag, or 0 */
	struct demo_printk_bpf **skels;
	unsigned int nr_skels;
	struct bpf_link **links;
	unsigned int nr_links;
	int *fds; /* links and programs that libbpf does not know */
	unsigned int nr_fds;
};

int index_of(const char *const *names, size_t n, const char *name,
	     const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	errx(2, "unknown %s '%s' (try --help)", what, name);
}

unsigned int number_of(const char *arg, unsigned int min, unsigned int max,
		       const char *what)
{
	char *end;
	unsigned long value = strtoul(arg, &end, 10);

	if (*end || end == arg || *arg == '-' || value < min || value > max)
		errx(2, "%s: a number from %u to %u, not '%s'", what, min, max,
		     arg);
	return value;
}

bool program_is_on_function(enum program program)
{
	return program >= PROGRAM_KPROBE;
}

static bool is_trampoline(enum program program)
{
	return program >= PROGRAM_FENTRY;
}

static struct bpf_program *choose(struct demo_printk_bpf *skel,
				  enum program program, bool in)
{
	switch (program) {
	case PROGRAM_PRINTK:
		return in ? skel->progs.printk_in : skel->progs.printk;
	case PROGRAM_COUNT:
		return in ? skel->progs.count_event_in :
			    skel->progs.count_event;
	case PROGRAM_RAW:
		return in ? skel->progs.count_raw_in : skel->progs.count_raw;
	case PROGRAM_BTF:
		return in ? skel->progs.count_btf_in : skel->progs.count_btf;
	case PROGRAM_KPROBE:
	case PROGRAM_KRETPROBE:
	case PROGRAM_INSTRUCTION:
		return in ? skel->progs.count_kprobe_in :
			    skel->progs.count_kprobe;
	case PROGRAM_MULTI:
	case PROGRAM_RETMULTI:
		return in ? skel->progs.count_multi_in :
			    skel->progs.count_multi;
	case PROGRAM_FENTRY:
		return in ? skel->progs.count_fentry_in :
			    skel->progs.count_fentry;
	case PROGRAM_FEXIT:
		return in ? skel->progs.count_fexit_in :
			    skel->progs.count_fexit;
	case PROGRAM_FMOD_RET:
		return in ? skel->progs.count_fmod_ret_in :
			    skel->progs.count_fmod_ret;
	default:
		return NULL;
	}
}

struct demo_printk_bpf *load_program(enum program program, bool in,
				     pid_t target, const char *func)
{
	struct demo_printk_bpf *skel = demo_printk_bpf__open();
	struct bpf_program *chosen, *other;

	if (!skel)
		err(1, "BPF programs");
	skel->rodata->target = target;
	chosen = choose(skel, program, in);
	bpf_object__for_each_program(other, skel->obj)
		bpf_program__set_autoload(other, other == chosen);
	if (is_trampoline(program) &&
	    bpf_program__set_attach_target(chosen, 0, func))
		err(1, "%s: %s", program_names[program], func);
	if (demo_printk_bpf__load(skel))
		err(1, "load BPF programs");
	return skel;
}

struct bpf_program *chosen_program(struct demo_printk_bpf *skel)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skel->obj)
		if (bpf_program__autoload(program))
			return program;
	return NULL;
}

struct bpf_link *attach_program(struct bpf_program *bpf, enum program program,
				const struct hook *hook,
				const struct audience *audience)
{
	__u32 pid = audience->pid, flags = audience->view_flags;
	LIBBPF_OPTS(bpf_tracepoint_opts, tracepoint, .pid = pid,
		    .view_flags = flags);
	LIBBPF_OPTS(bpf_raw_tracepoint_opts, raw, .pid = pid,
		    .view_flags = flags);
	LIBBPF_OPTS(bpf_kprobe_opts, kprobe, .pid = pid, .view_flags = flags);
	LIBBPF_OPTS(bpf_kprobe_multi_opts, multi, .pid = pid,
		    .view_flags = flags);
	LIBBPF_OPTS(bpf_trace_opts, trace, .pid = pid, .view_flags = flags);
	struct bpf_link *link;

	switch (program) {
	case PROGRAM_PRINTK:
	case PROGRAM_COUNT:
		return bpf_program__attach_tracepoint_opts(
			bpf, "syscalls", hook->event, &tracepoint);
	case PROGRAM_RAW:
		return bpf_program__attach_raw_tracepoint_opts(bpf, "sys_enter",
							       &raw);
	case PROGRAM_KPROBE:
	case PROGRAM_KRETPROBE:
		kprobe.retprobe = program == PROGRAM_KRETPROBE;
		return bpf_program__attach_kprobe_opts(bpf, hook->funcs[0],
						       &kprobe);
	case PROGRAM_INSTRUCTION:
		/* Behind the call at the entry, and an endbr if there is one. */
		kprobe.offset = 9;
		link = bpf_program__attach_kprobe_opts(bpf, hook->funcs[0],
						       &kprobe);
		if (link || errno != EILSEQ)
			return link;
		kprobe.offset = 5;
		return bpf_program__attach_kprobe_opts(bpf, hook->funcs[0],
						       &kprobe);
	case PROGRAM_MULTI:
	case PROGRAM_RETMULTI:
		multi.retprobe = program == PROGRAM_RETMULTI;
		multi.syms = (const char **)hook->funcs;
		multi.cnt = hook->nr_funcs;
		return bpf_program__attach_kprobe_multi_opts(bpf, NULL, &multi);
	case PROGRAM_BTF:
	case PROGRAM_FENTRY:
	case PROGRAM_FEXIT:
	case PROGRAM_FMOD_RET:
		return bpf_program__attach_trace_opts(bpf, &trace);
	default:
		errno = EINVAL;
		return NULL;
	}
}

static void *append(void *array, unsigned int *nr, size_t size)
{
	array = realloc(array, (*nr + 1) * size);
	if (!array)
		err(1, "memory");
	(*nr)++;
	return array;
}

static void keep_fd(struct attachment *at, int fd)
{
	at->fds = append(at->fds, &at->nr_fds, sizeof(*at->fds));
	at->fds[at->nr_fds - 1] = fd;
}

static void keep_link(struct attachment *at, struct bpf_link *link,
		      const struct plan *plan, const struct audience *audience,
		      const char *where)
{
	if (!link && audience->pid && (errno == EINVAL || errno == EOPNOTSUPP))
		err(1, "%s %s: not possible in a view of this kernel",
		    program_names[plan->program], where);
	if (!link && audience->pid)
		err(1, "%s %s: attach for process %d",
		    program_names[plan->program], where, audience->pid);
	if (!link)
		err(1, "%s %s: attach", program_names[plan->program], where);
	at->links = append(at->links, &at->nr_links, sizeof(*at->links));
	at->links[at->nr_links - 1] = link;
}

/*
 * The same program for another function: what libbpf has loaded, with its maps,
 * is loaded once more. To open the object again would read all types of the
 * kernel again. Returns -1 with errno if the function cannot have such a program.
 */
static int load_clone(struct bpf_program *bpf, const char *func)
{
	static struct btf *types;
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type =
			    bpf_program__expected_attach_type(bpf));
	int id;

	if (!types)
		types = btf__load_vmlinux_btf();
	if (!types)
		err(1, "types of the kernel");
	id = btf__find_by_name_kind(types, func, BTF_KIND_FUNC);
	if (id < 0) {
		errno = ENOENT;
		return -1;
	}
	opts.attach_btf_id = id;
	return bpf_prog_load(bpf_program__type(bpf), bpf_program__name(bpf),
			     "GPL", bpf_program__insns(bpf),
			     bpf_program__insn_cnt(bpf), &opts);
}

bool can_have_fentry(const char *func)
{
	static struct demo_printk_bpf *skel;
	int fd;

	if (!skel)
		skel = load_program(PROGRAM_FENTRY, false, 0, "__x64_sys_read");
	fd = load_clone(chosen_program(skel), func);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void attach_clone(struct attachment *at, struct bpf_program *bpf,
			 const char *func, const struct audience *audience)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .view.pid = audience->pid,
		    .view.flags = audience->view_flags);
	int program = load_clone(bpf, func), link;

	if (program < 0)
		err(1, "%s: load", func);
	link = bpf_link_create(program, 0,
			       bpf_program__expected_attach_type(bpf), &opts);
	if (link < 0)
		err(1, "%s: attach", func);
	keep_fd(at, link);
	keep_fd(at, program);
}

static void attach_everywhere(struct attachment *at, struct bpf_program *bpf,
			      const struct plan *plan,
			      const struct audience *audience)
{
	struct hook hook = plan->hook;
	bool several = program_is_on_function(plan->program) &&
		       plan->program != PROGRAM_MULTI &&
		       plan->program != PROGRAM_RETMULTI;
	const char *where = program_is_on_function(plan->program) ?
				    hook.funcs[0] :
				    hook.event;

	keep_link(at, attach_program(bpf, plan->program, &hook, audience), plan,
		  audience, where);
	for (unsigned int i = 1; several && i < plan->hook.nr_funcs; i++) {
		hook.funcs = &plan->hook.funcs[i];
		if (is_trampoline(plan->program))
			attach_clone(at, bpf, hook.funcs[0], audience);
		else
			keep_link(at,
				  attach_program(bpf, plan->program, &hook,
						 audience),
				  plan, audience, hook.funcs[0]);
	}
}

struct attachment *attach_plan(const struct plan *plan)
{
	struct audience all = {}, one = { .pid = plan->target,
					  .view_flags = plan->view_flags };
	struct attachment *at = calloc(1, sizeof(*at));

	if (!at)
		err(1, "memory");
	at->program = plan->program;
	if (plan->filter == FILTER_NONE)
		return at;
	if (plan->filter == FILTER_PRE) {
		if (prctl(PR_SET_BPF_TRACED, plan->target, 1, 0, 0))
			err(1, "this is not the pre-eBPF kernel");
		at->pre = plan->target;
	}
	for (unsigned int i = 0; i < plan->copies; i++) {
		struct demo_printk_bpf *skel = load_program(
			plan->program, plan->filter == FILTER_IN, plan->target,
			plan->hook.nr_funcs ? plan->hook.funcs[0] : NULL);
		struct bpf_program *bpf = chosen_program(skel);

		at->skels =
			append(at->skels, &at->nr_skels, sizeof(*at->skels));
		at->skels[i] = skel;
		if (plan->filter == FILTER_VIEW)
			attach_everywhere(at, bpf, plan, &one);
		if (plan->filter != FILTER_VIEW || plan->global_too)
			attach_everywhere(at, bpf, plan, &all);
	}
	return at;
}

struct bpf_program *attached_program(const struct attachment *at)
{
	return at->nr_skels ? chosen_program(at->skels[0]) : NULL;
}

/* Of all CPUs' buffers: what is in them, what was overwritten, and read. */
static uint64_t count_printed(void)
{
	static const char *const names[] = { "entries: %lu", "overrun: %lu",
					     "read events: %lu" };
	unsigned long value;
	uint64_t sum = 0;
	char line[100];
	glob_t files;

	if (glob("/sys/kernel/tracing/per_cpu/cpu*/stats", 0, NULL, &files))
		errx(1,
		     "/sys/kernel/tracing is not there: mount -t tracefs trace /sys/kernel/tracing");
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "re");

		if (!file)
			err(1, "%s", files.gl_pathv[i]);
		while (fgets(line, sizeof(line), file))
			for (size_t j = 0; j < ARRAY_SIZE(names); j++)
				if (sscanf(line, names[j], &value) == 1)
					sum += value;
		fclose(file);
	}
	globfree(&files);
	return sum;
}

uint64_t count_events(const struct attachment *at)
{
	uint64_t sum = 0;

	if (at->nr_skels && at->program == PROGRAM_PRINTK)
		return count_printed();
	for (unsigned int i = 0; i < at->nr_skels; i++)
		sum += *(volatile __u64 *)&at->skels[i]->bss->count;
	return sum;
}

void detach_all(struct attachment *at)
{
	for (unsigned int i = 0; i < at->nr_fds; i++)
		close(at->fds[i]);
	for (unsigned int i = 0; i < at->nr_links; i++)
		bpf_link__destroy(at->links[i]);
	if (at->pre && prctl(PR_SET_BPF_TRACED, at->pre, 0, 0, 0))
		err(1, "prctl");
	for (unsigned int i = 0; i < at->nr_skels; i++)
		demo_printk_bpf__destroy(at->skels[i]);
	free(at->fds);
	free(at->links);
	free(at->skels);
	free(at);
}
