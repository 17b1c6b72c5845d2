// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "session.h"

enum {
	OPT_FILTER = 0x100,
	OPT_DURATION,
};

static const struct argp_option options[] = {
	{ "pid", 'p', "PID[,PID...]", 0, "Trace these processes", 0 },
	{ "filter", OPT_FILTER, "FILTER", 0,
	  "How to see targets only: view, in, pre, post", 0 },
	{ "follow-fork", 'f', NULL, 0, "Trace child processes, too", 0 },
	{ "duration", OPT_DURATION, "SECONDS", 0,
	  "Stop after this time; fractions are allowed", 0 },
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ "output", 'o', "FILE", 0, "Print to FILE", 0 },
	{ "verbose", 'v', NULL, 0, "Show libbpf's messages", 0 },
	{}
};

int session_parse_seconds(const char *what, const char *arg, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(arg, &end);
	/* Digits only: strtod() also knows "inf", "nan" and "0x1p3". */
	if (!errno && end != arg && !*end && !arg[strspn(arg, "0123456789.")] &&
	    *seconds > 0 && *seconds <= 1e9)
		return 0;
	warnx("bad %s '%s': a number of seconds above 0", what, arg);
	return -EINVAL;
}

int session_parse_interval(const char *arg, double *seconds)
{
	int ret = session_parse_seconds("interval", arg, seconds);

	if (ret || *seconds >= SESSION_MIN_INTERVAL)
		return ret;
	warnx("bad interval '%s': at least %g seconds", arg,
	      SESSION_MIN_INTERVAL);
	return -EINVAL;
}

static int print_libbpf(enum libbpf_print_level level, const char *format,
			va_list args)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, args);
}

