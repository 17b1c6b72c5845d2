// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview-syscount: count the system calls of processes by name.
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "output.h"
#include "percpu.h"
#include "syscall_names.h"
#include "syscount.skel.h"

/* Set in the numbers of the ABI x32. */
#define X32_BIT (1U << 30)

static const char doc[] =
	"Count the system calls of processes by name.\n"
	"\v" SESSION_DOC_TARGET
	"A call is counted when it begins. With --interval the counts of each interval "
	"are printed, and else those of the whole time.\n"
	"\n" SESSION_DOC_FILTER "OUTPUT\n"
	"\n"
	"A table, the most frequent calls first, or with --json an object: samples, an "
	"array with an object for each interval (seconds since the start; counts), "
	"filter, follow_fork, pids, calls, lost (and why), seconds. Calls of programs of "
	"another ABI have i386: or x32: before the name. It goes to standard output, "
	"where COMMAND writes, too, or to FILE.\n"
	"\n" SESSION_DOC_STATUS "EXAMPLES\n"
	"\n"
	"  kview-syscount -- ls\n"
	"  kview-syscount -p 512,513 --top 5 --interval 1\n"
	"  kview-syscount -p 512,513 --by-process --duration 10\n";

static const struct argp_option options[] = {
	{ "top", 'T', "N", 0, "Print the N most frequent ones only", 0 },
	{ "interval", 'i', "SECONDS", 0, "Print the counts this often", 0 },
	{ "by-process", 'P', NULL, 0, "Count by process, not by name", 0 },
	{}
};

/* What is counted for one name, or one process. */
struct counted {
	struct syscall_key key;
	__u64 count, printed;
	char comm[TOOL_COMM_LEN];
};

struct syscount {
	struct tool tool;
	unsigned long top; /* 0: all */
	double interval; /* 0: none */
	bool by_process;

	struct syscount_bpf *skel;
	void *tree; /* of the entries, by key */
	struct counted **entries;
	size_t nr_entries;
	__u64 calls;
	double next; /* when an interval ends */
	bool printed;
	bool failed; /* no memory */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct syscount *sc = state->input;
	char *end;

	if (key == ARGP_KEY_INIT) {
		tool_parse_init(&sc->tool, state);
		return 0;
	}
	if (sc->tool.session.bad)
		return 0;
	switch (key) {
	case 'T':
		errno = 0;
		sc->top = strtoul(arg, &end, 10);
		if (errno || *end || arg[strspn(arg, "0123456789")] ||
		    !sc->top) {
			warnx("bad number '%s': --top takes a number above 0",
			      arg);
			sc->tool.session.bad = true;
		}
		return 0;
	case 'i':
		sc->tool.session.bad =
			session_parse_interval(arg, &sc->interval);
		return 0;
	case 'P':
		sc->by_process = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct syscall_key));
}

/* The entry of a key, made if there is none; NULL without memory. */
static struct counted *find_entry(struct syscount *sc,
				  const struct syscall_key *key)
{
	struct counted ***found = tfind(key, &sc->tree, compare_keys),
		       **entries;
	struct counted *entry;

	/* The key is the first member. */
	if (found)
		return (struct counted *)*found;
	entry = calloc(1, sizeof(*entry));
	entries =
		reallocarray(sc->entries, sc->nr_entries + 1, sizeof(*entries));
	if (entries)
		sc->entries = entries;
	if (!entry || !entries)
		goto error;
	entry->key = *key;
	if (!tsearch(entry, &sc->tree, compare_keys))
		goto error;
	entries[sc->nr_entries++] = entry;
	return entry;
error:
	if (!sc->failed)
		warn("counts");
	sc->failed = true;
	free(entry);
	return NULL;
}

