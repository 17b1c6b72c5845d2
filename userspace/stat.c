// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview stat: count events of processes until they, a command, or a time ends.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "event.h"
#include "filter.h"
#include "kview.h"
#include "output.h"
#include "target.h"

static const char doc[] =
	"Count kernel events of processes.\n"
	"\v"
	"The target is the process or processes of -p, else COMMAND, which is "
	"attached to before its first instruction. Events are counted for all threads "
	"of a target, and with --follow-fork for the child processes that it forks and "
	"for theirs, until\n"
	"\n"
	"  - COMMAND ends; or, without one, all targets have ended;\n"
	"  - the time of --duration has passed;\n"
	"  - SIGINT or SIGTERM arrives.\n"
	"\n"
	"In the two last cases COMMAND is ended with SIGTERM after the counts have "
	"been printed, and by a second SIGINT or SIGTERM with SIGKILL. "
	"Child processes of targets are not waited for.\n"
	"\n"
	"EVENT is one of these, spelled as bpftrace does:\n"
	"\n"
	"  tracepoint:CATEGORY:NAME  t:   such as tracepoint:syscalls:sys_enter_read\n"
	"  rawtracepoint:NAME        rt:  such as rawtracepoint:sched_switch\n"
	"  kprobe:FUNCTION           k:   calls of a function of the kernel\n"
	"  kprobe:FUNCTION+OFFSET         an instruction so many bytes into it\n"
	"  kretprobe:FUNCTION        kr:  returns from it\n"
	"  fentry:FUNCTION           f:   calls, by way of a BPF trampoline\n"
	"  fexit:FUNCTION            fr:  returns, likewise\n"
	"  fmod_ret:FUNCTION              calls, where the result may be modified;\n"
	"                                 it is not\n"
	"\n"
	"With kprobe: and kretprobe: FUNCTION may be a shell pattern ('kprobe:vfs_*'); "
	"the count is then the sum over all functions of the kernel image that match. "
	"kfunc: and kretfunc: are fentry: and fexit:. kview list-events shows all events. "
	"-e and -p may be repeated, and take comma lists. "
	"The count of an event is the sum over all targets.\n"
	"\n"
	"FILTER says who tells the targets' events from all others, and at what price "
	"to the other processes:\n"
	"\n"
	"  view  the kernel view of each target: no price (default)\n"
	"  pre   a flag of the process, tested by each hook before it runs a\n"
	"        program; needs a kernel with that patch\n"
	"  in    the program: each event of each process runs it\n"
	"  post  kview: each event of each process is sent to it\n"
	"\n"
	"--follow-fork and --task-context need the filter view. "
	"in and post work in the initial PID namespace only. Events that were met but "
	"could not be counted are reported as lost; a count with losses is a lower "
	"bound.\n"
	"\n"
	"OUTPUT\n"
	"\n"
	"A table, or with --json an array with an object for each event: event, "
	"filter, follow_fork, task_context, pids, count, lost, seconds. It goes to standard output, where "
	"COMMAND writes, too, or to FILE.\n"
	"\n"
	"EXIT STATUS\n"
	"\n"
	"  0      the counts were printed\n"
	"  1      failure: nothing was counted and nothing stays attached\n"
	"  2      bad usage\n"
	"  other  the status of COMMAND, 128 + N if signal N killed it; 127 if\n"
	"         it cannot be found, 126 if it cannot be run\n"
	"\n"
	"EXAMPLES\n"
	"\n"
	"  kview stat -e tracepoint:syscalls:sys_enter_read -- cat /etc/passwd\n"
	"  kview stat -p 512,513 -e rt:sched_switch,rt:sys_enter --duration 10\n"
	"  kview stat -p 512 -e 'kprobe:vfs_*,fexit:tcp_sendmsg' --duration 10\n";

enum {
	OPT_FILTER = 0x100,
	OPT_DURATION,
	OPT_TASK_CONTEXT,
};

