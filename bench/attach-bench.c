// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * What it costs to attach a program and to detach it again, for everybody or in
 * the view of one process, beside so many processes with views; and the memory
 * that such a view takes.
 *
 * The program is loaded before; opening, attaching and closing is done as libbpf
 * does it. Two clocks: the time that passes, with all waiting, such as for an
 * RCU grace period, and the time that the caller runs. Under qemu/vm --clock
 * icount the unit of both is instructions; while all sleep, time leaps to the
 * next timer.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include "attach.h"
#include "functions.h"
#include "demo_printk.skel.h"

#define MAX_EXISTING 1000
#define MAX_RUNS 1000
/* Existing targets that are there before memory is measured. */
#define PRIMING 10
#define EVENT "sys_enter_read"
#define FUNCTION "__x64_sys_read"
#define PAGE_SIZE 4096
#define REGION_SIZE (2 << 20)

static struct {
	enum filter filter;
	enum program program;
	unsigned int runs;
	unsigned int existing;
	unsigned int hooks;
	bool spread;
	bool close;
	bool toggle;
	bool one_link;
} options = { .filter = FILTER_VIEW,
	      .program = PROGRAM_COUNT,
	      .runs = 20,
	      .hooks = 1 };

static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

/* What passes, and what we run. */
struct stopwatch {
	uint64_t passed;
	uint64_t ran;
};

static void start_watch(struct stopwatch *watch)
{
	watch->ran = now(CLOCK_PROCESS_CPUTIME_ID);
	watch->passed = now(CLOCK_MONOTONIC_RAW);
}

static void stop_watch(struct stopwatch *watch)
{
	watch->passed = now(CLOCK_MONOTONIC_RAW) - watch->passed;
	watch->ran = now(CLOCK_PROCESS_CPUTIME_ID) - watch->ran;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median and greatest. */
static void print_times(uint64_t *times)
{
	qsort(times, options.runs, sizeof(*times), compare);
	printf("\t%" PRIu64 "\t%" PRIu64, times[options.runs / 2],
	       times[options.runs - 1]);
}

static uint64_t read_free_pages(void)
{
	unsigned long pages = 0;
	char line[100];
	FILE *file;
	int fd;

	/* What CPUs keep for themselves is given back. */
	fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		err(1, "/proc/sys/vm/compact_memory");
	close(fd);
	file = fopen("/proc/vmstat", "re");
	if (!file)
		err(1, "/proc/vmstat");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "nr_free_pages %lu", &pages) == 1)
			break;
	fclose(file);
	return pages;
}

/* Bytes, as soon as they have been the same, or nearly, for a second: what is freed
 * after a while, such as a grace period, is free then.
 */
static uint64_t free_memory(void)
{
	const unsigned int few = 4, long_enough = 10;
	uint64_t pages = read_free_pages(), before;

	for (unsigned int same = 0, i = 0; same < long_enough && i < 200; i++) {
		before = pages;
		usleep(100000);
		pages = read_free_pages();
		same = pages <= before + few && before <= pages + few ?
			       same + 1 :
			       0;
	}
	return pages * PAGE_SIZE;
}

/* Pages of the targets' views, and those of them that other views have, too. */
static void count_private(const struct bpf_link *link, unsigned int *pages,
			  unsigned int *shared)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	if (bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &size))
		err(1, "information of the link");
	*pages = info.kview.nr_pages;
	*shared = info.kview.nr_shared;
}

/*
 * Two keys, with sites all over the scheduler and wherever BPF programs are run, by
 * what everybody has to switch them.
 */
static void toggle_keys(bool on)
{
	static const char *const names[] = {
		"/proc/sys/kernel/sched_schedstats",
		"/proc/sys/kernel/bpf_stats_enabled",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = open(names[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, on ? "1" : "0", 1) != 1)
			err(1, "%s", names[i]);
		close(fd);
	}
}

