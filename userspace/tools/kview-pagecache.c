// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview-pagecache: count the hits and misses of processes in the page cache.
 */
#include <stdio.h>

#include "common.h"
#include "pagecache.skel.h"
#include "percpu.h"

static const char doc[] =
	"Count the hits and misses of processes in the page cache.\n"
	"\v" SESSION_DOC_TARGET "Counted are pages of files\n"
	"\n"
	"  - that are read from the page cache;\n"
	"  - that are written to in the page cache;\n"
	"  - for which there is a page fault of a mapping;\n"
	"  - that are added to the page cache on behalf of the process: the misses. "
	"Pages that are read ahead are among them.\n"
	"\n"
	"Hits are those of the first three that are not misses: what is read ahead and "
	"then used is a miss once. Files in tmpfs are in memory anyway, and not "
	"counted. With --interval the counts of each interval are printed, and else "
	"those of the whole time.\n"
	"\n" SESSION_DOC_FILTER "OUTPUT\n"
	"\n"
	"A line for each interval: time, hits, misses, the share of the hits, pages "
	"read, written and faulted. With --json: an object; in it samples, an array with an "
	"object for each interval, filter, follow_fork, pids, lost (and why), "
	"seconds. It goes to standard output, where COMMAND writes, too, or to "
	"FILE.\n"
	"\n" SESSION_DOC_STATUS "EXAMPLES\n"
	"\n"
	"  kview-pagecache -- cat /etc/passwd\n"
	"  kview-pagecache -p 512,513 --interval 1\n";

static const struct argp_option options[] = {
	{ "interval", 'i', "SECONDS", 0, "Print the counts this often", 0 },
	{}
};

struct pagecache {
	struct tool tool;
	double interval; /* 0: none */

	struct pagecache_bpf *skel;
	__u64 counts[NR_PAGES_COUNTS], printed[NR_PAGES_COUNTS];
	double next; /* when an interval ends */
	bool any; /* sample was printed */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pagecache *pc = state->input;

	if (key == ARGP_KEY_INIT) {
		tool_parse_init(&pc->tool, state);
		return 0;
	}
	if (key != 'i')
		return ARGP_ERR_UNKNOWN;
	if (!pc->tool.session.bad)
		pc->tool.session.bad =
			session_parse_interval(arg, &pc->interval);
	return 0;
}

/* Filter post: some pages of a target. */
static void on_pages(struct tool *tool, const void *data,
		     size_t size __attribute__((unused)))
{
	struct pagecache *pc = (struct pagecache *)tool;
	const struct pages_event *event = data;

	if (event->what < NR_PAGES_COUNTS)
		pc->counts[event->what] += event->pages;
}

/* All other filters: read what the programs have counted. */
static int read_counts(struct pagecache *pc)
{
	int ret = 0, i;

	for (i = 0; !ret && i < NR_PAGES_COUNTS; i++)
		ret = percpu_sum(pc->skel->maps.counts, i, &pc->counts[i]);
	return ret;
}

/* Print what has been counted since the last time. */
static int print_sample(struct pagecache *pc, double seconds)
{
	const struct session *session = &pc->tool.session;
	__u64 n[NR_PAGES_COUNTS], all, hits, misses;
	int i;

	if (!pc->tool.event && read_counts(pc))
		return -1;
	for (i = 0; i < NR_PAGES_COUNTS; i++) {
		n[i] = pc->counts[i] - pc->printed[i];
		pc->printed[i] = pc->counts[i];
	}
	all = n[PAGES_READ] + n[PAGES_WRITTEN] + n[PAGES_FAULTED];
	misses = n[PAGES_ADDED];
	/* More may have been read ahead than was ever used. */
	hits = all > misses ? all - misses : 0;
	if (session->json)
		fprintf(session->file,
			"%s\n  {\"seconds\": %.9f, \"hits\": %llu, \"misses\": %llu, \"read\": %llu, \"written\": %llu, \"faulted\": %llu}",
			pc->any ? "," : "", seconds, hits, misses,
			n[PAGES_READ], n[PAGES_WRITTEN], n[PAGES_FAULTED]);
	else
		fprintf(session->file,
			"%12.6f %10llu %10llu %7.2f%% %10llu %10llu %10llu\n",
			seconds, hits, misses,
			hits + misses ? 100.0 * hits / (hits + misses) : 0.0,
			n[PAGES_READ], n[PAGES_WRITTEN], n[PAGES_FAULTED]);
	pc->any = true;
	return 0;
}

static int poll_interval(struct tool *tool)
{
	struct pagecache *pc = (struct pagecache *)tool;
	double now = session_now();

	if (!pc->next)
		pc->next = tool->session.start + pc->interval;
	if (now < pc->next)
		return 0;
	/* Those that were slept through are one. */
	while (pc->next <= now)
		pc->next += pc->interval;
	return print_sample(pc, now - tool->session.start);
}

static int print_end(struct pagecache *pc)
{
	const struct session *session = &pc->tool.session;

	tool_warn_lost(&pc->tool, "counts");
	if (print_sample(pc, session->seconds))
		return -1;
	if (session->json) {
		fputs("\n], ", session->file);
		tool_json_end(&pc->tool, false);
	}
	return session_flush(session);
}

/* Returns the exit status. */
static int run(struct pagecache *pc)
{
	struct tool *tool = &pc->tool;
	struct session *session = &tool->session;
	int status = session_open(session);
	struct pagecache_bpf *skel;

	if (status)
		return status;
	pc->skel = skel = pagecache_bpf__open();
	if (!skel) {
		tool_open_failed(tool);
		return EXIT_FAILED;
	}
	tool_use(tool, skel);
	tool->by_clock = true;
	if (session->filter->in_user_space)
		tool->event = on_pages;
	if (pc->interval)
		tool->poll = poll_interval;
	if (tool_hook(tool, "fexit:filemap_read", skel->progs.pages_read) ||
	    tool_hook(tool, "fexit:filemap_splice_read",
		      skel->progs.pages_spliced) ||
	    tool_hook(tool, "fexit:__filemap_get_folio",
		      skel->progs.pages_written) ||
	    tool_hook(tool, "fexit:filemap_fault", skel->progs.pages_faulted) ||
	    tool_hook(tool, "rawtracepoint:mm_filemap_add_to_page_cache",
		      skel->progs.pages_added) ||
	    tool_load(tool))
		return EXIT_FAILED;
	if (session->json) {
		fputs("{\"samples\": [", session->file);
	} else {
		session_heading(session, "Pages of");
		fputs("\n     TIME(s)       HITS     MISSES    HITS%       READ    WRITTEN    FAULTED\n",
		      session->file);
	}
	if (tool_run(tool) || print_end(pc))
		return EXIT_FAILED;
	return session_end(session);
}

int main(int argc, char **argv)
{
	struct pagecache pc = {};
	int status = EXIT_USAGE;

	tool_init(&pc.tool, "kview-pagecache");
	pc.tool.min_size = sizeof(struct pages_event);
	pc.tool.tgid_offset = offsetof(struct pages_event, tgid);
	if (tool_parse(&pc.tool, argc, argv, doc, options, parse, &pc))
		status = run(&pc);
	tool_close(&pc.tool);
	pagecache_bpf__destroy(pc.skel);
	return status;
}