static const struct argp_option options[] = {
	{ "pid", 'p', "PID[,PID...]", 0, "Count events of these processes", 0 },
	{ "event", 'e', "EVENT[,EVENT...]", 0, "Count these events", 0 },
	{ "filter", OPT_FILTER, "FILTER", 0,
	  "How to count targets only: view, in, pre, post", 0 },
	{ "follow-fork", 'f', NULL, 0, "Count events of child processes, too",
	  0 },
	{ "task-context", OPT_TASK_CONTEXT, NULL, 0,
	  "Leave out events in interrupts", 0 },
	{ "duration", OPT_DURATION, "SECONDS", 0,
	  "Stop after this time; fractions are allowed", 0 },
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ "output", 'o', "FILE", 0, "Print to FILE", 0 },
	{}
};

struct stat {
	struct event_list events;
	struct target_list targets;
	const struct filter_ops *ops;
	__u32 view_flags;
	double duration; /* seconds, 0: no limit */
	bool json;
	const char *path;
	char **argv; /* of the command, or NULL */
	bool bad; /* usage */

	struct command command;
	bool command_is_target;
	struct filter *filter;
	FILE *file;
	double seconds;
	/* What there is to wait for; SIGINT and SIGTERM are blocked. */
	sigset_t old_mask;
	int signals, timer, command_fd;
	bool over; /* all targets have ended */
};

static int parse_duration(struct stat *st, const char *arg)
{
	char *end;

	errno = 0;
	st->duration = strtod(arg, &end);
	/* Digits only: strtod() also knows "inf", "nan" and "0x1p3". */
	if (errno || end == arg || *end || arg[strspn(arg, "0123456789.")] ||
	    !(st->duration > 0) || st->duration > 1e9) {
		warnx("bad duration '%s': a number of seconds above 0", arg);
		return -EINVAL;
	}
	return 0;
}

/* After the first mistake nothing is looked at: it alone is reported. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stat *st = state->input;

	if (st->bad)
		return 0;
	switch (key) {
	case 'p':
		st->bad = target_list_add(&st->targets, arg);
		return 0;
	case 'e':
		st->bad = event_list_add(&st->events, arg);
		return 0;
	case OPT_FILTER:
		st->ops = filter_find(arg);
		if (!st->ops) {
			warnx("unknown filter '%s': there are view, in, pre and post",
			      arg);
			st->bad = true;
		}
		return 0;
	case 'f':
		st->view_flags |= BPF_F_VIEW_FOLLOW_FORK;
		return 0;
	case OPT_TASK_CONTEXT:
		st->view_flags |= BPF_F_VIEW_TASK_CONTEXT;
		return 0;
	case OPT_DURATION:
		st->bad = parse_duration(st, arg);
		return 0;
	case 'j':
		st->json = true;
		return 0;
	case 'o':
		st->path = arg;
		return 0;
	case ARGP_KEY_ARG:
		/* The first word that is no option, and all after it. */
		st->argv = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!st->events.n) {
			warnx("no event given: use -e EVENT (see kview stat --help)");
			st->bad = true;
		} else if (!st->targets.n && !st->argv) {
			warnx("no target given: use -p PID or -- COMMAND (see kview stat --help)");
			st->bad = true;
		} else if (!filter_has_flags(st->ops, st->view_flags)) {
			warnx("filter %s cannot do %s: use --filter view",
			      filter_name(st->ops),
			      st->view_flags & BPF_F_VIEW_FOLLOW_FORK ?
				      "--follow-fork" :
				      "--task-context");
			st->bad = true;
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[--] [COMMAND [ARG...]]",
	.doc = doc,
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int block_signals(struct stat *st)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	if (!sigprocmask(SIG_BLOCK, &mask, &st->old_mask))
		st->signals = signalfd(-1, &mask, SFD_CLOEXEC);
	if (st->signals >= 0)
		return 0;
	warn("signals");
	return -errno;
}

