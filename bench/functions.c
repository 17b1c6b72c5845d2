// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "attach.h"
#include "functions.h"

#define TRACEFS "/sys/kernel/tracing/"
#define NAME_SIZE 512

struct function {
	char *name;
	uint64_t addr; /* 0 until kallsyms was read */
	unsigned int count; /* of this name; or how many calls have passed it */
};

static struct function *known; /* that can be traced, sorted by name */
static unsigned int nr_known;

static FILE *open_file(const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file)
		err(1, "%s", path);
	return file;
}

static char *copy_name(const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		err(1, "memory");
	return copy;
}

static int by_name(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_address(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct function *find(const char *name)
{
	struct function key = { .name = (char *)name };

	return bsearch(&key, known, nr_known, sizeof(*known), by_name);
}

/* Functions of the kernel image that can be traced, and whose name is unique. */
static void read_known(void)
{
	FILE *file;
	char line[2 * NAME_SIZE], name[NAME_SIZE], type;
	unsigned int unique = 0, room = 0;
	unsigned long addr;

	if (known)
		return;
	file = open_file(TRACEFS "available_filter_functions");
	while (fgets(line, sizeof(line), file)) {
		if (strchr(line, '[') || sscanf(line, "%511s", name) != 1 ||
		    strchr(name, '.'))
			continue;
		if (nr_known == room) {
			room = room ? 2 * room : 1 << 16;
			known = realloc(known, room * sizeof(*known));
			if (!known)
				err(1, "memory");
		}
		known[nr_known++] = (struct function){ copy_name(name), 0, 0 };
	}
	fclose(file);
	qsort(known, nr_known, sizeof(*known), by_name);

	/* What cannot be traced may have the same name, too. */
	file = open_file("/proc/kallsyms");
	while (fgets(line, sizeof(line), file)) {
		struct function *function;

		if (sscanf(line, "%lx %c %511s", &addr, &type, name) != 3)
			continue;
		function = find(name);
		if (function) {
			function->addr = addr;
			function->count++;
		}
	}
	fclose(file);
	for (unsigned int i = 0; i < nr_known; i++)
		if (known[i].count == 1 && known[i].addr)
			known[unique++] = known[i];
	nr_known = unique;
	if (!nr_known)
		errx(1,
		     "no addresses in /proc/kallsyms: run as root, with kernel.kptr_restrict=0");
}

static const char **new_array(unsigned int nr)
{
	const char **array = calloc(nr ? nr : 1, sizeof(*array));

	if (!array)
		err(1, "memory");
	return array;
}

/* In files' and sockets' paths: no process runs them in the middle of a switch. */
static bool is_ordinary(const char *name)
{
	static const char *const prefixes[] = {
		"__x64_sys_", "vfs_", "tcp_", "inet_", "unix_", "sock_"
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static void ordinary_only(void)
{
	unsigned int n = 0;

	read_known();
	for (unsigned int i = 0; i < nr_known; i++)
		if (is_ordinary(known[i].name))
			known[n++] = known[i];
	nr_known = n;
}

const char **choose_functions(const char *first, unsigned int nr)
{
	const char **array = new_array(nr);
	unsigned int n = 0;

	array[n++] = first;
	if (nr == 1)
		return array;
	ordinary_only();
	qsort(known, nr_known, sizeof(*known), by_address);
	for (unsigned int i = 0; n < nr && i < nr_known; i++)
		if (strcmp(known[i].name, first))
			array[n++] = known[i].name;
	if (n < nr)
		errx(1, "only %u functions of this kind", n);
	return array;
}

const char **spread_functions(unsigned int nr, bool close)
{
	const char **array = new_array(nr);
	unsigned int best = 0;
	uint64_t least = UINT64_MAX;

	ordinary_only();
	qsort(known, nr_known, sizeof(*known), by_address);
	if (nr_known < nr)
		errx(1, "only %u functions of this kind", nr_known);
	for (unsigned int i = 0; close && i + nr <= nr_known; i++) {
		uint64_t size = known[i + nr - 1].addr - known[i].addr;

		if (size < least) {
			least = size;
			best = i;
		}
	}
	for (unsigned int i = 0; i < nr; i++)
		array[i] = known[close ? best + i : (uint64_t)i * nr_known / nr]
				   .name;
	return array;
}

const char **parse_functions(const char *arg, unsigned int *nr)
{
	const char **array = new_array(MAX_HOOKS);
	char name[NAME_SIZE], *list, *part;

	*nr = 0;
	if (strchr(arg, '/')) {
		FILE *file = open_file(arg);

		while (*nr < MAX_HOOKS && fscanf(file, "%511s", name) == 1)
			array[(*nr)++] = copy_name(name);
		fclose(file);
	} else {
		list = copy_name(arg);
		while (*nr < MAX_HOOKS && (part = strsep(&list, ",")))
			array[(*nr)++] = part;
	}
	if (!*nr)
		errx(1, "%s: no functions", arg);
	return array;
}

unsigned int count_pages(const char *const *funcs, unsigned int nr,
			 uint64_t size)
{
	struct function *found = calloc(nr, sizeof(*found));
	unsigned int pages = 0;
	char line[2 * NAME_SIZE], name[NAME_SIZE], type;
	unsigned long addr;
	FILE *file = open_file("/proc/kallsyms");

	if (!found)
		err(1, "memory");
	for (unsigned int i = 0; i < nr; i++)
		found[i].name = (char *)funcs[i];
	qsort(found, nr, sizeof(*found), by_name);
	while (fgets(line, sizeof(line), file)) {
		struct function key = { .name = name }, *function;

		if (sscanf(line, "%lx %c %511s", &addr, &type, name) != 3)
			continue;
		function = bsearch(&key, found, nr, sizeof(*found), by_name);
		if (function)
			function->addr = addr & -size;
	}
	fclose(file);
	qsort(found, nr, sizeof(*found), by_address);
	for (unsigned int i = 0; i < nr; i++) {
		if (!found[i].addr)
			errx(1, "%s: no address in /proc/kallsyms",
			     found[i].name);
		if (!i || found[i].addr != found[i - 1].addr)
			pages++;
	}
	free(found);
	return pages;
}

static void write_tracefs(const char *name, const char *text)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), TRACEFS "%s", name);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "%s", path);
	close(fd);
}

