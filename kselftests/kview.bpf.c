// SPDX-License-Identifier: GPL-2.0
/* The programs of the tests. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "kview_event.h"

static __always_inline void add_to_hash(struct slot *slot, __u64 value)
{
	slot->hash = (slot->hash ^ value) * 0x100000001b3ULL;
}

SEC("raw_tracepoint")
int raw(void *ctx)
{
	event(ctx);
	return 0;
}

/* The same again: a program does not nest, nor can one classic program be
 * attached to a tracepoint twice.
 */
SEC("raw_tracepoint")
int raw_oracle(void *ctx)
{
	event(ctx);
	return 0;
}

SEC("tp_btf")
int btf(void *ctx)
{
	event(ctx);
	return 0;
}

SEC("tracepoint")
int classic(void *ctx)
{
	event(ctx);
	return 0;
}

SEC("tracepoint")
int classic_oracle(void *ctx)
{
	event(ctx);
	return 0;
}

/* All that two arguments say. */
SEC("raw_tracepoint")
int raw_ctx(__u64 *ctx)
{
	struct slot *slot = event(ctx);

	if (slot) {
		add_to_hash(slot, ctx[0]);
		add_to_hash(slot, ctx[1]);
		slot->last = ctx[1];
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int btf_ctx(__u64 *ctx)
{
	struct slot *slot = event(ctx);
	__u64 regs[8] = {};

	if (slot) {
		/* A typed pointer: what it points to, not what it is. */
		bpf_probe_read_kernel(regs, sizeof(regs), (void *)ctx[0]);
		for (int i = 0; i < 8; i++)
			add_to_hash(slot, regs[i]);
		add_to_hash(slot, ctx[1]);
		slot->last = ctx[1];
	}
	return 0;
}

/* A system call with at least three arguments. */
SEC("tracepoint")
int syscall_enter_ctx(struct syscall_enter_ctx *ctx)
{
	struct slot *slot = event(ctx);

	if (slot) {
		add_to_hash(slot, ctx->nr);
		add_to_hash(slot, ctx->args[0]);
		add_to_hash(slot, ctx->args[1]);
		add_to_hash(slot, ctx->args[2]);
		slot->last = ctx->args[2];
	}
	return 0;
}

SEC("tracepoint")
int syscall_exit_ctx(struct syscall_exit_ctx *ctx)
{
	struct slot *slot = event(ctx);

	if (slot) {
		add_to_hash(slot, ctx->nr);
		add_to_hash(slot, ctx->ret);
		slot->last = ctx->ret;
	}
	return 0;
}

/* sched:sched_switch, to its last field. */
SEC("tracepoint")
int sched_switch_ctx(struct sched_switch_ctx *ctx)
{
	struct slot *slot = event(ctx);

	if (slot) {
		add_to_hash(slot, *(__u64 *)&ctx->prev_comm[0]);
		add_to_hash(slot, *(__u64 *)&ctx->prev_comm[8]);
		add_to_hash(slot, ctx->prev_pid);
		add_to_hash(slot, ctx->prev_prio);
		add_to_hash(slot, ctx->prev_state);
		add_to_hash(slot, *(__u64 *)&ctx->next_comm[0]);
		add_to_hash(slot, *(__u64 *)&ctx->next_comm[8]);
		add_to_hash(slot, ctx->next_pid);
		add_to_hash(slot, ctx->next_prio);
		slot->last = ctx->prev_pid;
	}
	return 0;
}

/* The user's stack is found from the registers that come with the event. */
SEC("tracepoint")
int classic_stack(void *ctx)
{
	struct slot *slot = event(ctx);
	__u64 stack[2] = {};

	if (slot) {
		slot->last = bpf_get_stack(ctx, stack, sizeof(stack),
					   BPF_F_USER_STACK);
		add_to_hash(slot, stack[0]);
		if (bpf_get_stack(ctx, stack, sizeof(stack), 0) <= 0)
			add_to_hash(slot, 1);
	}
	return 0;
}

SEC("tracepoint")
int classic_cookie(void *ctx)
{
	__sync_fetch_and_add(&slots[0].count, 1);
	slots[0].last = bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("raw_tracepoint")
int raw_cookie(void *ctx)
{
	__sync_fetch_and_add(&slots[0].count, 1);
	slots[0].last = bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("tp_btf")
int btf_cookie(void *ctx)
{
	__sync_fetch_and_add(&slots[0].count, 1);
	slots[0].last = bpf_get_attach_cookie(ctx);
	return 0;
}

/* Beyond what any tracepoint provides, to be refused when they are attached. */
SEC("raw_tracepoint")
int raw_far(__u64 *ctx)
{
	slots[0].last = ctx[11];
	return 0;
}

SEC("tracepoint")
int classic_far(__u64 *ctx)
{
	slots[0].last = ctx[512];
	return 0;
}

SEC("kprobe")
int a_kprobe(void *ctx)
{
	event(ctx);
	return 0;
}

/* Of types that views do not support. */
SEC("uprobe.multi")
int a_uprobe(void *ctx)
{
	event(ctx);
	return 0;
}

SEC("iter/task")
int an_iterator(void *ctx)
{
	return 0;
}

SEC("socket")
int a_socket_filter(void *ctx)
{
	return 0;
}

SEC("perf_event")
int a_perf_event(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