static int start_timer(struct stat *st)
{
	struct itimerspec its = {};

	if (!st->duration)
		return 0;
	its.it_value.tv_sec = st->duration;
	its.it_value.tv_nsec = (st->duration - its.it_value.tv_sec) * 1e9;
	/* Too short to be told from no time at all, which would disarm it. */
	if (!its.it_value.tv_sec && !its.it_value.tv_nsec)
		its.it_value.tv_nsec = 1;
	st->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (st->timer >= 0 && !timerfd_settime(st->timer, 0, &its, NULL))
		return 0;
	warn("timer");
	return -errno;
}

static int start_command(struct stat *st)
{
	int ret;

	ret = command_start(&st->command, st->argv, &st->old_mask);
	if (ret)
		return ret;
	st->command_fd = syscall(SYS_pidfd_open, st->command.pid, 0);
	if (st->command_fd < 0) {
		warn("command, PID %d", st->command.pid);
		return -errno;
	}
	st->command_is_target = !st->targets.n;
	if (!st->command_is_target)
		return 0;
	return target_list_add_pid(&st->targets, st->command.pid);
}

/* Wait for any of the ends that the help text lists. */
static int wait_end(struct stat *st)
{
	size_t n = st->targets.n, left = n, i;
	struct pollfd *fds, *target_fds;
	int ret = -ENOMEM;

	fds = calloc(3 + n, sizeof(*fds));
	if (!fds)
		goto out;
	/* poll() passes over those that are -1. */
	fds[0].fd = st->signals;
	fds[1].fd = st->timer;
	fds[2].fd = st->command_fd;
	target_fds = fds + 3;
	for (i = 0; i < n; i++)
		target_fds[i].fd = st->targets.v[i].pidfd;
	for (i = 0; i < 3 + n; i++)
		fds[i].events = POLLIN;

	for (;;) {
		ret = poll(fds, 3 + n, filter_interval(st->filter));
		if (ret < 0 && errno != EINTR) {
			ret = -errno;
			goto out;
		}
		filter_poll(st->filter);
		if (ret <= 0)
			continue;
		ret = 0;
		for (i = 0; i < n; i++) {
			if (!target_fds[i].revents)
				continue;
			st->targets.v[i].gone = true;
			target_fds[i].fd = -1;
			target_fds[i].revents = 0;
			left--;
		}
		st->over = !left;
		if (fds[0].revents || fds[1].revents || fds[2].revents)
			goto out;
		if (!left && !st->argv)
			goto out;
	}
out:
	if (ret) {
		errno = -ret;
		warn("cannot wait");
	}
	free(fds);
	return ret;
}

static void print_heading(struct stat *st)
{
	const struct target_list *targets = &st->targets;
	size_t i;

	fprintf(st->file, "Event counts for %s",
		st->command_is_target ? "command" :
		targets->n > 1	      ? "processes" :
					"process");
	for (i = 0; i < targets->n; i++)
		fprintf(st->file, "%s %d (%s)", i ? "," : "", targets->v[i].pid,
			targets->v[i].comm);
	fprintf(st->file, ", filter %s%s%s:\n\n", filter_name(st->ops),
		st->view_flags & BPF_F_VIEW_FOLLOW_FORK ? ", follow-fork" : "",
		st->view_flags & BPF_F_VIEW_TASK_CONTEXT ? ", task-context" :
							   "");
}