/* The name of a process, as the program has seen it, or else as long as it is there. */
static void name_entry(const struct syscount *sc, struct counted *entry)
{
	char comm[TOOL_COMM_LEN];

	if (!sc->tool.event) {
		if (!bpf_map__lookup_elem(sc->skel->maps.names,
					  &entry->key.tgid, sizeof(__u32), comm,
					  sizeof(comm), 0))
			memcpy(entry->comm, comm, sizeof(comm));
		return;
	}
	target_comm(entry->key.tgid, comm, sizeof(comm));
	if (comm[0])
		memcpy(entry->comm, comm, sizeof(comm));
}

/* Filter post: a call of a target. */
static void on_call(struct tool *tool, const void *data,
		    size_t size __attribute__((unused)))
{
	struct syscount *sc = (struct syscount *)tool;
	const struct syscall_event *event = data;
	struct syscall_key key = {};
	struct counted *entry;

	if (sc->by_process)
		key.tgid = event->tgid;
	else
		key.nr = event->nr;
	entry = find_entry(sc, &key);
	if (!entry)
		return;
	if (!entry->count && sc->by_process)
		name_entry(sc, entry);
	entry->count++;
}

/* All other filters: read what the program has counted. */
static int read_counts(struct syscount *sc)
{
	const struct bpf_map *map = sc->skel->maps.counts;
	struct syscall_key key, *previous = NULL;
	struct counted *entry;
	int ret;

	while (!bpf_map__get_next_key(map, previous, &key, sizeof(key))) {
		entry = find_entry(sc, &key);
		if (!entry)
			return -ENOMEM;
		ret = percpu_sum_key(map, &key, sizeof(key), &entry->count);
		if (ret)
			return ret;
		previous = &entry->key;
	}
	return 0;
}

/* In a buffer for messages, or a constant. */
static const char *syscall_name(__u32 nr, char *buf, size_t size)
{
	const char *const *names = names_64;
	size_t n = sizeof(names_64) / sizeof(names_64[0]);
	const char *abi = "";

	if (nr & SYSCALL_COMPAT) {
		abi = "i386:";
		names = names_32;
		n = sizeof(names_32) / sizeof(names_32[0]);
		nr &= ~SYSCALL_COMPAT;
	} else if (nr & X32_BIT) {
		abi = "x32:";
		names = names_x32;
		n = sizeof(names_x32) / sizeof(names_x32[0]);
		nr &= ~X32_BIT;
	}
	if (nr >= n || !names[nr])
		snprintf(buf, size, "%sunknown_%u", abi, nr);
	else if (!*abi)
		return names[nr];
	else
		snprintf(buf, size, "%s%s", abi, names[nr]);
	return buf;
}

static __u64 news(const struct counted *entry)
{
	return entry->count - entry->printed;
}

/* By what is new, the most first, and then by number. */
static int compare_entries(const void *a, const void *b)
{
	const struct counted *x = *(const struct counted *const *)a;
	const struct counted *y = *(const struct counted *const *)b;

	if (news(x) != news(y))
		return news(x) < news(y) ? 1 : -1;
	return compare_keys(&x->key, &y->key);
}

static void print_entry(const struct syscount *sc, struct output *out,
			struct counted *entry)
{
	char text[64];

	output_row(out);
	output_num(out, "count", news(entry));
	if (sc->by_process) {
		output_num(out, "pid", entry->key.tgid);
		name_entry(sc, entry);
		output_str(out, "command", entry->comm);
	} else {
		output_str(out, "syscall",
			   syscall_name(entry->key.nr, text, sizeof(text)));
	}
	output_row_end(out);
}

