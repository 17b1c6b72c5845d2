// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview-spawns: trace the processes that processes make.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common.h"
#include "output.h"
#include "spawns.skel.h"

static const char doc[] =
	"Trace the processes that processes make, the programs that they execute, and "
	"how they end.\n"
	"\v" SESSION_DOC_TARGET
	"An event is that a target makes a child process, executes a program, or "
	"exits; with --threads also that it makes a thread, or that one exits. What "
	"children do is seen with --follow-fork. Events come through a ring buffer of "
	"256 KiB. Those for which it had no room are lost, and counted as such.\n"
	"\n" SESSION_DOC_FILTER "OUTPUT\n"
	"\n"
	"A line for each event: time, PID, TID, the parent's PID, command, what "
	"(fork, thread, exec, exit), and the PID of the child, the TID of the thread, "
	"the path of the program, or the status. With --json: an object; in it events, "
	"an array with an object for each event, filter, follow_fork, pids, saved "
	"(number of events), lost (and why), seconds. It goes to standard output, "
	"where COMMAND writes, too, or to FILE.\n"
	"\n" SESSION_DOC_STATUS "EXAMPLES\n"
	"\n"
	"  kview-spawns -p 512\n"
	"  kview-spawns --follow-fork -- make\n";

static const struct argp_option options[] = { { "threads", 't', NULL, 0,
						"Threads, too", 0 },
					      {} };

struct spawns {
	struct tool tool;
	bool threads;
};

static error_t parse(int key, char *arg __attribute__((unused)),
		     struct argp_state *state)
{
	struct spawns *spawns = state->input;

	if (key == ARGP_KEY_INIT) {
		tool_parse_init(&spawns->tool, state);
		return 0;
	}
	if (key != 't')
		return ARGP_ERR_UNKNOWN;
	spawns->threads = true;
	return 0;
}

static const char *what(const struct spawn_event *event)
{
	switch (event->type) {
	case SPAWN_FORK:
		return event->child == event->tgid ? "thread" : "fork";
	case SPAWN_EXEC:
		return "exec";
	default:
		return "exit";
	}
}

static void print_json(struct tool *tool, const struct spawn_event *event)
{
	FILE *file = tool->session.file;

	tool_json_event(tool);
	fprintf(file,
		"\"time\": %.9f, \"pid\": %u, \"tid\": %u, \"parent\": %u, \"command\": ",
		tool_time(tool, event->time), event->tgid, event->tid,
		event->parent);
	output_json_string(file, event->comm);
	fprintf(file, ", \"what\": \"%s\"", what(event));
	switch (event->type) {
	case SPAWN_FORK:
		fprintf(file, ", \"child\": %u", event->child_tid);
		break;
	case SPAWN_EXEC:
		fputs(", \"path\": ", file);
		output_json_string(file, event->path);
		break;
	default:
		fprintf(file, ", \"status\": %d, \"signal\": %d",
			WEXITSTATUS(event->status), WTERMSIG(event->status));
	}
	fputc('}', file);
}

static void print_line(struct tool *tool, const struct spawn_event *event)
{
	FILE *file = tool->session.file;

	fprintf(file, "%12.6f %7u %7u %7u ", tool_time(tool, event->time),
		event->tgid, event->tid, event->parent);
	output_text(file, event->comm);
	fprintf(file, "%*s %-6s ",
		(int)(TOOL_COMM_LEN - 1 - strlen(event->comm)), "",
		what(event));
	if (event->type == SPAWN_FORK)
		fprintf(file, "%u", event->child_tid);
	else if (event->type == SPAWN_EXEC)
		output_text(file, event->path);
	else if (WIFSIGNALED(event->status))
		fprintf(file, "signal %d", WTERMSIG(event->status));
	else
		fprintf(file, "%d", WEXITSTATUS(event->status));
	fputc('\n', file);
}

static void on_event(struct tool *tool, const void *data,
		     size_t size __attribute__((unused)))
{
	if (tool->session.json)
		print_json(tool, data);
	else
		print_line(tool, data);
}

/* Returns the exit status. */
static int run(struct spawns *spawns, struct spawns_bpf **skelp)
{
	struct tool *tool = &spawns->tool;
	int status = session_open(&tool->session);
	struct spawns_bpf *skel;

	if (status)
		return status;
	*skelp = skel = spawns_bpf__open();
	if (!skel) {
		tool_open_failed(tool);
		return EXIT_FAILED;
	}
	skel->rodata->with_threads = spawns->threads;
	tool_use(tool, skel);
	if (tool_hook(tool, "rawtracepoint:sched_process_fork",
		      skel->progs.spawn_fork) ||
	    tool_hook(tool, "rawtracepoint:sched_process_exec",
		      skel->progs.spawn_exec) ||
	    tool_hook(tool, "rawtracepoint:sched_process_exit",
		      skel->progs.spawn_exit) ||
	    tool_load(tool))
		return EXIT_FAILED;
	tool_events_begin(
		tool,
		"     TIME(s)     PID     TID  PARENT COMMAND         WHAT   DETAIL\n");
	if (tool_run(tool) || tool_events_end(tool))
		return EXIT_FAILED;
	return session_end(&tool->session);
}

int main(int argc, char **argv)
{
	struct spawns spawns = {};
	struct spawns_bpf *skel = NULL;
	int status = EXIT_USAGE;

	tool_init(&spawns.tool, "kview-spawns");
	spawns.tool.event = on_event;
	spawns.tool.min_size = sizeof(struct spawn_event);
	spawns.tool.tgid_offset = offsetof(struct spawn_event, tgid);
	if (tool_parse(&spawns.tool, argc, argv, doc, options, parse, &spawns))
		status = run(&spawns, &skel);
	tool_close(&spawns.tool);
	spawns_bpf__destroy(skel);
	return status;
}
