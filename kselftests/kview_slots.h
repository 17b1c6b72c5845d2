/* SPDX-License-Identifier: GPL-2.0 */
/* What the BPF programs and the tests share. */
#ifndef KVIEW_SLOTS_H
#define KVIEW_SLOTS_H

#include <linux/types.h>

#define NR_SLOTS 1024

struct slot {
	/* The process whose events are counted; 0: all. */
	__u32 tgid;
	/* Other processes' events are expected, and not counted. */
	__u32 filter;
	__u64 count;
	/* Other processes' events, if none are expected. */
	__u64 foreign;
	/* Of the events' contexts, in their order. */
	__u64 hash;
	/* A field of the last event. */
	__u64 last;
};

/* As the format files of these tracepoints say. */
struct syscall_enter_ctx {
	__u64 common;
	__s32 nr;
	__u32 pad;
	__u64 args[6];
};

struct syscall_exit_ctx {
	__u64 common;
	__s32 nr;
	__u32 pad;
	__s64 ret;
};

struct sched_switch_ctx {
	__u64 common;
	char prev_comm[16];
	__s32 prev_pid;
	__s32 prev_prio;
	__s64 prev_state;
	char next_comm[16];
	__s32 next_pid;
	__s32 next_prio;
};

#endif
