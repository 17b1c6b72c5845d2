// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define INIT_PID_NS_INO 0xEFFFFFFCU /* PROC_PID_INIT_INO of the kernel */
#define SPARE_FILES 512 /* for all other uses */
#define PF_KTHREAD 0x00200000 /* in field 9 of /proc/PID/stat */

bool target_list_has(const struct target_list *list, pid_t pid)
{
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (list->v[i].pid == pid)
			return true;
	}
	return false;
}

int target_list_add_pid(struct target_list *list, pid_t pid)
{
	struct target *v;

	if (target_list_has(list, pid))
		return 0;
	v = realloc(list->v, (list->n + 1) * sizeof(*v));
	if (!v) {
		warn("PID %d", pid);
		return -ENOMEM;
	}
	list->v = v;
	v[list->n++] = (struct target){ .pid = pid, .pidfd = -1 };
	return 0;
}

int target_list_add(struct target_list *list, const char *arg)
{
	char *copy = strdup(arg), *rest = copy, *text, *end;
	int ret = 0;
	long pid;

	if (!copy) {
		warn("PIDs '%s'", arg);
		return -ENOMEM;
	}
	while (!ret && (text = strsep(&rest, ","))) {
		errno = 0;
		pid = strtol(text, &end, 10);
		if (errno || *end || end == text || pid <= 0 || pid > INT_MAX) {
			warnx("bad PID '%s': PIDs are numbers, with commas between them",
			      text);
			ret = -EINVAL;
		} else {
			ret = target_list_add_pid(list, pid);
		}
	}
	free(copy);
	return ret;
}

/* The number after a key in /proc/PID/status, or -1. */
static long status_field(pid_t pid, const char *key)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key))) {
			value = strtol(line + strlen(key), NULL, 10);
			break;
		}
	}
	fclose(file);
	return value;
}

int target_open(struct target *target)
{
	long tgid;
	int error;

	target->pidfd = syscall(SYS_pidfd_open, target->pid, 0);
	if (target->pidfd >= 0) {
		target_comm(target->pid, target->comm, sizeof(target->comm));
		return 0;
	}
	error = errno;
	if (error == ESRCH) {
		warnx("no such process: %d", target->pid);
		return -ESRCH;
	}
	tgid = status_field(target->pid, "Tgid:");
	if (tgid > 0 && tgid != target->pid) {
		warnx("%d is a thread of process %ld: name the process",
		      target->pid, tgid);
		return -EINVAL;
	}
	errno = error;
	warn("process %d", target->pid);
	return -error;
}

void target_close(struct target *target)
{
	if (target->pidfd >= 0)
		close(target->pidfd);
	target->pidfd = -1;
}

/*
 * A list can have more PIDs than the usual 1024 files. The limit is not raised
 * for a command, which was started before.
 */
static void raise_limit(rlim_t files)
{
	struct rlimit limit, more = { files, files };

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= files)
		return;
	if (more.rlim_max < limit.rlim_max)
		more.rlim_max = limit.rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &more))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int target_list_open(struct target_list *list)
{
	size_t i;
	int ret;

	raise_limit(list->n + SPARE_FILES);
	for (i = 0; i < list->n; i++) {
		ret = target_open(&list->v[i]);
		if (ret)
			return ret;
	}
	return 0;
}

void target_list_close(struct target_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		target_close(&list->v[i]);
	free(list->v);
	list->v = NULL;
	list->n = 0;
}

bool target_is_kthread(const struct target *target)
{
	char path[64], line[512], *p;
	unsigned long flags = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", target->pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	/* The name, in brackets, may hold anything: start after the last one. */
	if (fgets(line, sizeof(line), file)) {
		p = strrchr(line, ')');
		if (p)
			sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
	}
	fclose(file);
	return flags & PF_KTHREAD;
}

bool target_has_ended(const struct target *target)
{
	struct pollfd fd = { .fd = target->pidfd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

bool target_pids_are_global(void)
{
	struct stat st;

	return !stat("/proc/self/ns/pid", &st) && st.st_ino == INIT_PID_NS_INO;
}

void target_comm(pid_t pid, char *comm, size_t size)
{
	char path[64];
	FILE *file;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(comm, size, file))
		comm[strcspn(comm, "\n")] = '\0';
	fclose(file);
	for (; *comm; comm++) {
		if (iscntrl((unsigned char)*comm))
			*comm = '?';
	}
}
