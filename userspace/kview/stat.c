// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview stat: count events of processes until they, a command, or a time ends.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "count.h"
#include "event.h"
#include "kview.h"
#include "output.h"
#include "session.h"

static const char doc[] =
	"Count kernel events of processes.\n"
	"\v" SESSION_DOC_TARGET
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
	"the count is then the sum over all functions that match, those of modules included. "
	"kfunc: and kretfunc: are fentry: and fexit:. kview list-events shows the events. "
	"-e and -p may be repeated, and take comma lists. "
	"The count of an event is the sum over all targets.\n"
	"\n" SESSION_DOC_FILTER
	"--task-context needs the filter view, too. Events that were met but could not "
	"be counted are reported as lost; a count with losses is a lower bound.\n"
	"\n"
	"OUTPUT\n"
	"\n"
	"A table, or with --json an array with an object for each event: event, "
	"filter, follow_fork, task_context, pids, count, lost, seconds. It goes to standard output, where "
	"COMMAND writes, too, or to FILE.\n"
	"\n" SESSION_DOC_STATUS "EXAMPLES\n"
	"\n"
	"  kview stat -e tracepoint:syscalls:sys_enter_read -- cat /etc/passwd\n"
	"  kview stat -p 512,513 -e rt:sched_switch,rt:sys_enter --duration 10\n"
	"  kview stat -p 512 -e 'kprobe:vfs_*,fexit:tcp_sendmsg' --duration 10\n";

enum {
	OPT_TASK_CONTEXT = 0x200,
};

static const struct argp_option options[] = {
	{ "event", 'e', "EVENT[,EVENT...]", 0, "Count these events", 0 },
	{ "task-context", OPT_TASK_CONTEXT, NULL, 0,
	  "Leave out events in interrupts", 0 },
	{}
};

struct stat {
	struct session session;
	struct event_list events;
	struct count *count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stat *st = state->input;
	struct session *session = &st->session;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = session;
		return 0;
	}
	if (session->bad)
		return 0;
	switch (key) {
	case 'e':
		session->bad = event_list_add(&st->events, arg);
		return 0;
	case OPT_TASK_CONTEXT:
		session->view_flags |= BPF_F_VIEW_TASK_CONTEXT;
		return 0;
	case ARGP_KEY_END:
		if (!st->events.n) {
			warnx("no event given: use -e EVENT (see kview stat --help)");
			session->bad = true;
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 },
					      {} };

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[--] [COMMAND [ARG...]]",
	.doc = doc,
	.children = children,
};

static int poll_count(void *arg)
{
	struct stat *st = arg;

	count_poll(st->count);
	return 0;
}

static int print_counts(struct stat *st)
{
	size_t i, j, n = st->events.n;
	struct output *out;
	struct tally tally;
	bool lost = false;
	int ret;

	for (i = 0; i < n; i++) {
		tally = count_tally(st->count, i);
		if (!tally.lost)
			continue;
		lost = true;
		warnx("%s: %llu events were lost, the count is a lower bound",
		      st->events.v[i].text, tally.lost);
	}
	if (!st->session.json) {
		session_heading(&st->session, "Event counts for");
		fputc('\n', st->session.file);
	}
	out = output_open(st->session.file, st->session.json);
	if (!out) {
		warn("cannot write the counts");
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		tally = count_tally(st->count, i);
		output_row(out);
		output_num(out, "count", tally.count);
		if (lost || output_is_json(out))
			output_num(out, "lost", tally.lost);
		output_str(out, "event", st->events.v[i].text);
		if (output_is_json(out)) {
			output_str(out, "filter", st->session.filter->name);
			output_bool(out, "follow_fork",
				    st->session.view_flags &
					    BPF_F_VIEW_FOLLOW_FORK);
			output_bool(out, "task_context",
				    st->session.view_flags &
					    BPF_F_VIEW_TASK_CONTEXT);
			output_array(out, "pids");
			for (j = 0; j < st->session.targets.n; j++)
				output_item(out, st->session.targets.v[j].pid);
			output_array_end(out);
			output_real(out, "seconds", st->session.seconds);
		}
		output_row_end(out);
	}
	ret = output_close(out);
	if (!ret && !st->session.json)
		fprintf(st->session.file, "\n%.6f seconds elapsed\n",
			st->session.seconds);
	if (ret) {
		errno = -ret;
		warn("cannot write the counts");
		return ret;
	}
	return session_flush(&st->session);
}

/* Returns the exit status. */
static int run(struct stat *st)
{
	struct session *session = &st->session;
	size_t i;
	int ret;

	for (i = 0; i < st->events.n; i++) {
		if (event_check(&st->events.v[i]))
			return EXIT_FAILED;
	}
	ret = session_open(session);
	if (ret)
		return ret;
	if (count_open(&st->count, session->filter, &st->events,
		       &session->targets, session->view_flags))
		return EXIT_FAILED;
	if (session_go(session) ||
	    session_wait(session, -1, count_interval(st->count), poll_count,
			 st) ||
	    count_stop(st->count, session->over) || print_counts(st))
		return EXIT_FAILED;
	return session_end(session);
}

int cmd_stat(int argc, char **argv)
{
	struct stat st = {};
	int status = EXIT_USAGE;

	session_init(&st.session, "kview stat");
	if (!argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &st) &&
	    !st.session.bad)
		status = run(&st);
	count_close(st.count);
	session_close(&st.session);
	event_list_free(&st.events);
	return status;
}