void trace_functions(bool on)
{
	char pid[20];

	if (on) {
		snprintf(pid, sizeof(pid), "%d", getpid());
		write_tracefs("trace", "\n");
		write_tracefs("set_ftrace_pid", pid);
		write_tracefs("current_tracer", "function");
		write_tracefs("tracing_on", "1");
	} else {
		write_tracefs("tracing_on", "0");
	}
}

/* "TASK-PID [CPU] FLAGS TIME: FUNC <-CALLER": FUNC; false if it is none. */
static bool parse_trace_line(const char *line, char *func)
{
	const char *colon = strstr(line, ": ");

	return *line != '#' && colon && sscanf(colon + 2, "%511s", func) == 1;
}

void print_traced_functions(const char *entry, unsigned int calls)
{
	struct function passed[MAX_HOOKS];
	char line[2 * NAME_SIZE], func[NAME_SIZE];
	unsigned int nr = 0, call = 0;
	bool inside = false;
	FILE *file = open_file(TRACEFS "trace");

	while (fgets(line, sizeof(line), file)) {
		unsigned int i;

		if (!parse_trace_line(line, func))
			continue;
		if (!strcmp(func, "x64_sys_call") ||
		    (!strncmp(func, "__x64_sys_", 10) && strcmp(func, entry)))
			inside = false;
		if (!strcmp(func, entry)) {
			inside = true;
			call++;
		}
		if (!inside)
			continue;
		for (i = 0; i < nr && strcmp(passed[i].name, func); i++)
			;
		if (i == nr && nr < MAX_HOOKS)
			passed[nr++] =
				(struct function){ copy_name(func), 0, 0 };
		/* addr: the last call that has passed it */
		if (i < nr && passed[i].addr != call) {
			passed[i].addr = call;
			passed[i].count++;
		}
	}
	fclose(file);
	write_tracefs("current_tracer", "nop");
	write_tracefs("set_ftrace_pid", " ");
	write_tracefs("trace", "\n");
	write_tracefs("tracing_on", "1");
	if (call < calls)
		errx(1, "%u calls of %s were made, but %u traced", calls, entry,
		     call);
	read_known();
	for (unsigned int i = 0; i < nr; i++)
		if (passed[i].count == call && find(passed[i].name) &&
		    can_have_fentry(passed[i].name))
			puts(passed[i].name);
}