/* Print what has been counted since the last time. */
static int print_sample(struct syscount *sc, double seconds)
{
	const struct session *session = &sc->tool.session;
	struct output *out;
	size_t i;
	int ret;

	if (!sc->tool.event) {
		ret = read_counts(sc);
		if (ret)
			return ret;
	}
	if (session->json)
		fprintf(session->file, "%s{\"seconds\": %.9f, \"counts\": ",
			sc->printed ? ", " : "", seconds);
	else if (sc->interval)
		fprintf(session->file, "%sAfter %.1f s\n\n",
			sc->printed ? "\n" : "", seconds);
	out = output_open(session->file, session->json);
	if (!out) {
		warn("cannot write the counts");
		return -ENOMEM;
	}
	sc->printed = true;
	if (sc->nr_entries)
		qsort(sc->entries, sc->nr_entries, sizeof(*sc->entries),
		      compare_entries);
	for (i = 0; i < sc->nr_entries && news(sc->entries[i]); i++) {
		if (!sc->top || i < sc->top)
			print_entry(sc, out, sc->entries[i]);
		sc->calls += news(sc->entries[i]);
	}
	for (i = 0; i < sc->nr_entries; i++)
		sc->entries[i]->printed = sc->entries[i]->count;
	ret = output_close(out);
	if (ret) {
		errno = -ret;
		warn("cannot write the counts");
	} else if (session->json) {
		fputc('}', session->file);
	}
	return ret;
}

static int poll_interval(struct tool *tool)
{
	struct syscount *sc = (struct syscount *)tool;
	double now = session_now();

	if (sc->failed)
		return -ENOMEM;
	if (!sc->interval)
		return 0;
	if (!sc->next)
		sc->next = tool->session.start + sc->interval;
	if (now < sc->next)
		return 0;
	/* Those that were slept through are one. */
	while (sc->next <= now)
		sc->next += sc->interval;
	return print_sample(sc, now - tool->session.start);
}

static int print_end(struct syscount *sc)
{
	const struct session *session = &sc->tool.session;
	int ret;

	tool_warn_lost(&sc->tool, "calls");
	ret = sc->failed ? -ENOMEM : print_sample(sc, session->seconds);
	if (ret)
		return ret;
	if (session->json) {
		fprintf(session->file, "], \"calls\": %llu, ", sc->calls);
		tool_json_end(&sc->tool, false);
	} else {
		fprintf(session->file,
			"\n%llu calls, %llu lost, %.6f seconds elapsed\n",
			sc->calls, sc->tool.lost.all, session->seconds);
	}
	return session_flush(session);
}

/* Returns the exit status. */
static int run(struct syscount *sc)
{
	struct tool *tool = &sc->tool;
	struct session *session = &tool->session;
	int status = session_open(session);

	if (status)
		return status;
	sc->skel = syscount_bpf__open();
	if (!sc->skel) {
		tool_open_failed(tool);
		return EXIT_FAILED;
	}
	sc->skel->rodata->by_process = sc->by_process;
	tool_use(tool, sc->skel);
	tool->by_clock = true;
	if (session->filter->in_user_space)
		tool->event = on_call;
	if (sc->interval || tool->event)
		tool->poll = poll_interval;
	if (tool_hook(tool, "rawtracepoint:sys_enter",
		      sc->skel->progs.sys_enter) ||
	    tool_load(tool))
		return EXIT_FAILED;
	if (session->json) {
		fputs("{\"samples\": [", session->file);
	} else {
		session_heading(session, "System calls of");
		fputc('\n', session->file);
	}
	if (tool_run(tool) || print_end(sc))
		return EXIT_FAILED;
	return session_end(session);
}

int main(int argc, char **argv)
{
	struct syscount sc = {};
	int status = EXIT_USAGE;

	tool_init(&sc.tool, "kview-syscount");
	sc.tool.min_size = sizeof(struct syscall_event);
	sc.tool.tgid_offset = offsetof(struct syscall_event, tgid);
	if (tool_parse(&sc.tool, argc, argv, doc, options, parse, &sc))
		status = run(&sc);
	tool_close(&sc.tool);
	syscount_bpf__destroy(sc.skel);
	/* The entries are those of the array. */
	while (sc.nr_entries) {
		tdelete(sc.entries[--sc.nr_entries], &sc.tree, compare_keys);
		free(sc.entries[sc.nr_entries]);
	}
	free(sc.entries);
	return status;
}
