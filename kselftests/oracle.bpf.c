// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of the oracle. Each link has two of its own, which differ in
 * name: one for the view, which counts all that it sees, and one that is
 * attached for everybody and compares the process. They are separate programs,
 * as a program that is hit by an event in an interrupt does not run again for
 * that, and two for each link, as the same goes for events of other hooks.
 *
 * Counts are in arrays by process: a hash table could be locked, or full.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "oracle.h"
#include "oracle_kernel.h"

/* A thread that works for a process, but has not come out of a system call. */
#define PF_USER_WORKER 0x00004000

/* Softirq being served, hard interrupt, NMI. */
#define INTERRUPT_MASK 0x00ff0100

#define NR_EXIT 60
#define NR_EXIT_GROUP 231

/* The first PID of the run, and the process whose child is the first. */
__u32 base;
__u32 controller;

struct count seen[2][LINKS][WINDOW + 1];

/* The targets as the oracle knows them, and those that ever were. */
__u8 member[LINKS][WINDOW];
__u8 ever[LINKS][WINDOW];

/* Properties of links. */
__u8 follow[LINKS];
__u8 task_context[LINKS];
__u8 quiet[LINKS];
__s32 quiet_nr[LINKS];

/* The tree: its processes, and of each the tasks that can still run. */
__u8 in_tree[WINDOW];
__u32 live[WINDOW];
__u32 alive;
__u32 processes;

/* Events whose cookie is no link's. */
__u64 strays;
__u64 noises;

__u32 broken;

bool recording;
__u32 nr_records;
struct record records[RECORDS];

static __always_inline __u32 place(__u32 tgid)
{
	__u32 i = tgid - base;

	return i < WINDOW ? i : OUTSIDE;
}

static __always_inline bool in_interrupt(void)
{
	const struct pcpu_hot *hot = bpf_this_cpu_ptr(&pcpu_hot);

	return hot->preempt_count & INTERRUPT_MASK;
}

static __noinline int record(enum side side, __u32 link, __u32 i, __u64 word)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 n = __sync_fetch_and_add(&nr_records, 1);

	if (n < RECORDS)
		records[n] = (struct record){
			.time = bpf_ktime_get_ns(),
			.word = word,
			.side = side,
			.link = link,
			.place = i,
			.tid = bpf_get_current_pid_tgid(),
			.cpu = bpf_get_smp_processor_id(),
			.flags = BPF_CORE_READ(task, flags),
			.mm = (__u64)BPF_CORE_READ(task, mm),
			.active_mm = (__u64)BPF_CORE_READ(task, active_mm),
		};
	return 0;
}

static __always_inline void add(enum side side, __u32 link, __u32 i, __u64 word)
{
	struct count *count = &seen[side][link][i];
	/* Not its ID: exec may give that of a dying leader to another thread
	 * between the one program and the other.
	 */
	__u64 who = bpf_get_current_task();

	__sync_fetch_and_add(&count->n, 1);
	__sync_fetch_and_add(&count->sum, (word ^ who) * 0x9e3779b97f4a7c15ULL);
	if (recording)
		record(side, link, i, word);
}

static __always_inline void event(void *ctx, enum side side, __u64 word)
{
	__u64 link = bpf_get_attach_cookie(ctx);
	__u32 i = place(bpf_get_current_pid_tgid() >> 32);

	if (link >= LINKS) {
		__sync_fetch_and_add(&strays, 1);
		return;
	}
	if (side == ORACLE) {
		if (i >= WINDOW || !member[link][i])
			return;
		if (task_context[link] && in_interrupt())
			return;
	} else if (broken && link < STRICT_LINKS && !quiet[link] &&
		   i < WINDOW && member[link][i]) {
		__u32 how = __sync_lock_test_and_set(&broken, SOUND);

		if (how == DROP)
			return;
		if (how == DUPLICATE)
			add(side, link, i, word);
		if (how == FOREIGN)
			i = OUTSIDE;
		if (how == OTHER)
			word++;
	}
	if (i <= WINDOW)
		add(side, link, i, word);
}

/* The first argument of the event, or the first field of its format: these are
 * the same for both programs, but for four bytes of padding that some have.
 */
#define RAW_WORD(ctx) (*(__u64 *)(ctx))
#define FIELD_WORD(ctx) (*(__u32 *)((ctx) + 8))

/* The first argument of a function: struct pt_regs, di. */
#define REGS_WORD(ctx) (((__u64 *)(ctx))[14])

#define NAME(prefix, suffix) ___bpf_concat(prefix, suffix)

#define N 0
#include "oracle_programs.h"
#define N 1
#include "oracle_programs.h"
#define N 2
#include "oracle_programs.h"
#define N 3
#include "oracle_programs.h"
#define N 4
#include "oracle_programs.h"
#define N 5
#include "oracle_programs.h"
#define N 6
#include "oracle_programs.h"
#define N 7
#include "oracle_programs.h"
/* Links of the disturber are not compared with anything. */
#define NO_ORACLE

