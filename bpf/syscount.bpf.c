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
	struct task_struct *group_leader;
	char comm[TOOL_COMM_LEN];
} KERNEL_TYPE;

/* Thousands of processes, or all system calls of all ABIs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct syscall_key);
	__type(value, struct syscall_count);
} counts SEC(".maps");

/* Of processes, which may be gone when they are printed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, char[TOOL_COMM_LEN]);
} names SEC(".maps");

const volatile bool by_process;

static __always_inline struct syscall_count *find(const struct syscall_key *key)
{
	struct syscall_count *count = bpf_map_lookup_elem(&counts, key);
	struct syscall_count none = {};

	if (count)
		return count;
	/* No room, or another CPU is faster: it is looked for again. */
	bpf_map_update_elem(&counts, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts, key);
}

/* A new name is the first that this CPU sees, or comes with exec. */
static __always_inline void name(__u32 tgid, struct task_struct *task,
				 struct syscall_count *count)
{
	__u64 comm[TOOL_COMM_LEN / 8];

	if (BPF_CORE_READ_INTO(&comm, task, group_leader, comm))
		return;
	if (comm[0] == count->comm[0] && comm[1] == count->comm[1])
		return;
	count->comm[0] = comm[0];
	count->comm[1] = comm[1];
	bpf_map_update_elem(&names, &tgid, comm, BPF_ANY);
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
	struct syscall_count *count;
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
	count = find(&key);
	if (!count) {
		count_lost(LOST_ROOM);
		return 0;
	}
	/* Raw tracepoints run with preemption off, and this one in no interrupt. */
	count->n++;
	if (by_process)
		name(key.tgid, task, count);
	return 0;
}
