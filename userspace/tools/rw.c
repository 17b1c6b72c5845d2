// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"
#include "output.h"
#include "rw.h"
#include "rw.skel.h"

/* Of the kernel's device numbers. */
#define MINORBITS 20

#define DOC_BEGIN                                                               \
	"\v" SESSION_DOC_TARGET                                                 \
	"An event is the return of the kernel's vfs_read() or vfs_write(): of " \
	"read, write, pread64 and pwrite64, on files, pipes, sockets and "      \
	"devices. Calls that begin before or return after the time are none. "  \
	"Events come through a ring buffer of 256 KiB. Those for which it had " \
	"no room are lost, and counted as such.\n"                              \
	"\n"
#define DOC_END                                                                 \
	SESSION_DOC_FILTER                                                      \
	"--hook kprobe uses a kprobe and a kretprobe on each function, fentry " \
	"(the default) BPF trampolines.\n"                                      \
	"\n"                                                                    \
	"OUTPUT\n"                                                              \
	"\n"                                                                    \
	"A line for each event: when it began, PID, TID, command, R or W, the " \
	"position in the file (-1: it has none), the size that was asked for, " \
	"the result (bytes, or a negative errno), the duration, and the name "  \
	"of the file without its directory. "
#define DOC_JSON                                                                 \
	"With --json: an object; in it events, an array with an object for "     \
	"each event, filter, follow_fork, pids, saved (number of events), lost " \
	"(and why), seconds. It goes to standard output, where COMMAND writes, " \
	"too, or to FILE.\n"                                                     \
	"\n" SESSION_DOC_STATUS "EXAMPLES\n"                                     \
	"\n"

static const char doc[] =
	"Trace the reads and writes of processes." DOC_BEGIN DOC_END DOC_JSON
	"  kview-rw-tracer -- cat /etc/passwd\n"
	"  kview-rw-tracer -p 512,513 --duration 10 --output events\n"
	"  kview-rw-tracer -p 512 --json | jq '.events[] | select(.result < 0)'\n";

static const char doc_all[] =
	"Trace the reads and writes of processes, with their data." DOC_BEGIN
	"The first 4096 bytes of what was transferred are part of the event, as "
	"they are in the process's memory when the call returns: a thread that "
	"changes them meanwhile can be seen. Data whose memory is not there at "
	"that time is left out.\n"
	"\n" DOC_END
	"A second line has the data, as a string in C. In JSON it is data, in "
	"hexadecimal digits. " DOC_JSON
	"  kview-rw-tracer-all -- cat /etc/passwd\n"
	"  kview-rw-tracer-all -p 512 --json | jq -r '.events[].data' | xxd -r -p\n";

enum {
	OPT_HOOK = 0x200,
};

static const struct argp_option options[] = {
	{ "hook", OPT_HOOK, "HOOK", 0,
	  "How to get at the functions: fentry, kprobe", 0 },
	{}
};

struct rw {
	struct tool tool;
	bool kprobe;
	bool with_data;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct rw *rw = state->input;

	if (key == ARGP_KEY_INIT) {
		tool_parse_init(&rw->tool, state);
		return 0;
	}
	if (key != OPT_HOOK)
		return ARGP_ERR_UNKNOWN;
	if (rw->tool.session.bad)
		return 0;
	rw->kprobe = !strcmp(arg, "kprobe");
	if (!rw->kprobe && strcmp(arg, "fentry")) {
		warnx("unknown hook '%s': there are fentry and kprobe", arg);
		rw->tool.session.bad = true;
	}
	return 0;
}

static const char *file_type(__u32 mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFIFO:
		return "pipe";
	case S_IFSOCK:
		return "socket";
	default: /* such as an eventfd */
		return "other";
	}
}

static void print_hex(FILE *file, const unsigned char *data, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char buf[2 * RW_DATA_MAX];
	size_t i;

	for (i = 0; i < size; i++) {
		buf[2 * i] = digits[data[i] >> 4];
		buf[2 * i + 1] = digits[data[i] & 15];
	}
	fwrite(buf, 1, 2 * size, file);
}

static void print_string(FILE *file, const unsigned char *data, size_t size)
{
	static const char escapes[256] = {
		['\n'] = 'n',
		['\t'] = 't',
		['"'] = '"',
		['\\'] = '\\',
	};
	/* By hand, as what takes long here makes events be lost. */
	char buf[4 * RW_DATA_MAX + 2], *p = buf;
	size_t i;

	*p++ = '"';
	for (i = 0; i < size; i++) {
		unsigned char c = data[i];

		if (escapes[c]) {
			*p++ = '\\';
			*p++ = escapes[c];
		} else if (c >= 0x20 && c < 0x7f) {
			*p++ = c;
		} else {
			*p++ = '\\';
			*p++ = '0' + (c >> 6);
			*p++ = '0' + ((c >> 3) & 7);
			*p++ = '0' + (c & 7);
		}
	}
	*p++ = '"';
	fwrite(buf, 1, p - buf, file);
}

