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
#include "output.h"
#include "target.h"

static const char doc[] =
	"Show the kernel views in the system.\n"
	"\v"
	"For each process that has a view of its own, or had one when it ended: its "
	"PID and command, the private pages that the view consists of (page tables, "
	"text and data) and their size in bytes, and for each link to it the family "
	"and the name of the hook, the ID and the name of the program.\n"
	"\n"
	"A view whose process has ended is gone, with its pages; its links stay until "
	"those who hold them close them, and are shown as defunct. A PID of 0 is one "
	"that is not seen from this PID namespace.\n"
	"\n"
	"With --json: an array with an object for each process, in it pid, command, "
	"defunct, pages, bytes and links: an array of objects with link, hook, event, "
	"cookie, prog and program.\n";

static const struct argp_option options[] = { { "json", 'j', NULL, 0,
						"Print JSON", 0 },
					      {} };

struct link {
	__u32 id;
	__u32 pid;
	bool defunct;
	__u32 nr_pages;
	__u32 hook;
	__u64 cookie;
	__u32 prog_id;
	char name[256];
	char prog_name[BPF_OBJ_NAME_LEN + 1];
};

struct links {
	struct link *v;
	size_t n;
};

static const char *hook_name(__u32 hook)
{
	static const char *const names[] = {
		[BPF_KVIEW_HOOK_UNSPEC] = "unknown",
		[BPF_KVIEW_HOOK_RAW_TRACEPOINT] = "rawtracepoint",
		[BPF_KVIEW_HOOK_TP_BTF] = "tp_btf",
		[BPF_KVIEW_HOOK_TRACEPOINT] = "tracepoint",
	};

	if (hook >= sizeof(names) / sizeof(names[0]))
		hook = BPF_KVIEW_HOOK_UNSPEC;
	return names[hook];
}

static void get_prog_name(struct link *link)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(link->prog_id);

	if (fd < 0)
		return;
	if (!bpf_prog_get_info_by_fd(fd, &info, &len))
		snprintf(link->prog_name, sizeof(link->prog_name), "%.*s",
			 BPF_OBJ_NAME_LEN, info.name);
	close(fd);
}

/* Add a link if it is one to a view. */
static int add_link(struct links *links, int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	struct link *v;

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.type != BPF_LINK_TYPE_KVIEW)
		return 0;
	v = reallocarray(links->v, links->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	links->v = v;
	v = &v[links->n];
	memset(v, 0, sizeof(*v));

	info.kview.name = (unsigned long)v->name;
	info.kview.name_len = sizeof(v->name);
	if (bpf_link_get_info_by_fd(fd, &info, &len) && errno != ENOSPC)
		return -errno;
	v->id = info.id;
	v->pid = info.kview.pid;
	v->defunct = info.kview.flags & BPF_F_KVIEW_DEFUNCT;
	v->nr_pages = info.kview.nr_pages;
	v->hook = info.kview.hook;
	v->cookie = info.kview.cookie;
	v->prog_id = info.prog_id;
	get_prog_name(v);
	links->n++;
	return 0;
}

static int get_links(struct links *links)
{
	__u32 id = 0;
	int fd, ret;

	while (!bpf_link_get_next_id(id, &id)) {
		fd = bpf_link_get_fd_by_id(id);
		if (fd < 0) {
			/* It went between the two calls. */
			if (errno == ENOENT)
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

/* The living first, by PID; the links of a process in the order of their making. */
static int compare(const void *va, const void *vb)
{
	const struct link *a = va, *b = vb;

	if (a->defunct != b->defunct)
		return a->defunct ? 1 : -1;
	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static bool same_target(const struct link *a, const struct link *b)
{
	return a->pid == b->pid && a->defunct == b->defunct;
}

static void print_link(struct output *out, const struct link *link)
{
	output_row(out);
	output_num(out, "link", link->id);
	output_str(out, "hook", hook_name(link->hook));
	output_str(out, "event", link->name);
	if (output_is_json(out))
		output_num(out, "cookie", link->cookie);
	output_num(out, "prog", link->prog_id);
	output_str(out, "program", link->prog_name);
	output_row_end(out);
}

/* Print the target of the first of n links, and those that are to it. */
static size_t print_target(struct output *out, const struct link *first,
			   size_t n)
{
	char comm[32] = "";
	size_t i;

	if (first->pid && !first->defunct)
		target_comm(first->pid, comm, sizeof(comm));
	output_row(out);
	output_num(out, "pid", first->pid);
	if (!output_is_json(out) && first->defunct)
		output_str(out, "command", "(defunct)");
	else
		output_str(out, "command", comm);
	output_bool(out, "defunct", first->defunct);
	output_num(out, "pages", first->nr_pages);
	output_num(out, "bytes",
		   (__u64)first->nr_pages * sysconf(_SC_PAGESIZE));
	output_rows(out, "links");
	for (i = 0; i < n && same_target(first, &first[i]); i++)
		print_link(out, &first[i]);
	output_rows_end(out);
	output_row_end(out);
	return i;
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
		if (links.n)
			qsort(links.v, links.n, sizeof(*links.v), compare);
		out = output_open(stdout, json);
		for (i = 0; out && i < links.n;)
			i += print_target(out, &links.v[i], links.n - i);
		ret = out ? output_close(out) : -ENOMEM;
		if (ret) {
			errno = -ret;
			warn("cannot write the list");
		}
	}
	free(links.v);
	return ret ? EXIT_FAILED : 0;
}
