// SPDX-License-Identifier: GPL-2.0
/*
 * Send an event for each process or thread that is made, each program that is
 * executed, and each process or thread that ends.
 */
#include "tool.bpf.h"

typedef struct {
	int counter;
} KERNEL_TYPE atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not begun to end */
	int group_exit_code;
} KERNEL_TYPE;

struct task_struct {
	int pid, tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	__u64 start_boottime;
} KERNEL_TYPE;

struct linux_binprm {
	const char *filename;
} KERNEL_TYPE;

const volatile bool with_threads;

/* Processes whose end has been told: two last threads can end at the same time. */
struct ended {
	__u64 start;
	__u64 tgid;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct ended);
	__type(value, __u8);
} ended SEC(".maps");

static __always_inline struct spawn_event *new_event(__u32 type)
{
	struct spawn_event *event = reserve(sizeof(*event));
	struct task_struct *task;

	if (!event)
		return NULL;
	task = (struct task_struct *)bpf_get_current_task_btf();
	event->time = bpf_ktime_get_ns();
	event->type = type;
	event->tgid = task->tgid;
	event->tid = task->pid;
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->child = 0;
	event->child_tid = 0;
	event->status = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->path[0] = '\0';
	return event;
}

SEC("raw_tp")
int spawn_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	__u32 tgid = BPF_CORE_READ(child, tgid);
	__u32 tid = BPF_CORE_READ(child, pid);
	struct spawn_event *event;

	if (not_for_us() || (tid != tgid && !with_threads))
		return 0;
	event = new_event(SPAWN_FORK);
	if (!event)
		return 0;
	event->child = tgid;
	event->child_tid = tid;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("raw_tp")
int spawn_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct linux_binprm *bprm = (struct linux_binprm *)ctx->args[2];
	struct spawn_event *event;

	if (not_for_us())
		return 0;
	event = new_event(SPAWN_EXEC);
	if (!event)
		return 0;
	if (bpf_probe_read_kernel_str(event->path, sizeof(event->path),
				      BPF_CORE_READ(bprm, filename)) < 0)
		event->path[0] = '\0';
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Is this the end of the process, and the first to say so? */
static __always_inline bool process_ends(struct task_struct *task)
{
	struct ended key = {};
	__u8 yes = 1;

	/*
	 * The leader may have ended long before, by pthread_exit() or by the exec of
	 * another thread.
	 */
	if (BPF_CORE_READ(task, signal, live.counter))
		return false;
	key.start = BPF_CORE_READ(task, group_leader, start_boottime);
	key.tgid = BPF_CORE_READ(task, tgid);
	return !bpf_map_update_elem(&ended, &key, &yes, BPF_NOEXIST);
}

SEC("raw_tp")
int spawn_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct spawn_event *event;

	if (not_for_us())
		return 0;
	if (!with_threads && !process_ends(task))
		return 0;
	event = new_event(SPAWN_EXIT);
	if (!event)
		return 0;
	/* Each thread has a status, the process that of the last one or exit_group(). */
	event->status = with_threads ?
				BPF_CORE_READ(task, exit_code) :
				BPF_CORE_READ(task, signal, group_exit_code);
	bpf_ringbuf_submit(event, 0);
	return 0;
}
