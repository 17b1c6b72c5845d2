// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on functions. Each comes twice: for the view, and for what is attached
 * for everybody beside it, as a program does not nest. They add up all that their
 * contexts say.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "func.h"
#include "kview_event.h"
#include "oracle_kernel.h"

/* Softirq being served, hard interrupt, NMI. */
#define INTERRUPT_MASK 0x00ff0100

/* What the handler of an int3 adds. */
#define INT3_OFFSET 0x00110000

struct context contexts[NR_CONTEXTS];

/* Which events count. */
__u8 task_only[NR_CONTEXTS];

/* What programs say that can change what a function returns. */
__s32 verdict;

/* A session's entry in this many asks for no return; 0: none does. */
__u32 skip_every;

/* Where sleepable programs read. */
__u64 user_address;
__u64 nr_slept;

static __always_inline bool in_interrupt(__u8 only)
{
	const struct pcpu_hot *hot = bpf_this_cpu_ptr(&pcpu_hot);
	int count = hot->preempt_count;

	if (only == TASK_ONLY_INT3)
		count -= INT3_OFFSET;
	return count & INTERRUPT_MASK;
}

/* A bit set in any field of any event changes the sum. */
static __always_inline void add(struct context *context, __u32 field,
				__u64 value)
{
	value = (value + field) * 0x9e3779b97f4a7c15ULL;
	value = (value ^ value >> 32) * 0xbf58476d1ce4e5b9ULL;
	__sync_fetch_and_add(&context->sums[field], value ^ value >> 29);
}

/* The event counts: what it is to be added to. */
static __always_inline struct context *context_of(void *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);

	if (cookie < NR_CONTEXTS && task_only[cookie] &&
	    in_interrupt(task_only[cookie]))
		return NULL;
	if (!event(ctx) || cookie >= NR_CONTEXTS)
		return NULL;
	return &contexts[cookie];
}

static __always_inline void add_regs(struct context *context, __u64 *regs)
{
#pragma unroll
	for (__u32 i = 0; i < NR_REGS; i++)
		add(context, i, regs[i]);
	add(context, FIELD_FUNC_IP, bpf_get_func_ip(regs));
}

static __always_inline int on_regs(__u64 *regs)
{
	struct context *context = context_of(regs);

	if (context)
		add_regs(context, regs);
	return 0;
}

SEC("kprobe")
int on_kprobe(__u64 *regs)
{
	return on_regs(regs);
}

SEC("kprobe")
int on_kprobe_oracle(__u64 *regs)
{
	return on_regs(regs);
}

/* The namespace of everybody's PIDs. */
__u64 pid_ns_dev;
__u64 pid_ns_ino;
__u64 asked;

/* Calls something that may be hooked itself. */
static __always_inline void ask_on(__u64 *regs)
{
	struct bpf_pidns_info info;

	if (context_of(regs) &&
	    !bpf_get_ns_current_pid_tgid(pid_ns_dev, pid_ns_ino, &info,
					 sizeof(info)))
		__sync_fetch_and_add(&asked, 1);
}

SEC("kprobe")
int on_asking(__u64 *regs)
{
	ask_on(regs);
	return 0;
}

SEC("kprobe")
int on_asking_oracle(__u64 *regs)
{
	ask_on(regs);
	return 0;
}

SEC("kprobe.multi")
int on_multi(__u64 *regs)
{
	return on_regs(regs);
}

SEC("kprobe.multi")
int on_multi_oracle(__u64 *regs)
{
	return on_regs(regs);
}

static __always_inline int on_session_regs(__u64 *regs)
{
	bool is_return = bpf_session_is_return();
	struct context *context = context_of(regs);
	__u64 *cookie = bpf_session_cookie();

	if (!context)
		return 0;
	add_regs(context, regs);
	add(context, FIELD_IS_RETURN, is_return);
	if (is_return) {
		__sync_fetch_and_add(&context->returns, 1);
		/* Where the entry's stack was; the return address is gone. */
		add(context, FIELD_SESSION, *cookie - regs[FIELD_SP]);
		return 0;
	}
	*cookie = regs[FIELD_SP];
	__sync_fetch_and_add(&context->entries, 1);
	return skip_every && context->entries % skip_every == 0;
}

