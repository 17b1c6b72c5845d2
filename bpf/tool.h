/* SPDX-License-Identifier: GPL-2.0 OR LGPL-2.1 OR BSD-2-Clause */
#ifndef TOOL_H
#define TOOL_H

#include <linux/types.h>

/* What the programs of the tracing tools and user space tell each other. */

/* Set before the programs are loaded, so that a check that is off costs nothing. */
struct tool_config {
	__u32 check_targets; /* run for the targets in the map only */
	__u32 target; /* the only one of them, or 0 */
	__u32 send; /* what is counted otherwise is sent, for user space to count */
};

/* Elements of the array of losses. */
enum {
	LOST_ROOM, /* the ring had no room */
	LOST_CALL, /* the return of a call whose beginning is not known */
	NR_LOST,
};

#define TOOL_COMM_LEN 16 /* TASK_COMM_LEN of the kernel */

/* A read or write call, followed by data_size bytes of what was read or written. */
#define RW_NAME_LEN 64
#define RW_DATA_MAX 4096

enum {
	RW_READ,
	RW_WRITE,
};

struct rw_event {
	__u64 start; /* ns of the monotonic clock */
	__u64 duration; /* ns */
	__u64 inode;
	__s64 offset; /* in the file at the start, -1: it has none */
	__u64 size; /* that was asked for */
	__s64 result; /* bytes, or a negative errno */
	__u32 tgid, tid; /* in the initial PID namespace */
	__u32 device; /* as the kernel has it: major << 20 | minor */
	__u32 type; /* RW_READ, RW_WRITE */
	__u32 mode; /* st_mode */
	__u32 flags; /* O_* */
	__u32 data_size; /* bytes that follow, 0: none were asked for, or to be had */
	char comm[TOOL_COMM_LEN];
	char name[RW_NAME_LEN]; /* the last part of the path, cut where it is longer */
} __attribute__((packed, aligned(4)));

/* The size is that of the paper's events. */
_Static_assert(sizeof(struct rw_event) == 156, "size of struct rw_event");

/* One call of the system, for user space to count. */
struct syscall_event {
	__u32 tgid;
	__u32 nr; /* as syscall_key() makes it */
};

/* Set in the number of a system call of a 32-bit program. */
#define SYSCALL_COMPAT (1U << 31)

/* What syscounts are kept by. */
struct syscall_key {
	__u32 tgid; /* 0, if not by process */
	__u32 nr;
};

/* What is counted, on each CPU. */
struct syscall_count {
	__u64 n;
	/* By process: its name, as the CPU saw it last. */
	__u64 comm[TOOL_COMM_LEN / 8];
};

/* A file that was opened, or was to be. */
#define OPEN_PATH_LEN 512

struct open_event {
	__u64 time; /* ns of the monotonic clock */
	__u32 tgid, tid;
	__s32 result; /* 0 or a negative errno */
	__u32 flags; /* O_*, and OPEN_EXEC */
	__u32 path_len; /* with the NUL byte; OPEN_PATH_LEN: it may be cut */
	char comm[TOOL_COMM_LEN];
	char path[OPEN_PATH_LEN];
};

/* __FMODE_EXEC of the kernel: opened for execve(). */
#define OPEN_EXEC 0x20

/* The beginning, the end and the program of a process or thread. */
enum {
	SPAWN_FORK,
	SPAWN_EXEC,
	SPAWN_EXIT,
};

#define SPAWN_PATH_LEN 256

struct spawn_event {
	__u64 time; /* ns of the monotonic clock */
	__u32 type;
	__u32 tgid, tid; /* who did it */
	__u32 parent; /* exec, exit: of the process */
	__u32 child, child_tid; /* fork */
	__u32 status; /* exit: as wait() has it */
	char comm[TOOL_COMM_LEN];
	char path[SPAWN_PATH_LEN]; /* exec */
};

/* What is counted of the page cache. */
enum {
	PAGES_READ,
	PAGES_WRITTEN,
	PAGES_FAULTED,
	PAGES_ADDED,
	NR_PAGES_COUNTS,
};

struct pages_event {
	__u32 tgid;
	__u32 what;
	__u64 pages;
};

#endif
