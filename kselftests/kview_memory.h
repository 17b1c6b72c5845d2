/* SPDX-License-Identifier: GPL-2.0 */
/* Has memory been lost? */
#ifndef KVIEW_MEMORY_H
#define KVIEW_MEMORY_H

#include <dirent.h>
#include "kview_test.h"

/*
 * What may be missing at the end, in KiB: a tenth of what a page lost each time
 * would be. The noise is partly used slabs, and what the rest of the system
 * does meanwhile: below 170 with one CPU, and with four, the 200 open links of one
 * test included.
 */
#define TOLERANCE 400

/* Classes of memory that the kernel might lose views to. */
static const char *const classes[] = {
	"MemFree",     "Slab",	 "PageTables",	"KernelStack",
	"VmallocUsed", "Percpu", "DirectMap4k",
};

#define NR_CLASSES ARRAY_SIZE(classes)
#define DIRECT_MAP (NR_CLASSES - 1)

/*
 * What a thread takes, in KiB: its stack, which is 16, and what goes with it. The
 * kernel has more or fewer workers from one minute to the next.
 */
#define THREAD_KB 24

struct memory {
	long kb[NR_CLASSES];
	long threads;
};

static inline void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

static inline void shed_caches(void)
{
	struct dirent *entry;
	char path[300];
	DIR *dir;

	sync();
	write_to("/proc/sys/vm/drop_caches", "3");
	/* Partly used slabs, and what KASAN keeps from being used again. */
	dir = opendir("/sys/kernel/slab");
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink",
			 entry->d_name);
		if (entry->d_name[0] != '.')
			write_to(path, "1");
	}
	if (dir)
		closedir(dir);
}

/* Free pages that CPUs keep for themselves, in KiB: they are not in MemFree. */
static inline long read_cpu_lists(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	char line[256];
	long pages = 0, count;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	if (file)
		fclose(file);
	return pages * 4;
}

static inline long read_threads(void)
{
	FILE *file = fopen("/proc/loadavg", "r");
	long threads = 0;

	if (!file || fscanf(file, "%*s %*s %*s %*d/%ld", &threads) != 1)
		perror("/proc/loadavg");
	if (file)
		fclose(file);
	return threads;
}

static inline struct memory read_memory(void)
{
	struct memory memory = { .threads = read_threads() };
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < NR_CLASSES; i++) {
			size_t length = strlen(classes[i]);

			if (!strncmp(line, classes[i], length) &&
			    line[length] == ':')
				memory.kb[i] = atol(line + length + 1);
		}
	if (file)
		fclose(file);
	memory.kb[0] += read_cpu_lists();
	return memory;
}

/* What is freed after a grace period, and by workers, has been freed: wait
 * until it does not become more.
 */
static inline struct memory settled_memory(void)
{
	struct memory memory, last = {};

	for (int i = 0; i < 40; i++) {
		shed_caches();
		usleep(100000);
		memory = read_memory();
		if (i > 4 && labs(memory.kb[0] - last.kb[0]) < 64)
			break;
		last = memory;
	}
	return memory;
}

/* Is there what there was before, but for the noise? Called without targets. */
static inline void compare(struct __test_metadata *_metadata,
			   const struct memory *before,
			   const struct memory *after)
{
	long threads = after->threads - before->threads;
	long tolerance = TOLERANCE + (threads > 0 ? threads * THREAD_KB : 0);

	TH_LOG("%ld threads, %ld more than before", after->threads, threads);
	for (size_t i = 0; i < NR_CLASSES; i++) {
		/* Less free memory is bad, more of anything else. */
		long lost = i ? after->kb[i] - before->kb[i] :
				before->kb[i] - after->kb[i];

		TH_LOG("%s: %ld KiB, %ld KiB more used than before", classes[i],
		       after->kb[i], lost);
		EXPECT_GT(tolerance, lost)
		{
			TH_LOG("%s", classes[i]);
		}
	}
}

#endif
