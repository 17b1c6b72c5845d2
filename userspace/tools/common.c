// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "percpu.h"

#define CLOCK_INTERVAL 10 /* ms */
/* bpftrace's default. */
#define WAKE_INTERVAL ((int)(1000 * SESSION_MIN_INTERVAL)) /* ms */
#define FLUSH_INTERVAL 0.1 /* s */
/* Those who fill it may be faster: not more than it may hold at a time. */
#define RING_RECORDS 8192
#define OUTPUT_BUFFER (64 << 10)

void tool_init(struct tool *tool, const char *name)
{
	*tool = (struct tool){};
	session_init(&tool->session, name);
}

static int print_nothing(enum libbpf_print_level level __attribute__((unused)),
			 const char *format __attribute__((unused)),
			 va_list args __attribute__((unused)))
{
	return 0;
}

bool tool_parse(struct tool *tool, int argc, char **argv, const char *doc,
		const struct argp_option *options, argp_parser_t parse,
		void *input)
{
	const struct argp_child children[] = { { &session_argp, 0, NULL, 0 },
					       {} };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[--] [COMMAND [ARG...]]",
		.doc = doc,
		.children = children,
	};

	argp_err_exit_status = EXIT_USAGE;
	libbpf_set_print(print_nothing);
	return !argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, input) &&
	       !tool->session.bad;
}

void tool_use_object(struct tool *tool, struct bpf_object_skeleton *skeleton,
		     struct tool_config *config, struct bpf_map *targets,
		     struct bpf_map *ring, struct bpf_map *lost)
{
	tool->skeleton = skeleton;
	tool->config = config;
	tool->targets = targets;
	tool->ring_map = ring;
	tool->lost_map = lost;
}

void tool_open_failed(const struct tool *tool)
{
	warn("%s: cannot open the BPF programs", tool->session.name);
}

int tool_hook(struct tool *tool, const char *event, struct bpf_program *prog)
{
	int ret;

	if (tool->nr_hooks == TOOL_MAX_HOOKS) {
		warnx("%s: too many hooks", event);
		return -E2BIG;
	}
	ret = event_list_add(&tool->events, event);
	if (!ret)
		ret = event_check(&tool->events.v[tool->nr_hooks]);
	if (!ret)
		tool->progs[tool->nr_hooks++] = prog;
	return ret;
}

/* Load those programs only that are to be attached. */
static void choose_programs(struct tool *tool)
{
	struct bpf_object *object = *tool->skeleton->obj;
	struct bpf_program *prog;
	size_t i;

	bpf_object__for_each_program(prog, object) {
		for (i = 0; i < tool->nr_hooks && tool->progs[i] != prog; i++)
			;
		bpf_program__set_autoload(prog, i < tool->nr_hooks);
	}
}

static int fill_targets(struct tool *tool)
{
	const struct target_list *targets = &tool->session.targets;
	__u8 yes = 1;
	__u32 tgid;
	int ret = 0;
	size_t i;

	for (i = 0; !ret && i < targets->n; i++) {
		tgid = targets->v[i].pid;
		ret = bpf_map__update_elem(tool->targets, &tgid, sizeof(tgid),
					   &yes, sizeof(yes), 0);
	}
	return ret;
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct tool *tool = ctx;
	__u32 tgid;

	if (size < tool->min_size)
		return 0;
	memcpy(&tgid, (char *)data + tool->tgid_offset, sizeof(tgid));
	if (tool->session.filter->in_user_space &&
	    !target_list_has(&tool->session.targets, tgid))
		return 0;
	tool->saved++;
	tool->event(tool, data, size);
	return 0;
}

int tool_load(struct tool *tool)
{
	const struct filter *filter = tool->session.filter;
	const struct target_list *targets = &tool->session.targets;
	size_t i;
	int ret = 0;

	for (i = 0; i < tool->nr_hooks; i++) {
		tool->hooks[i].event = &tool->events.v[i];
		tool->hooks[i].prog = tool->progs[i];
	}
	choose_programs(tool);
	tool->config->check_targets = filter->in_program;
	tool->config->send = filter->in_user_space;
	if (filter->in_program && targets->n == 1)
		tool->config->target = targets->v[0].pid;
	if (filter->in_program)
		ret = bpf_map__set_max_entries(tool->targets, targets->n);
	if (!ret)
		ret = bpf_object__load_skeleton(tool->skeleton);
	if (!ret && filter->in_program)
		ret = fill_targets(tool);
	if (ret) {
		/* It is not known which of the programs it was. */
		return hook_load_failed(&tool->events.v[0], -ret);
	}
	tool->ring = ring_buffer__new(bpf_map__fd(tool->ring_map), on_event,
				      tool, NULL);
	if (!tool->ring) {
		ret = -errno;
		warn("%s: cannot read the ring of events", tool->session.name);
		return ret;
	}
	/* stdio's buffer is too small for this many lines. */
	setvbuf(tool->session.file, NULL, _IOFBF, OUTPUT_BUFFER);
	return 0;
}

static int write_error(const struct tool *tool)
{
	int error = errno ?: EIO;

	if (!ferror(tool->session.file))
		return 0;
	errno = error;
	warn("cannot write the output");
	return -error;
}