SEC("kprobe.session")
int on_session(__u64 *regs)
{
	return on_session_regs(regs);
}

SEC("kprobe.session")
int on_session_oracle(__u64 *regs)
{
	return on_session_regs(regs);
}

static __always_inline struct context *on_args(__u64 *args)
{
	struct context *context = context_of(args);
	__u64 nr, value;

	if (!context)
		return NULL;
	nr = bpf_get_func_arg_cnt(args);
	add(context, FIELD_NR_ARGS, nr);
	add(context, FIELD_FUNC_IP, bpf_get_func_ip(args));
#pragma unroll
	for (__u32 i = 0; i < NR_ARGS; i++) {
		if (i < nr && !bpf_get_func_arg(args, i, &value))
			add(context, FIELD_ARGS + i, value);
	}
	return context;
}

static __always_inline void add_return(struct context *context, __u64 *args)
{
	__u64 value;

	if (context && !bpf_get_func_ret(args, &value))
		add(context, FIELD_RETURN, value);
}

SEC("fentry")
int on_fentry(__u64 *args)
{
	on_args(args);
	return 0;
}

SEC("fentry")
int on_fentry_oracle(__u64 *args)
{
	on_args(args);
	return 0;
}

SEC("fexit")
int on_fexit(__u64 *args)
{
	add_return(on_args(args), args);
	return 0;
}

SEC("fexit")
int on_fexit_oracle(__u64 *args)
{
	add_return(on_args(args), args);
	return 0;
}

SEC("fmod_ret")
int on_fmod_ret(__u64 *args)
{
	struct context *context = on_args(args);

	add_return(context, args);
	return context ? verdict : 0;
}

SEC("fmod_ret")
int on_fmod_ret_oracle(__u64 *args)
{
	add_return(on_args(args), args);
	return 0;
}

/* They sleep while somebody else looks for what they read. */
static __always_inline void sleep_on(__u64 *args)
{
	char byte;

	if (!context_of(args))
		return;
	if (user_address &&
	    !bpf_copy_from_user(&byte, sizeof(byte), (void *)user_address))
		__sync_fetch_and_add(&nr_slept, 1);
}

SEC("fentry.s")
int on_fentry_sleepable(__u64 *args)
{
	sleep_on(args);
	return 0;
}

SEC("fexit.s")
int on_fexit_sleepable(__u64 *args)
{
	sleep_on(args);
	return 0;
}

/* --- many functions --- */

struct func funcs[NR_FUNCS];
__u32 target;

static __always_inline void count_func(__u64 *regs, enum side side)
{
	__u64 cookie = bpf_get_attach_cookie(regs);
	struct func *func;

	if (cookie >= NR_FUNCS) {
		__sync_fetch_and_add(&strays, 1);
		return;
	}
	func = &funcs[cookie];
	if (bpf_get_current_pid_tgid() >> 32 != target) {
		if (side == SIDE_VIEW)
			__sync_fetch_and_add(&func->foreign, 1);
		return;
	}
	__sync_fetch_and_add(&func->count[side], 1);
	if (bpf_get_func_ip(regs) != func->ip)
		__sync_fetch_and_add(&func->wrong, 1);
}

SEC("kprobe.multi")
int on_each(__u64 *regs)
{
	count_func(regs, SIDE_VIEW);
	return 0;
}

SEC("kprobe.multi")
int on_each_oracle(__u64 *regs)
{
	count_func(regs, SIDE_ORACLE);
	return 0;
}

/* --- text --- */

__u64 text_address;
__u8 text[TEXT_SIZE];

/* As whoever runs it has it. */
SEC("syscall")
int read_text(void *ctx)
{
	return bpf_probe_read_kernel(text, sizeof(text), (void *)text_address);
}

/* --- to be refused --- */

SEC("?kprobe")
int on_override(__u64 *regs)
{
	struct context *context = context_of(regs);

	if (context && verdict)
		bpf_override_return((void *)regs, verdict);
	return 0;
}

SEC("?kprobe")
int on_sleepable_kprobe(__u64 *regs)
{
	return 0;
}

SEC("?kprobe.multi")
int on_sleepable_multi(__u64 *regs)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
