// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview list: the kernel views in the system, by their BPF links.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kview.h"
#include "link.h"
#include "output.h"
#include "target.h"

static const char doc[] =
	"Show the kernel views in the system, by their BPF links.\n"
	"\v"
	"For each link: its ID, the family and the name of the hook, the ID and the "
	"name of the program, flags, how many private pages (page tables, text and "
	"data) the views of its targets consist of, their size in bytes, how many of them "
	"are copies of text that several views share, and the PID and the command of each target: a process that runs the program. A page is "
	"counted for each link of a process.\n"
	"\n"
	"Families and names are those that kview stat -e takes. The family kprobe.multi "
	"or kretprobe.multi is a pattern's, kprobe.session that of a program for calls "
	"and returns; they have the number of functions in place of a name. tp_btf is "
	"that of a program for a tracepoint that knows the types of its arguments.\n"
	"\n"
	"The flags are\n"
	"\n"
	"  follow-fork   a process that a target forks becomes a target\n"
	"  task-context  events in interrupts are left out\n"
	"\n"
	"A target that ends leaves the link, and takes its view with it. A link "
	"without targets stays until those who hold it close it, can get new ones, and "
	"is shown as defunct. A PID of 0 is one that is not seen from this PID namespace.\n"
	"\n"
	"With --json: an array with an object for each link, in it link, hook, event, "
	"functions (how many; 0: a tracepoint), missed (events that the hook could not "
	"hand to the program), cookie, prog, program, follow_fork, task_context, defunct, pages, bytes, shared and "
	"targets: an array of objects with pid and command.\n";

static const struct argp_option options[] = { { "json", 'j', NULL, 0,
						"Print JSON", 0 },
					      {} };

static const char *hook_name(__u32 hook)
{
	static const char *const names[] = {
		[BPF_KVIEW_HOOK_UNSPEC] = "unknown",
		[BPF_KVIEW_HOOK_RAW_TRACEPOINT] = "rawtracepoint",
		[BPF_KVIEW_HOOK_TP_BTF] = "tp_btf",
		[BPF_KVIEW_HOOK_TRACEPOINT] = "tracepoint",
		[BPF_KVIEW_HOOK_KPROBE] = "kprobe",
		[BPF_KVIEW_HOOK_KRETPROBE] = "kretprobe",
		[BPF_KVIEW_HOOK_KPROBE_MULTI] = "kprobe.multi",
		[BPF_KVIEW_HOOK_KRETPROBE_MULTI] = "kretprobe.multi",
		[BPF_KVIEW_HOOK_KPROBE_SESSION] = "kprobe.session",
		[BPF_KVIEW_HOOK_FENTRY] = "fentry",
		[BPF_KVIEW_HOOK_FEXIT] = "fexit",
		[BPF_KVIEW_HOOK_FMOD_RET] = "fmod_ret",
	};

	if (hook >= sizeof(names) / sizeof(names[0]))
		hook = BPF_KVIEW_HOOK_UNSPEC;
	return names[hook];
}

static const char *flag_names(__u32 view_flags)
{
	bool fork = view_flags & BPF_F_VIEW_FOLLOW_FORK;
	bool task = view_flags & BPF_F_VIEW_TASK_CONTEXT;

	if (fork)
		return task ? "follow-fork,task-context" : "follow-fork";
	return task ? "task-context" : "-";
}

static void print_program(struct output *out, __u32 id)
{
	struct bpf_prog_info info = {};
	char name[BPF_OBJ_NAME_LEN + 1];
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0) {
		if (bpf_prog_get_info_by_fd(fd, &info, &len))
			info.name[0] = '\0';
		close(fd);
	}
	snprintf(name, sizeof(name), "%.*s", BPF_OBJ_NAME_LEN, info.name);
	output_num(out, "prog", id);
	output_str(out, "program", name);
}

static void print_target(struct output *out, __u32 pid)
{
	char comm[32] = "";

	if (pid)
		target_comm(pid, comm, sizeof(comm));
	output_row(out);
	output_num(out, "pid", pid);
	output_str(out, "command", comm);
	output_row_end(out);
}