static int print_counts(struct stat *st)
{
	size_t i, j, n = st->events.n;
	struct output *out;
	struct tally tally;
	bool lost = false;
	int ret;

	for (i = 0; i < n; i++) {
		tally = filter_count(st->filter, i);
		if (!tally.lost)
			continue;
		lost = true;
		warnx("%s: %llu events were lost, the count is a lower bound",
		      st->events.v[i].text, tally.lost);
	}
	if (!st->json)
		print_heading(st);
	out = output_open(st->file, st->json);
	if (!out) {
		warn("cannot write the counts");
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		tally = filter_count(st->filter, i);
		output_row(out);
		output_num(out, "count", tally.count);
		if (lost || output_is_json(out))
			output_num(out, "lost", tally.lost);
		output_str(out, "event", st->events.v[i].text);
		if (output_is_json(out)) {
			output_str(out, "filter", filter_name(st->ops));
			output_bool(out, "follow_fork",
				    st->view_flags & BPF_F_VIEW_FOLLOW_FORK);
			output_bool(out, "task_context",
				    st->view_flags & BPF_F_VIEW_TASK_CONTEXT);
			output_array(out, "pids");
			for (j = 0; j < st->targets.n; j++)
				output_item(out, st->targets.v[j].pid);
			output_array_end(out);
			output_real(out, "seconds", st->seconds);
		}
		output_row_end(out);
	}
	ret = output_close(out);
	if (!ret && !st->json)
		fprintf(st->file, "\n%.6f seconds elapsed\n", st->seconds);
	if (!ret && (fflush(st->file) || ferror(st->file)))
		ret = -errno ?: -EIO;
	if (ret) {
		errno = -ret;
		warn("cannot write the counts");
	}
	return ret;
}

/* The command is to end: wait for it, and send what cannot be ignored if asked. */
static int end_command(struct stat *st)
{
	struct pollfd fds[2] = {
		{ .fd = st->command_fd, .events = POLLIN },
		{ .fd = st->signals, .events = POLLIN },
	};
	struct signalfd_siginfo info;
	struct pollfd none = { .fd = st->command_fd, .events = POLLIN };

	if (poll(&none, 1, 0) == 0) {
		command_kill(&st->command, SIGTERM);
		/* The signal that ended the count, if one did. */
		if (poll(&fds[1], 1, 0) > 0 &&
		    read(st->signals, &info, sizeof(info)) < 0)
			warn("signals");
		while (poll(fds, 2, -1) < 0 && errno == EINTR)
			;
		if (!fds[0].revents)
			command_kill(&st->command, SIGKILL);
	}
	return command_wait(&st->command);
}

/* Returns the exit status. */
static int run(struct stat *st)
{
	double start;
	size_t i;
	int ret;

	for (i = 0; i < st->events.n; i++) {
		if (event_check(&st->events.v[i]))
			return EXIT_FAILED;
	}
	if (filter_check(st->ops))
		return EXIT_FAILED;
	if (st->path) {
		st->file = fopen(st->path, "we");
		if (!st->file) {
			warn("cannot open '%s'", st->path);
			return EXIT_FAILED;
		}
	}
	if (block_signals(st))
		return EXIT_FAILED;
	if (st->argv) {
		ret = start_command(st);
		if (ret && !st->command.pid)
			return ret == -ENOENT ? 127 : 126;
		if (ret)
			return EXIT_FAILED;
	}
	if (target_list_open(&st->targets))
		return EXIT_FAILED;
	if (filter_open(&st->filter, st->ops, &st->events, &st->targets,
			st->view_flags))
		return EXIT_FAILED;

	start = now();
	if (start_timer(st))
		return EXIT_FAILED;
	if (st->argv && command_release(&st->command))
		return EXIT_FAILED;
	ret = wait_end(st);
	st->seconds = now() - start;
	if (ret || filter_stop(st->filter, st->over) || print_counts(st))
		return EXIT_FAILED;
	return st->argv ? end_command(st) : 0;
}

static void close_all(struct stat *st)
{
	filter_close(st->filter);
	/* Left alone by an error: it must not run uncounted. */
	command_kill(&st->command, SIGKILL);
	command_wait(&st->command);
	if (st->command_fd >= 0)
		close(st->command_fd);
	if (st->timer >= 0)
		close(st->timer);
	if (st->signals >= 0)
		close(st->signals);
	if (st->file && st->file != stdout)
		fclose(st->file);
	target_list_close(&st->targets);
	event_list_free(&st->events);
}

int cmd_stat(int argc, char **argv)
{
	struct stat st = {
		.ops = filter_find("view"),
		.file = stdout,
		.signals = -1,
		.timer = -1,
		.command_fd = -1,
	};
	int status = EXIT_USAGE;

	if (!argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &st) && !st.bad)
		status = run(&st);
	close_all(&st);
	return status;
}