static void print_json(struct rw *rw, const struct rw_event *event)
{
	FILE *file = rw->tool.session.file;

	tool_json_event(&rw->tool);
	fprintf(file, "\"time\": %.9f, \"pid\": %u, \"tid\": %u, \"command\": ",
		tool_time(&rw->tool, event->start), event->tgid, event->tid);
	output_json_string(file, event->comm);
	fprintf(file,
		", \"call\": \"%s\", \"offset\": %lld, \"size\": %llu, \"result\": %lld, \"nanoseconds\": %llu, \"type\": \"%s\", \"device\": \"%u:%u\", \"inode\": %llu, \"flags\": %u, \"name\": ",
		event->type == RW_WRITE ? "write" : "read", event->offset,
		event->size, event->result, event->duration,
		file_type(event->mode), event->device >> MINORBITS,
		event->device & ((1U << MINORBITS) - 1), event->inode,
		event->flags);
	output_json_string(file, event->name);
	if (rw->with_data) {
		fputs(", \"data\": \"", file);
		print_hex(file, (const unsigned char *)(event + 1),
			  event->data_size);
		fputc('"', file);
	}
	fputc('}', file);
}

static void print_line(struct rw *rw, const struct rw_event *event)
{
	FILE *file = rw->tool.session.file;

	fprintf(file, "%12.6f %7u %7u ", tool_time(&rw->tool, event->start),
		event->tgid, event->tid);
	output_text(file, event->comm);
	fprintf(file, "%*s %c %12lld %9llu %9lld %12.3f ",
		(int)(TOOL_COMM_LEN - 1 - strlen(event->comm)), "",
		event->type == RW_WRITE ? 'W' : 'R', event->offset, event->size,
		event->result, event->duration / 1e3);
	output_text(file, event->name);
	fputc('\n', file);
	if (rw->with_data && event->data_size) {
		fputs("             ", file);
		print_string(file, (const unsigned char *)(event + 1),
			     event->data_size);
		fputc('\n', file);
	}
}

static void on_event(struct tool *tool, const void *data, size_t size)
{
	struct rw *rw = (struct rw *)tool;
	struct rw_event event;

	/* What the kernel writes is whole, but its lengths are believed once. */
	memcpy(&event, data, sizeof(event));
	if (event.data_size > size - sizeof(event) ||
	    event.data_size > RW_DATA_MAX)
		return;
	if (tool->session.json)
		print_json(rw, data);
	else
		print_line(rw, data);
}

static int add_hooks(struct rw *rw, const struct rw_bpf *skel)
{
	struct tool *tool = &rw->tool;

	/*
	 * The beginning first: one whose return is not seen is nothing, but the
	 * other way round it would be an event that was lost.
	 */
	if (rw->kprobe)
		return tool_hook(tool, "kprobe:vfs_read",
				 skel->progs.vfs_read_kprobe) ||
		       tool_hook(tool, "kprobe:vfs_write",
				 skel->progs.vfs_write_kprobe) ||
		       tool_hook(tool, "kretprobe:vfs_read",
				 skel->progs.vfs_read_kretprobe) ||
		       tool_hook(tool, "kretprobe:vfs_write",
				 skel->progs.vfs_write_kretprobe);
	return tool_hook(tool, "fentry:vfs_read",
			 skel->progs.vfs_read_fentry) ||
	       tool_hook(tool, "fentry:vfs_write",
			 skel->progs.vfs_write_fentry) ||
	       tool_hook(tool, "fexit:vfs_read", skel->progs.vfs_read_fexit) ||
	       tool_hook(tool, "fexit:vfs_write", skel->progs.vfs_write_fexit);
}

/* Returns the exit status. */
static int run(struct rw *rw, struct rw_bpf **skelp)
{
	struct tool *tool = &rw->tool;
	int status = session_open(&tool->session);
	struct rw_bpf *skel;

	if (status)
		return status;
	*skelp = skel = rw_bpf__open();
	if (!skel) {
		tool_open_failed(tool);
		return EXIT_FAILED;
	}
	skel->rodata->with_data = rw->with_data;
	tool_use(tool, skel);
	if (add_hooks(rw, skel) || tool_load(tool))
		return EXIT_FAILED;
	tool_events_begin(
		tool,
		"     TIME(s)     PID     TID COMMAND         T       OFFSET      SIZE    RESULT DURATION(us) FILE\n");
	if (tool_run(tool) || tool_events_end(tool))
		return EXIT_FAILED;
	return session_end(&tool->session);
}

int rw_main(int argc, char **argv, const char *name, bool with_data)
{
	struct rw rw = { .with_data = with_data };
	struct rw_bpf *skel = NULL;
	int status = EXIT_USAGE;

	tool_init(&rw.tool, name);
	rw.tool.event = on_event;
	rw.tool.min_size = sizeof(struct rw_event);
	rw.tool.tgid_offset = offsetof(struct rw_event, tgid);
	if (tool_parse(&rw.tool, argc, argv, with_data ? doc_all : doc, options,
		       parse, &rw))
		status = run(&rw, &skel);
	tool_close(&rw.tool);
	rw_bpf__destroy(skel);
	return status;
}
