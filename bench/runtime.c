// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * Print the time that the threads of a process have run, in nanoseconds: under
 * qemu/vm --clock icount, the instructions that they have executed, in user
 * space and in the kernel. The scheduler brings this figure up to date when
 * the thread is switched out: ask when the process sleeps.
 */
#include <dirent.h>
#include <err.h>
#include <stdio.h>

static unsigned long long runtime_of(const char *pid, const char *tid)
{
	unsigned long long runtime;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.16s/task/%.16s/schedstat", pid, tid);
	file = fopen(path, "r");
	if (!file)
		err(1, "%s", path);
	if (fscanf(file, "%llu", &runtime) != 1)
		errx(1, "%s: not a number", path);
	fclose(file);
	return runtime;
}

int main(int argc, char **argv)
{
	unsigned long long sum = 0;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	if (argc != 2)
		errx(2, "usage: kview-runtime PID");
	snprintf(path, sizeof(path), "/proc/%.16s/task", argv[1]);
	dir = opendir(path);
	if (!dir)
		err(1, "process %s", argv[1]);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			sum += runtime_of(argv[1], entry->d_name);
	closedir(dir);
	printf("%llu\n", sum);
	return 0;
}
