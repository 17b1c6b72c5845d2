// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview target: change which processes a link is for.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kview.h"
#include "link.h"
#include "target.h"

static const char doc[] =
	"Add processes to the targets of a link to kernel views, or take them away.\n"
	"\v"
	"LINK is the ID of a link, as kview list and bpftool link show it, or the file "
	"in a bpf file system that it is pinned to; a file whose name is a number is "
	"written with a slash (./7). PIDs are those of processes, not of threads.\n"
	"\n"
	"A process that is added runs the program of the link from then on, with all "
	"its threads; one that is taken away does not begin to run it any more. Nobody "
	"else is affected. All processes are added or taken away, or, if that cannot "
	"be done with one of them, none.\n"
	"\n"
	"EXIT STATUS\n"
	"\n"
	"  0  success\n"
	"  1  failure: nothing was changed\n"
	"  2  bad usage\n"
	"\n"
	"EXAMPLES\n"
	"\n"
	"  kview target add 5 512,513\n"
	"  kview target del /sys/fs/bpf/reads 512 513\n";

struct change {
	enum bpf_link_targets_op op; /* 0: not given yet */
	const char *link;
	struct target_list targets;
	bool bad; /* usage */
};

static int parse_op(struct change *change, const char *arg)
{
	if (!strcmp(arg, "add")) {
		change->op = BPF_LINK_TARGETS_ADD;
		return 0;
	}
	if (!strcmp(arg, "del")) {
		change->op = BPF_LINK_TARGETS_DEL;
		return 0;
	}
	warnx("unknown operation '%s': there are add and del (see kview target --help)",
	      arg);
	return -EINVAL;
}

static int check_args(const struct change *change)
{
	if (!change->op)
		warnx("no operation given: there are add and del (see kview target --help)");
	else if (!change->link || !*change->link)
		warnx("no link given: LINK is an ID or a pinned file (see kview target --help)");
	else if (!change->targets.n)
		warnx("no target given: name PIDs after the link (see kview target --help)");
	else if (change->targets.n > BPF_LINK_TARGETS_MAX)
		warnx("%zu PIDs are too many at a time: at most %d",
		      change->targets.n, BPF_LINK_TARGETS_MAX);
	else
		return 0;
	return -EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct change *change = state->input;

	if (change->bad)
		return 0;
	switch (key) {
	case ARGP_KEY_ARG:
		if (!change->op)
			change->bad = parse_op(change, arg);
		else if (!change->link)
			change->link = arg;
		else
			change->bad = target_list_add(&change->targets, arg);
		return 0;
	case ARGP_KEY_END:
		change->bad = check_args(change);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "add|del LINK PID[,PID...]...",
	.doc = doc,
};

/*
 * The kernel says what is wrong, but not with which process: look for one that
 * it fits. True if one was found and named.
 */
static bool blame_one(const struct change *change, const struct link *link,
		      struct target *target, int error)
{
	bool is_target = link_has_target(link, target->pid), blamed = false;
	char comm[32];

	target_comm(target->pid, comm, sizeof(comm));
	if (error == EEXIST && is_target) {
		warnx("%d (%s) is a target of link %u already: leave it out",
		      target->pid, comm, link->id);
		return true;
	}
	if (error == EINVAL && target_is_kthread(target)) {
		warnx("%d (%s) is a kernel thread, which has no view of its own: leave it out",
		      target->pid, comm);
		return true;
	}
	if (error != ENOENT && error != ESRCH)
		return false;
	if (change->op == BPF_LINK_TARGETS_DEL && is_target)
		return false;
	/* This says it if there is none, or if it is a thread. */
	if (target_open(target))
		return true;
	if (error == ENOENT) {
		warnx("%d (%s) is not a target of link %u: kview list shows those that are",
		      target->pid, comm, link->id);
		blamed = true;
	} else if (target_has_ended(target)) {
		warnx("no such process: %d (it has ended)", target->pid);
		blamed = true;
	}
	target_close(target);
	return blamed;
}

static void blame(struct change *change, const struct link *link, int error)
{
	bool add = change->op == BPF_LINK_TARGETS_ADD;
	char whom[32] = "one of the processes";
	size_t i;

	for (i = 0; i < change->targets.n; i++) {
		if (blame_one(change, link, &change->targets.v[i], error))
			return;
	}
	if (change->targets.n == 1)
		snprintf(whom, sizeof(whom), "process %d",
			 change->targets.v[0].pid);
	switch (error) {
	case EPERM:
	case EACCES:
		warnx("no permission to change the targets of link %u: needs CAP_BPF and CAP_PERFMON (run as root)",
		      link->id);
		break;
	case EINVAL:
		warnx("this kernel cannot change the targets of a link");
		break;
	case ENOLINK:
		warnx("link %u was detached, and can have no more targets",
		      link->id);
		break;
	case EEXIST:
		warnx("the program is on %s of %s through another link already (see kview list)",
		      link->event, whom);
		break;
	case ENOSPC:
		warnx("no room for %s: views take as many pages as kernel.kview_max_pages allows (sysctl)",
		      whom);
		break;
	case E2BIG:
		warnx("too many programs on %s of %s: detach some (see kview list)",
		      link->event, whom);
		break;
	default:
		errno = error;
		if (add)
			warn("cannot add %s to link %u", whom, link->id);
		else
			warn("cannot take %s away from link %u", whom,
			     link->id);
	}
}

static int update(const struct change *change, int fd)
{
	size_t n = change->targets.n, i;
	__u32 pids[BPF_LINK_TARGETS_MAX];

	for (i = 0; i < n; i++)
		pids[i] = change->targets.v[i].pid;
	return bpf_link_update_targets(fd, change->op, pids, n, NULL);
}

static int change_targets(struct change *change, int fd)
{
	struct link link, now;
	const char *type;
	int ret;

	ret = link_read(&link, fd);
	if (ret) {
		errno = -ret;
		warn("cannot read link %s", change->link);
		return ret;
	}
	if (link.type != BPF_LINK_TYPE_KVIEW) {
		type = libbpf_bpf_link_type_str(link.type);
		warnx("link %s is not one to kernel views (its type is %s): kview list shows those that are",
		      change->link, type ?: "unknown");
		return -EINVAL;
	}
	ret = update(change, fd);
	if (ret) {
		/* It may have other targets than a moment ago. */
		if (!link_read(&now, fd)) {
			link_free(&link);
			link = now;
		}
		blame(change, &link, -ret);
	}
	link_free(&link);
	return ret;
}

int cmd_target(int argc, char **argv)
{
	struct change change = {};
	int status = EXIT_USAGE, fd;

	if (!argp_parse(&argp, argc, argv, 0, NULL, &change) && !change.bad) {
		status = EXIT_FAILED;
		fd = link_open(change.link);
		if (fd >= 0) {
			status = change_targets(&change, fd) ? EXIT_FAILED : 0;
			close(fd);
		}
	}
	target_list_close(&change.targets);
	return status;
}
