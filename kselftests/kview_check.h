/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel says of the memory of views: /sys/kernel/debug/kview/check. */
#ifndef KVIEW_CHECK_H
#define KVIEW_CHECK_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define CHECK_FILE "/sys/kernel/debug/kview/check"

/**
 * struct kview_check - what a reading of the file says
 * @views:   there are
 * @pages:   of them, with those that are shared counted for each view
 * @charged: pages that count for kernel.kview_max_pages
 * @faults:  differences from what everybody else executes
 * @first:   the first of these, a line
 */
struct kview_check {
	unsigned int views;
	unsigned int pages;
	long charged;
	unsigned int faults;
	char first[200];
};

/* Returns false if the kernel does not have the file, or it makes no sense. */
static inline bool kview_check(struct kview_check *check)
{
	FILE *file = fopen(CHECK_FILE, "r");
	bool done = false;
	char line[200];

	memset(check, 0, sizeof(*check));
	while (file && fgets(line, sizeof(line), file)) {
		done = sscanf(line, "views %u pages %u charged %ld faults %u",
			      &check->views, &check->pages, &check->charged,
			      &check->faults) == 4;
		if (!done && !check->first[0])
			memcpy(check->first, line, sizeof(line));
	}
	if (file)
		fclose(file);
	return done;
}

/* How often it is looked at beside the tests, in microseconds. */
#define CHECK_INTERVAL 300000

/* Of all tests of a program: shared by all processes, and by those forked. */
struct checks {
	unsigned int done;
	unsigned int with_views;
	unsigned int failed;
	struct kview_check fault;
};

static struct checks *checks;

/* Look at the copies that there are now. */
static inline void check_copies(void)
{
	struct kview_check check;

	if (!checks)
		return;
	if (!kview_check(&check)) {
		__sync_fetch_and_add(&checks->failed, 1);
		return;
	}
	__sync_fetch_and_add(&checks->done, 1);
	if (check.views)
		__sync_fetch_and_add(&checks->with_views, 1);
	if (check.faults && !checks->fault.faults)
		checks->fault = check;
}

/*
 * Look at them from time to time as long as the program runs; where the kernel can
 * be asked. The file is root's alone.
 */
static inline pid_t start_checks(void)
{
	struct kview_check check;
	pid_t pid;

	if (!kview_check(&check))
		return 0;
	checks = mmap(NULL, sizeof(*checks), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (checks == MAP_FAILED) {
		checks = NULL;
		return 0;
	}
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		check_copies();
		usleep(CHECK_INTERVAL);
	}
}

/* The same, at last; returns false, and says why, if something was not as it should be. */
static inline bool end_checks(pid_t pid)
{
	if (!checks)
		return true;
	check_copies();
	if (pid > 0)
		kill(pid, SIGKILL);
	printf("# copies of text were compared %u times, %u times with views\n",
	       checks->done, checks->with_views);
	if (checks->failed)
		printf("# kview_test.h: %u times " CHECK_FILE
		       " could not be read\n",
		       checks->failed);
	if (checks->fault.faults)
		printf("# kview_test.h: %u faults, the first: %s",
		       checks->fault.faults, checks->fault.first);
	fflush(stdout);
	return !checks->failed && !checks->fault.faults;
}

#endif
