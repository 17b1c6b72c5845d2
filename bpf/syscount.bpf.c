// SPDX-License-Identifier: GPL-2.0
/*
 * Count system calls by number, or by process.
 */
#include "tool.bpf.h"

/* Of arch/x86: the current system call is a 32-bit one. */
#define TS_COMPAT 2

struct thread_info {
	__u32 status;
} KERNEL_TYPE;

struct task_struct {
	struct thread_info thread_info;
} KERNEL_TYPE;

/* Thousands of processes, or all system calls of all ABIs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct syscall_key);
	__type(value, __u64);
} counts SEC(".maps");

const volatile bool by_process;

static __always_inline void count(const struct syscall_key *key)
{
	__u64 *n = bpf_map_lookup_elem(&counts, key), one = 1;

	if (!n) {
		if (!bpf_map_update_elem(&counts, key, &one, BPF_NOEXIST))
			return;
		/* There is no room, or another CPU was faster. */
		n = bpf_map_lookup_elem(&counts, key);
	}
	/* Raw tracepoints run with preemption off, and this one in no interrupt. */
	if (n)
		(*n)++;
	else
		count_lost(LOST_ROOM);
}

/*
 * The reader looks at the ring by the clock. To be woken by events would make
 * it cause events, for which it would be woken.
 */
static __always_inline void send(__u32 nr)
{
	struct syscall_event *event = reserve(sizeof(*event));

	if (!event)
		return;
	event->tgid = current_tgid();
	event->nr = nr;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

SEC("raw_tp")
int sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct syscall_key key = {};
	struct task_struct *task;

	if (not_for_us())
		return 0;
	task = (struct task_struct *)bpf_get_current_task_btf();
	key.nr = ctx->args[1];
	if (task->thread_info.status & TS_COMPAT)
		key.nr |= SYSCALL_COMPAT;
	if (config.send) {
		send(key.nr);
		return 0;
	}
	if (by_process) {
		key.tgid = current_tgid();
		key.nr = 0;
	}
	count(&key);
	return 0;
}
