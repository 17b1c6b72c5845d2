/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A process whose events are counted. A pidfd is held from the first look at it
 * to the last, so that a reused PID is never taken for it.
 */
struct target {
	pid_t pid; /* of the thread group, in our PID namespace */
	int pidfd;
	bool gone;
	char comm[32];
};

struct target_list {
	struct target *v;
	size_t n;
};

/*
 * All functions that return an int return 0, or a negative error after one line
 * on standard error.
 */

/* Append the PIDs of a comma list, each once. -EINVAL if one is none. */
int target_list_add(struct target_list *list, const char *arg);
/* Append a process by its PID. */
int target_list_add_pid(struct target_list *list, pid_t pid);
/* Take hold of a process; -ESRCH if it does not exist. */
int target_open(struct target *target);
void target_close(struct target *target);
/* Of all. */
int target_list_open(struct target_list *list);
void target_list_close(struct target_list *list);

/* Is a process in the list? */
bool target_list_has(const struct target_list *list, pid_t pid);

/* Has its PID a kernel thread? */
bool target_is_kthread(const struct target *target);

/* Has the process of an open target ended? It may be a zombie. */
bool target_has_ended(const struct target *target);

/* Are we in the initial PID namespace, whose PIDs BPF programs see? */
bool target_pids_are_global(void);

/* What /proc/PID/comm says, with ? for control characters, or "". */
void target_comm(pid_t pid, char *comm, size_t size);

#endif