/* Median of what the caller runs for it. */
static uint64_t measure_toggle(void)
{
	static uint64_t times[2 * MAX_RUNS];

	for (unsigned int i = 0; i < 2 * options.runs; i++) {
		struct stopwatch watch;

		start_watch(&watch);
		toggle_keys(i % 2 == 0);
		stop_watch(&watch);
		times[i] = watch.ran;
	}
	qsort(times, 2 * options.runs, sizeof(*times), compare);
	return times[options.runs];
}

static struct bpf_link *attach_or_die(struct bpf_program *bpf,
				      const struct hook *hook, pid_t pid)
{
	struct audience audience = { .pid = pid };
	struct bpf_link *link =
		attach_program(bpf, options.program, hook, &audience);

	if (!link)
		err(1, "attach %s", program_names[options.program]);
	return link;
}

/* Symbols are looked up once then. */
static void attach_to_all(struct bpf_program *bpf, const struct hook *hook,
			  const pid_t *pids)
{
	static __u32 others[MAX_EXISTING];
	struct bpf_link *link = attach_or_die(bpf, hook, pids[0]);

	for (unsigned int i = 1; i < options.existing; i++)
		others[i - 1] = pids[i];
	if (options.existing > 1 &&
	    bpf_link_update_targets(bpf_link__fd(link), BPF_LINK_TARGETS_ADD,
				    others, options.existing - 1, NULL))
		err(1, "add targets");
}