/* Take what is in the ring, and write it out now and then. */
static int poll_tool(void *arg)
{
	struct tool *tool = arg;
	double now;
	int ret;

	errno = 0;
	ret = ring_buffer__consume_n(tool->ring, RING_RECORDS);
	if (ret < 0) {
		errno = -ret;
		warn("%s: cannot read the ring of events", tool->session.name);
		return ret;
	}
	now = session_now();
	if (now - tool->flushed > FLUSH_INTERVAL) {
		fflush(tool->session.file);
		tool->flushed = now;
	}
	ret = write_error(tool);
	if (!ret && tool->poll)
		ret = tool->poll(tool);
	return ret;
}

static int attach_all(struct tool *tool)
{
	const struct filter *filter = tool->session.filter;
	int ret = 0;
	size_t i;

	tool->attached = true;
	for (i = 0; !ret && i < tool->nr_hooks; i++)
		ret = filter->attach(&tool->hooks[i], &tool->session.targets,
				     tool->session.view_flags);
	if (!ret && filter->start)
		ret = filter->start(&tool->session.targets);
	return ret;
}

static void detach_all(struct tool *tool)
{
	const struct filter *filter = tool->session.filter;
	size_t i;

	if (!tool->attached)
		return;
	tool->attached = false;
	if (filter->stop)
		filter->stop(&tool->session.targets);
	for (i = 0; i < tool->nr_hooks; i++)
		hook_detach(&tool->hooks[i]);
}

static int read_lost(struct tool *tool)
{
	struct tool_lost *lost = &tool->lost;
	__u64 missed;
	size_t i;
	int ret;

	ret = percpu_sum(tool->lost_map, LOST_ROOM, &lost->room);
	if (!ret)
		ret = percpu_sum(tool->lost_map, LOST_CALL, &lost->call);
	for (i = 0; !ret && i < tool->nr_hooks; i++) {
		ret = hook_missed(&tool->hooks[i], &missed);
		if (!ret)
			lost->missed += missed;
	}
	lost->all = lost->room + lost->call + lost->missed;
	return ret;
}

int tool_run(struct tool *tool)
{
	struct session *session = &tool->session;
	int fd = -1, interval = -1, ret;

	if (tool->event && !tool->by_clock)
		fd = ring_buffer__epoll_fd(tool->ring);
	if (tool->event && tool->by_clock)
		interval = CLOCK_INTERVAL;
	else if (tool->event || tool->poll)
		interval = WAKE_INTERVAL;
	tool->flushed = session_now();
	ret = attach_all(tool);
	if (!ret)
		ret = session_go(session);
	if (!ret)
		ret = session_wait(session, fd, interval, poll_tool, tool);
	/* The dead may still be on their way out, and cause events. */
	if (!ret && session->over)
		hook_wait_for_programs();
	detach_all(tool);
	if (ret)
		return ret;
	hook_wait_for_programs();
	ret = ring_buffer__consume(tool->ring);
	if (ret < 0) {
		errno = -ret;
		warn("%s: cannot read the ring of events", session->name);
		return ret;
	}
	return read_lost(tool);
}

double tool_time(const struct tool *tool, __u64 ns)
{
	return ns / 1e9 - tool->session.start;
}

void tool_warn_lost(const struct tool *tool, const char *what)
{
	const struct tool_lost *lost = &tool->lost;

	if (lost->all)
		warnx("%llu %s were lost: %llu for want of room, %llu as the call's beginning was not seen, %llu that the hooks missed",
		      lost->all, what, lost->room, lost->call, lost->missed);
}

void tool_json_end(const struct tool *tool, bool saved)
{
	const struct session *session = &tool->session;
	const struct target_list *targets = &session->targets;
	const struct tool_lost *lost = &tool->lost;
	FILE *file = session->file;
	size_t i;

	fprintf(file, "\"filter\": \"%s\", \"follow_fork\": %s, \"pids\": [",
		session->filter->name,
		session->view_flags & BPF_F_VIEW_FOLLOW_FORK ? "true" :
							       "false");
	for (i = 0; i < targets->n; i++)
		fprintf(file, "%s%d", i ? ", " : "", targets->v[i].pid);
	fputs("], ", file);
	if (saved)
		fprintf(file, "\"saved\": %llu, ", tool->saved);
	fprintf(file,
		"\"lost\": %llu, \"lost_room\": %llu, \"lost_call\": %llu, \"lost_missed\": %llu, \"seconds\": %.9f}\n",
		lost->all, lost->room, lost->call, lost->missed,
		session->seconds);
}

void tool_events_begin(struct tool *tool, const char *heading)
{
	fputs(tool->session.json ? "{\"events\": [" : heading,
	      tool->session.file);
}

void tool_json_event(struct tool *tool)
{
	fputs(tool->saved > 1 ? ",\n  {" : "\n  {", tool->session.file);
}

int tool_events_end(struct tool *tool)
{
	const struct session *session = &tool->session;

	tool_warn_lost(tool, "events");
	if (session->json) {
		fputs("\n], ", session->file);
		tool_json_end(tool, true);
	} else {
		fprintf(session->file,
			"\n%llu events saved, %llu lost, %.6f seconds elapsed\n",
			tool->saved, tool->lost.all, session->seconds);
	}
	return session_flush(&tool->session);
}

void tool_close(struct tool *tool)
{
	detach_all(tool);
	ring_buffer__free(tool->ring);
	session_close(&tool->session);
	event_list_free(&tool->events);
}