static void print_link(struct output *out, const struct link *link)
{
	size_t i;

	output_row(out);
	output_num(out, "link", link->id);
	output_str(out, "hook", hook_name(link->hook));
	if (output_is_json(out)) {
		output_str(out, "event", link->name);
		output_num(out, "functions", link->nr_functions);
		output_num(out, "missed", link->missed);
		output_num(out, "cookie", link->cookie);
	} else {
		output_str(out, "event", link->event);
	}
	print_program(out, link->prog_id);
	if (!output_is_json(out))
		output_str(out, "flags", flag_names(link->view_flags));
	output_bool(out, "follow_fork",
		    link->view_flags & BPF_F_VIEW_FOLLOW_FORK);
	output_bool(out, "task_context",
		    link->view_flags & BPF_F_VIEW_TASK_CONTEXT);
	output_bool(out, "defunct", link->defunct);
	output_num(out, "pages", link->nr_pages);
	output_num(out, "bytes", (__u64)link->nr_pages * sysconf(_SC_PAGESIZE));
	output_num(out, "shared", link->nr_shared);
	output_rows(out, "targets");
	for (i = 0; i < link->nr_pids; i++)
		print_target(out, link->pids[i]);
	output_rows_end(out);
	if (!output_is_json(out) && !link->nr_pids) {
		output_str(out, "pid", "-");
		output_str(out, "command", "(defunct)");
	}
	output_row_end(out);
}

struct links {
	struct link *v;
	size_t n;
};

/* Add a link if it is one to views. */
static int add_link(struct links *links, int fd)
{
	struct link *v;
	int ret;

	v = reallocarray(links->v, links->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	links->v = v;
	v += links->n;
	ret = link_read(v, fd);
	if (!ret && v->type == BPF_LINK_TYPE_KVIEW)
		links->n++;
	return ret;
}

/* By ID, which is the order of their making. */
static int get_links(struct links *links)
{
	__u32 id = 0;
	int fd, ret;

	while (!bpf_link_get_next_id(id, &id)) {
		fd = bpf_link_get_fd_by_id(id);
		if (fd < 0) {
			/* It went between the two calls, or is not yet made. */
			if (errno == ENOENT || errno == EAGAIN)
				continue;
			return -errno;
		}
		ret = add_link(links, fd);
		close(fd);
		if (ret)
			return ret;
	}
	return errno == ENOENT ? 0 : -errno;
}

/* Those that have targets first. */
static void print_links(struct output *out, const struct links *links)
{
	size_t i;

	for (i = 0; i < links->n; i++) {
		if (links->v[i].nr_pids)
			print_link(out, &links->v[i]);
	}
	for (i = 0; i < links->n; i++) {
		if (!links->v[i].nr_pids)
			print_link(out, &links->v[i]);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	int *json = state->input;

	switch (key) {
	case 'j':
		*json = 1;
		return 0;
	case ARGP_KEY_ARG:
		warnx("'%s': kview list takes no arguments (see kview list --help)",
		      arg);
		*json = -1;
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = doc,
};

int cmd_list(int argc, char **argv)
{
	struct links links = {};
	struct output *out;
	int json = 0, ret;
	size_t i;

	if (argp_parse(&argp, argc, argv, 0, NULL, &json) || json < 0)
		return EXIT_USAGE;

	ret = get_links(&links);
	if (ret == -EPERM) {
		warnx("no permission to list BPF links: needs CAP_SYS_ADMIN (run as root)");
	} else if (ret) {
		errno = -ret;
		warn("cannot list BPF links");
	} else {
		out = output_open(stdout, json);
		if (out)
			print_links(out, &links);
		ret = out ? output_close(out) : -ENOMEM;
		if (ret) {
			errno = -ret;
			warn("cannot write the list");
		}
	}
	for (i = 0; i < links.n; i++)
		link_free(&links.v[i]);
	free(links.v);
	return ret ? EXIT_FAILED : 0;
}