static const struct argp_option argp_options[] = {
	{ "filter", 'f', "post|view", 0,
	  "attach for everybody, or in the view of a process (view)", 0 },
	{ "program", 'p', PROGRAM_CHOICE, 0, "what to attach (count)", 0 },
	{ "runs", 'r', "N", 0, "attach and detach so many times (20)", 0 },
	{ "existing", 'e', "N", 0,
	  "beside so many processes that have a view with the same hook (0)",
	  0 },
	{ "hooks", 'H', "N", 0,
	  "with kprobe.multi and kretprobe.multi: on so many functions (1)",
	  0 },
	{ "spread", 's', NULL, 0, "of these the ones farthest from each other",
	  0 },
	{ "close", 'c', NULL, 0, "of these the ones closest to each other", 0 },
	{ "toggle", 't', NULL, 0,
	  "also switch static keys for everybody, beside all the others", 0 },
	{ "one-link", 'o', NULL, 0,
	  "the existing ones are targets of one link, and not of one each", 0 },
	{}
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 'f':
		options.filter = index_of(
			filter_names, ARRAY_SIZE(filter_names), arg, "filter");
		if (options.filter != FILTER_POST &&
		    options.filter != FILTER_VIEW)
			errx(2, "--filter: post or view, not '%s'", arg);
		break;
	case 'p':
		options.program = index_of(program_names,
					   ARRAY_SIZE(program_names), arg,
					   "program");
		break;
	case 'r':
		options.runs = number_of(arg, 1, MAX_RUNS, "--runs");
		break;
	case 'e':
		options.existing =
			number_of(arg, 0, MAX_EXISTING, "--existing");
		break;
	case 'H':
		options.hooks = number_of(arg, 1, MAX_HOOKS, "--hooks");
		break;
	case 's':
		options.spread = true;
		break;
	case 'c':
		options.close = true;
		break;
	case 't':
		options.toggle = true;
		break;
	case 'o':
		options.one_link = true;
		break;
	case ARGP_KEY_ARG:
		errx(2, "unexpected argument '%s'", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.doc = "What it costs to attach a BPF program, and to detach it.\v"
	       "Prints, separated by tabs: filter, program, hooks, existing targets, "
	       "median and greatest time that passes during an attach, and that the caller "
	       "runs, the same of a detach, all in nanoseconds; private pages of the view, "
	       "those that other views share, pages and 2 MB regions of kernel text with hooks, and by how many bytes each "
	       "existing target but the first ten has made the free memory less; with "
	       "--toggle, the median time that switching two static keys on or off takes the "
	       "caller.",
};

int main(int argc, char **argv)
{
	static uint64_t attach_passed[MAX_RUNS], attach_ran[MAX_RUNS];
	static uint64_t detach_passed[MAX_RUNS], detach_ran[MAX_RUNS];
	static const char *const usual[] = { FUNCTION };
	static pid_t existing[MAX_EXISTING];
	struct hook hook = { .event = EVENT, .funcs = usual, .nr_funcs = 1 };
	struct demo_printk_bpf *skel;
	struct bpf_program *bpf;
	unsigned int pages = 0, shared = 0;
	uint64_t memory = 0;
	pid_t target;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if ((options.hooks > 1 || options.spread || options.close) &&
	    options.program != PROGRAM_MULTI &&
	    options.program != PROGRAM_RETMULTI)
		errx(2,
		     "--hooks, --spread and --close go with kprobe.multi and kretprobe.multi");
	if (options.spread && options.close)
		errx(2, "--spread or --close, not both");
	if (options.spread || options.close)
		hook.funcs = spread_functions(options.hooks, options.close);
	else if (options.hooks > 1)
		hook.funcs = choose_functions(FUNCTION, options.hooks);
	hook.nr_funcs = options.hooks;

	skel = load_program(options.program, false, 0, hook.funcs[0]);
	bpf = chosen_program(skel);
	target = start_sleeper();
	for (unsigned int i = 0; i < options.existing; i++)
		existing[i] = start_sleeper();
	/* They have begun to sleep, and what ended before is freed. */
	usleep(500000);
	/* Once before: what is allocated for the first time, and for good. */
	bpf_link__destroy(attach_or_die(
		bpf, &hook, options.filter == FILTER_VIEW ? target : 0));
	/* What the first ones take is for all: measured are the others. */
	if (options.one_link && options.existing)
		attach_to_all(bpf, &hook, existing);
	for (unsigned int i = 0; i < options.existing && !options.one_link;
	     i++) {
		if (i == PRIMING)
			memory = free_memory();
		attach_or_die(bpf, &hook, existing[i]);
	}
	if (options.existing > PRIMING && !options.one_link) {
		usleep(500000);
		memory -= free_memory();
	}
	for (unsigned int i = 0; i < options.runs; i++) {
		struct stopwatch watch;
		struct bpf_link *link;

		start_watch(&watch);
		link = attach_or_die(
			bpf, &hook, options.filter == FILTER_VIEW ? target : 0);
		stop_watch(&watch);
		attach_passed[i] = watch.passed;
		attach_ran[i] = watch.ran;
		if (options.filter == FILTER_VIEW)
			count_private(link, &pages, &shared);
		start_watch(&watch);
		bpf_link__destroy(link);
		stop_watch(&watch);
		detach_passed[i] = watch.passed;
		detach_ran[i] = watch.ran;
		/* What is freed after a while is not the next one's cost. */
		usleep(50000);
	}
	printf("%s\t%s\t%u\t%u", filter_names[options.filter],
	       program_names[options.program], options.hooks, options.existing);
	print_times(attach_passed);
	print_times(attach_ran);
	print_times(detach_passed);
	print_times(detach_ran);
	if (program_is_on_function(options.program))
		printf("\t%u\t%u\t%u\t%u", pages, shared,
		       count_pages(hook.funcs, hook.nr_funcs, PAGE_SIZE),
		       count_pages(hook.funcs, hook.nr_funcs, REGION_SIZE));
	else
		printf("\t%u\t%u\t-\t-", pages, shared);
	if (options.existing > PRIMING && !options.one_link)
		printf("\t%" PRId64,
		       (int64_t)memory / (int64_t)(options.existing - PRIMING));
	else
		printf("\t-");
	if (options.toggle)
		printf("\t%" PRIu64 "\n", measure_toggle());
	else
		printf("\t-\n");
	return 0;
}
