/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef COMMON_H
#define COMMON_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "session.h"
#include "tool.h"

/*
 * What the tracing tools have in common: one BPF object with programs for a few
 * hooks, a ring with events, and an account of what was lost.
 *
 * Life: tool_init(), tool_parse(), session_open(); the object is opened, and told
 * with tool_use(); tool_hook() for each program; tool_load(), tool_run(), the
 * output, session_end(); in any case tool_close(), then the object is destroyed.
 *
 * All functions that return an int return 0, or a negative error after one line
 * on standard error, unless they say otherwise.
 */
#define TOOL_MAX_HOOKS 8

/* What was not seen, and why. */
struct tool_lost {
	__u64 room; /* the ring, or a map, was full */
	__u64 call; /* the return of a call whose beginning is not known */
	/*
	 * A program was not run, as it would have interrupted itself, or the hook
	 * had no room. Other than in views, these need not be targets' events.
	 */
	__u64 missed;
	__u64 all;
};

struct tool {
	struct session session;
	/* Optional, see session_wait(): between the looks at the ring. */
	int (*poll)(struct tool *tool);
	/*
	 * An event of a target has arrived. Optional: without it there are events
	 * only if user space is to tell the targets from others.
	 */
	void (*event)(struct tool *tool, const void *event, size_t size);
	size_t min_size; /* of an event; it begins as told by tgid_offset */
	size_t tgid_offset; /* of its thread group's ID */
	/*
	 * Is the ring looked at by the clock only? Else when an event wakes us, or
	 * after a tenth of a second.
	 */
	bool by_clock;

	/* For the tool to read. */
	__u64 saved; /* events that have arrived */
	struct tool_lost lost; /* after tool_run() */

	/* Private. */
	struct bpf_object_skeleton *skeleton;
	struct tool_config *config;
	struct bpf_map *targets, *ring_map, *lost_map;
	struct event_list events;
	struct bpf_program *progs[TOOL_MAX_HOOKS];
	struct hook hooks[TOOL_MAX_HOOKS];
	size_t nr_hooks;
	bool attached;
	struct ring_buffer *ring;
	double flushed; /* when the output was written out */
};

void tool_init(struct tool *tool, const char *name);

/*
 * Parse the command line: options, if not NULL, are the tool's, for parse(), whose
 * input is input and which has tool->session's options after it. Returns true if
 * it was all right.
 */
bool tool_parse(struct tool *tool, int argc, char **argv, const char *doc,
		const struct argp_option *options, argp_parser_t parse,
		void *input);
/* For parse(): what to do for ARGP_KEY_INIT. */
#define tool_parse_init(tool, state) \
	((state)->child_inputs[0] = &(tool)->session)

/* Use an open skeleton whose programs include tool.bpf.h. */
#define tool_use(tool, skel)                                           \
	tool_use_object(tool, (skel)->skeleton,                        \
			(struct tool_config *)&(skel)->rodata->config, \
			(skel)->maps.targets, (skel)->maps.ring,       \
			(skel)->maps.lost)
void tool_use_object(struct tool *tool, struct bpf_object_skeleton *skeleton,
		     struct tool_config *config, struct bpf_map *targets,
		     struct bpf_map *ring, struct bpf_map *lost);
/* Say that a skeleton could not be opened, by errno. */
void tool_open_failed(const struct tool *tool);

/* Have a program attached to an event, in the order of the calls. */
int tool_hook(struct tool *tool, const char *event, struct bpf_program *prog);

/* Load the programs that have a hook. */
int tool_load(struct tool *tool);

/*
 * Attach everything, let the command run, and see to the events until the end; then
 * detach everything, and see to those that are left.
 */
int tool_run(struct tool *tool);

/*
 * Seconds from session_go() until a time of the kernel's monotonic clock; below 0
 * for events while others were still to be attached.
 */
double tool_time(const struct tool *tool, __u64 ns);

/* Say on standard error if anything was lost. */
void tool_warn_lost(const struct tool *tool, const char *what);

/*
 * For JSON: after the tool's own members, those that all tools have (filter,
 * follow_fork, pids, saved if there are events, lost and why, seconds), and the end.
 */
void tool_json_end(const struct tool *tool, bool saved);

/*
 * The frame of a list of events: JSON's beginning, or a heading; one event's
 * beginning in JSON; the end of all, which is also written out.
 */
void tool_events_begin(struct tool *tool, const char *heading);
void tool_json_event(struct tool *tool);
int tool_events_end(struct tool *tool);

void tool_close(struct tool *tool);

#endif