#define N 8
#include "oracle_programs.h"
#define N 9
#include "oracle_programs.h"
#define N 10
#include "oracle_programs.h"
#define N 11
#include "oracle_programs.h"

/* The hook of these is fixed when they are loaded. */
#define HOOK sys_enter
#include "oracle_programs.h"
#define HOOK sys_exit
#include "oracle_programs.h"
#define HOOK sched_switch
#include "oracle_programs.h"
#define HOOK sched_waking
#include "oracle_programs.h"
#define HOOK sched_process_exit
#include "oracle_programs.h"
#define HOOK sched_process_exec
#include "oracle_programs.h"
#define HOOK signal_deliver
#include "oracle_programs.h"
#define HOOK mmap_lock_released
#include "oracle_programs.h"
#define HOOK kmem_cache_free
#include "oracle_programs.h"
#define HOOK softirq_entry
#include "oracle_programs.h"

#define FUNCTION vfs_read
#include "oracle_programs.h"
#define FUNCTION vfs_write
#include "oracle_programs.h"
#define FUNCTION handle_mm_fault
#include "oracle_programs.h"
#define FUNCTION __fput
#include "oracle_programs.h"
#define FUNCTION do_sys_openat2
#include "oracle_programs.h"
#define FUNCTION dequeue_signal
#include "oracle_programs.h"

/* What others attach to the same hooks meanwhile. */
SEC("raw_tracepoint")
int raw_noise(void *ctx)
{
	__sync_fetch_and_add(&noises, 1);
	return 0;
}

SEC("kprobe")
int kprobe_noise(void *ctx)
{
	__sync_fetch_and_add(&noises, 1);
	return 0;
}

SEC("tracepoint")
int classic_noise(void *ctx)
{
	__sync_fetch_and_add(&noises, 1);
	return 0;
}

/*
 * A program that is attached for everybody switches the hook on for everybody,
 * and so could hide that a view has failed to do so for its target. Quiet links
 * are counted elsewhere: in a function that is called once for each event.
 */
static __always_inline void quiet_event(__u32 kind, int nr)
{
	__u32 i = place(bpf_get_current_pid_tgid() >> 32);

	if (i >= WINDOW)
		return;
	for (int link = 0; link < STRICT_LINKS; link++) {
		if (quiet[link] != kind || !member[link][i])
			continue;
		if (quiet_nr[link] != ANY_SYSCALL && quiet_nr[link] != nr)
			continue;
		add(ORACLE, link, i, 0);
	}
}

/* A call that is entered is also left, but for two. */
SEC("fentry/x64_sys_call")
int BPF_PROG(quiet_call, const void *regs, unsigned int nr)
{
	quiet_event(QUIET_ENTER, nr);
	if (nr != NR_EXIT && nr != NR_EXIT_GROUP)
		quiet_event(QUIET_EXIT, nr);
	return 0;
}

/* A new task leaves a call that it has not entered. */
SEC("fentry/schedule_tail")
int BPF_PROG(quiet_birth)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!(BPF_CORE_READ(task, flags) & PF_USER_WORKER))
		quiet_event(QUIET_EXIT, ANY_SYSCALL);
	return 0;
}

SEC("fentry/finalize_exec")
int BPF_PROG(quiet_exec)
{
	quiet_event(QUIET_EXEC, ANY_SYSCALL);
	return 0;
}

SEC("fentry/do_exit")
int BPF_PROG(quiet_death)
{
	quiet_event(QUIET_DEATH, ANY_SYSCALL);
	return 0;
}

/* Current is the parent, and the child has not run yet: targets that are to be
 * followed get to be so before their first event. Not a tracepoint, so that those
 * that could be used are left to quiet links.
 */
SEC("fentry/wake_up_new_task")
int BPF_PROG(track_birth, struct task_struct *task)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 parent = place(tgid);
	__u32 child = place(task->tgid);

	if (parent < WINDOW) {
		quiet_event(QUIET_NEWTASK, ANY_SYSCALL);
		if (!(task->flags & PF_USER_WORKER))
			quiet_event(QUIET_FORK, ANY_SYSCALL);
	}
	if (child >= WINDOW)
		return 0;
	if (parent != child) {
		if (tgid != controller &&
		    (parent >= WINDOW || !in_tree[parent]))
			return 0;
		in_tree[child] = 1;
		__sync_fetch_and_add(&processes, 1);
		for (int link = 0; link < STRICT_LINKS; link++) {
			if (parent < WINDOW && follow[link] &&
			    member[link][parent]) {
				member[link][child] = 1;
				ever[link][child] = 1;
			}
		}
	}
	if (!in_tree[child])
		return 0;
	__sync_fetch_and_add(&live[child], 1);
	__sync_fetch_and_add(&alive, 1);
	return 0;
}

/* When it has been switched out for the last time, and waited for. */
SEC("raw_tracepoint/sched_process_free")
int track_death(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 i = place(BPF_CORE_READ(task, tgid));

	if (i < WINDOW && in_tree[i]) {
		__sync_fetch_and_add(&live[i], -1);
		__sync_fetch_and_add(&alive, -1);
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
