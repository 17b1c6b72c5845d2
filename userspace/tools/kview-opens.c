// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview-opens: trace the files that processes open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "opens.skel.h"
#include "output.h"

static const char doc[] =
	"Trace the files that processes open.\n"
	"\v" SESSION_DOC_TARGET
	"An event is that a file is opened by its path, or is not, for an error: by open, "
	"openat, openat2, creat, io_uring, or by execve, which opens the program. Events "
	"come through a ring buffer of 256 KiB. Those for which it had no room are "
	"lost, and counted as such.\n"
	"\n" SESSION_DOC_FILTER "OUTPUT\n"
	"\n"
	"A line for each event: time, PID, TID, command, how (R, W, A: append, C: "
	"create, T: truncate, X: execute), 0 or the error, and the path as the process has "
	"it, with ... if that is longer than 510 bytes. With --json: an object; "
	"in it events, an array with an object for each event, filter, follow_fork, "
	"pids, saved (number of events), lost (and why), seconds. It goes to standard "
	"output, where COMMAND writes, too, or to FILE.\n"
	"\n" SESSION_DOC_STATUS "EXAMPLES\n"
	"\n"
	"  kview-opens -- ls\n"
	"  kview-opens -p 512 --duration 10\n"
	"  kview-opens -f --json -- make | jq -r '.events[].path' | sort | uniq -c\n";

struct opens {
	struct tool tool;
};

static error_t parse(int key, char *arg __attribute__((unused)),
		     struct argp_state *state)
{
	struct opens *opens = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	tool_parse_init(&opens->tool, state);
	return 0;
}

/* At most 7 letters. */
static const char *how(__u32 flags, char *buf)
{
	char *p = buf;

	if (flags & OPEN_EXEC) {
		*p++ = 'X';
	} else {
		if ((flags & O_ACCMODE) != O_WRONLY)
			*p++ = 'R';
		if ((flags & O_ACCMODE) != O_RDONLY)
			*p++ = 'W';
	}
	if (flags & O_APPEND)
		*p++ = 'A';
	if (flags & O_CREAT)
		*p++ = 'C';
	if (flags & O_TRUNC)
		*p++ = 'T';
	*p = '\0';
	return buf;
}

static void on_event(struct tool *tool, const void *data,
		     size_t size __attribute__((unused)))
{
	const struct open_event *event = data;
	double time = tool_time(tool, event->time);
	bool cut = event->path_len == OPEN_PATH_LEN;
	const char *error = strerrorname_np(-event->result) ?: "E?";
	FILE *file = tool->session.file;
	char buf[8];

	if (!tool->session.json) {
		fprintf(file, "%12.6f %7u %7u ", time, event->tgid, event->tid);
		output_text(file, event->comm);
		fprintf(file, "%*s %-5s %-9s ",
			(int)(TOOL_COMM_LEN - 1 - strlen(event->comm)), "",
			how(event->flags, buf), event->result ? error : "0");
		output_text(file, event->path);
		fputs(cut ? "...\n" : "\n", file);
		return;
	}
	tool_json_event(tool);
	fprintf(file,
		"\"time\": %.9f, \"pid\": %u, \"tid\": %u, \"command\": ", time,
		event->tgid, event->tid);
	output_json_string(file, event->comm);
	fprintf(file,
		", \"how\": \"%s\", \"flags\": %u, \"result\": %d, \"error\": \"%s\", \"cut\": %s, \"path\": ",
		how(event->flags, buf), event->flags, event->result,
		event->result ? error : "", cut ? "true" : "false");
	output_json_string(file, event->path);
	fputc('}', file);
}

/* Returns the exit status. */
static int run(struct opens *opens, struct opens_bpf **skel)
{
	struct tool *tool = &opens->tool;
	int status = session_open(&tool->session);

	if (status)
		return status;
	*skel = opens_bpf__open();
	if (!*skel) {
		tool_open_failed(tool);
		return EXIT_FAILED;
	}
	tool_use(tool, *skel);
	if (tool_hook(tool, "fexit:do_filp_open", (*skel)->progs.open_end) ||
	    tool_load(tool))
		return EXIT_FAILED;
	tool_events_begin(
		tool,
		"     TIME(s)     PID     TID COMMAND         HOW   ERROR     PATH\n");
	if (tool_run(tool) || tool_events_end(tool))
		return EXIT_FAILED;
	return session_end(&tool->session);
}

int main(int argc, char **argv)
{
	struct opens opens = {};
	struct opens_bpf *skel = NULL;
	int status = EXIT_USAGE;

	tool_init(&opens.tool, "kview-opens");
	opens.tool.event = on_event;
	opens.tool.min_size = sizeof(struct open_event);
	opens.tool.tgid_offset = offsetof(struct open_event, tgid);
	if (tool_parse(&opens.tool, argc, argv, doc, NULL, parse, &opens))
		status = run(&opens, &skel);
	tool_close(&opens.tool);
	opens_bpf__destroy(skel);
	return status;
}