static bool check_options(const struct session *session)
{
	if (!session->targets.n && !session->argv) {
		warnx("no target given: use -p PID or -- COMMAND (see %s --help)",
		      session->name);
		return false;
	}
	if (!filter_has_flags(session->filter, session->view_flags)) {
		warnx("filter %s cannot do %s: use --filter view",
		      session->filter->name,
		      session->view_flags & BPF_F_VIEW_FOLLOW_FORK ?
			      "--follow-fork" :
			      "--task-context");
		return false;
	}
	return true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct session *session = state->input;

	if (key == ARGP_KEY_INIT)
		return 0;
	if (session->bad)
		return 0;
	switch (key) {
	case 'p':
		session->bad = target_list_add(&session->targets, arg);
		return 0;
	case OPT_FILTER:
		session->filter = filter_find(arg);
		if (!session->filter) {
			warnx("unknown filter '%s': there are view, in, pre and post",
			      arg);
			session->bad = true;
		}
		return 0;
	case 'f':
		session->view_flags |= BPF_F_VIEW_FOLLOW_FORK;
		return 0;
	case OPT_DURATION:
		session->bad = session_parse_seconds("duration", arg,
						     &session->duration);
		return 0;
	case 'j':
		session->json = true;
		return 0;
	case 'o':
		session->path = arg;
		return 0;
	case 'v':
		libbpf_set_print(print_libbpf);
		return 0;
	case ARGP_KEY_ARG:
		/* The first word that is no option, and all after it. */
		session->argv = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		session->bad = !check_options(session);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp session_argp = {
	.options = options,
	.parser = parse,
};

double session_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void session_init(struct session *session, const char *name)
{
	*session = (struct session){
		.name = name,
		.filter = &filter_view,
		.file = stdout,
		.signals = -1,
		.timer = -1,
		.command_fd = -1,
	};
}

static int block_signals(struct session *session)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	if (!sigprocmask(SIG_BLOCK, &mask, &session->old_mask))
		session->signals = signalfd(-1, &mask, SFD_CLOEXEC);
	if (session->signals >= 0)
		return 0;
	warn("signals");
	return -errno;
}

static int start_timer(struct session *session)
{
	struct itimerspec its = {};

	if (!session->duration)
		return 0;
	its.it_value.tv_sec = session->duration;
	its.it_value.tv_nsec = (session->duration - its.it_value.tv_sec) * 1e9;
	/* Too short to be told from no time at all, which would disarm it. */
	if (!its.it_value.tv_sec && !its.it_value.tv_nsec)
		its.it_value.tv_nsec = 1;
	session->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (session->timer >= 0 &&
	    !timerfd_settime(session->timer, 0, &its, NULL))
		return 0;
	warn("timer");
	return -errno;
}

static int start_command(struct session *session)
{
	int ret;

	ret = command_start(&session->command, session->argv,
			    &session->old_mask);
	if (ret)
		return ret;
	session->command_fd = syscall(SYS_pidfd_open, session->command.pid, 0);
	if (session->command_fd < 0) {
		warn("command, PID %d", session->command.pid);
		return -errno;
	}
	session->command_is_target = !session->targets.n;
	if (!session->command_is_target)
		return 0;
	return target_list_add_pid(&session->targets, session->command.pid);
}

int session_open(struct session *session)
{
	int ret;

	if (session->filter->check())
		return EXIT_FAILED;
	if (session->path) {
		session->file = fopen(session->path, "we");
		if (!session->file) {
			warn("cannot open '%s'", session->path);
			return EXIT_FAILED;
		}
	}
	if (block_signals(session))
		return EXIT_FAILED;
	if (session->argv) {
		ret = start_command(session);
		if (ret && !session->command.pid)
			return ret == -ENOENT ? 127 : 126;
		if (ret)
			return EXIT_FAILED;
	}
	return target_list_open(&session->targets) ? EXIT_FAILED : 0;
}

int session_go(struct session *session)
{
	int ret;

	session->start = session_now();
	ret = start_timer(session);
	if (!ret && session->argv)
		ret = command_release(&session->command);
	return ret;
}

enum {
	FD_SIGNALS,
	FD_TIMER,
	FD_COMMAND,
	FD_POLLED,
	FD_TARGETS,
};

/* Note those targets that have ended; returns how many. */
static size_t bury_targets(struct session *session, struct pollfd *fds)
{
	size_t n = 0, i;

	for (i = 0; i < session->targets.n; i++) {
		if (!fds[i].revents)
			continue;
		session->targets.v[i].gone = true;
		fds[i].fd = -1;
		fds[i].revents = 0;
		n++;
	}
	return n;
}

int session_wait(struct session *session, int fd, int interval,
		 int (*poll_function)(void *arg), void *arg)
{
	size_t n = FD_TARGETS + session->targets.n, left, i;
	struct pollfd *fds = calloc(n, sizeof(*fds));
	int ret, ready;

	if (!fds) {
		warn("cannot wait");
		return -ENOMEM;
	}
	/* poll() passes over those that are -1. */
	fds[FD_SIGNALS].fd = session->signals;
	fds[FD_TIMER].fd = session->timer;
	fds[FD_COMMAND].fd = session->command_fd;
	fds[FD_POLLED].fd = fd;
	left = session->targets.n;
	for (i = 0; i < left; i++)
		fds[FD_TARGETS + i].fd = session->targets.v[i].pidfd;
	for (i = 0; i < n; i++)
		fds[i].events = POLLIN;

	for (;;) {
		ready = poll(fds, n, interval);
		if (ready < 0 && errno != EINTR) {
			ret = -errno;
			warn("cannot wait");
			break;
		}
		ret = poll_function ? poll_function(arg) : 0;
		if (ret)
			break;
		if (ready <= 0)
			continue;
		left -= bury_targets(session, fds + FD_TARGETS);
		session->over = !left;
		if (fds[FD_SIGNALS].revents || fds[FD_TIMER].revents ||
		    fds[FD_COMMAND].revents)
			break;
		if (!left && !session->argv)
			break;
	}
	session->seconds = session_now() - session->start;
	free(fds);
	return ret;
}

void session_heading(const struct session *session, const char *what)
{
	const struct target_list *targets = &session->targets;
	FILE *file = session->file;
	size_t i;

	fprintf(file, "%s %s", what,
		session->command_is_target ? "command" :
		targets->n > 1		   ? "processes" :
					     "process");
	for (i = 0; i < targets->n; i++)
		fprintf(file, "%s %d (%s)", i ? "," : "", targets->v[i].pid,
			targets->v[i].comm);
	fprintf(file, ", filter %s%s%s:\n", session->filter->name,
		session->view_flags & BPF_F_VIEW_FOLLOW_FORK ? ", follow-fork" :
							       "",
		session->view_flags & BPF_F_VIEW_TASK_CONTEXT ?
			", task-context" :
			"");
}

int session_flush(const struct session *session)
{
	int error;

	errno = 0;
	if (!fflush(session->file) && !ferror(session->file))
		return 0;
	error = errno ?: EIO;
	errno = error;
	warn("cannot write the output");
	return -error;
}

/* The command is to end: wait for it, and send what cannot be ignored if asked. */
static int end_command(struct session *session)
{
	struct pollfd fds[2] = {
		{ .fd = session->command_fd, .events = POLLIN },
		{ .fd = session->signals, .events = POLLIN },
	};
	struct pollfd none = { .fd = session->command_fd, .events = POLLIN };
	struct signalfd_siginfo info;

	if (poll(&none, 1, 0) == 0) {
		command_kill(&session->command, SIGTERM);
		/* The signal that ended it all, if one did. */
		if (poll(&fds[1], 1, 0) > 0 &&
		    read(session->signals, &info, sizeof(info)) < 0)
			warn("signals");
		while (poll(fds, 2, -1) < 0 && errno == EINTR)
			;
		if (!fds[0].revents)
			command_kill(&session->command, SIGKILL);
	}
	return command_wait(&session->command);
}

int session_end(struct session *session)
{
	return session->argv ? end_command(session) : 0;
}

void session_close(struct session *session)
{
	/* Left alone by an error: it must not run untraced. */
	command_kill(&session->command, SIGKILL);
	command_wait(&session->command);
	if (session->command_fd >= 0)
		close(session->command_fd);
	if (session->timer >= 0)
		close(session->timer);
	if (session->signals >= 0)
		close(session->signals);
	if (session->file && session->file != stdout)
		fclose(session->file);
	target_list_close(&session->targets);
}
