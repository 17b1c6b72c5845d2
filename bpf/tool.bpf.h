/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOL_BPF_H
#define TOOL_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "tool.h"

/*
 * What the programs of all tracing tools have in common: who they run for, a
 * ring for events, and numbers of what was lost.
 */

char LICENSE[] SEC("license") = "GPL";

const volatile struct tool_config config;

/* Thread group IDs, used if there is more than one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} targets SEC(".maps");

/* The size is bpftrace's default, and the paper's. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_LOST);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

static __always_inline __u32 current_tid(void)
{
	return bpf_get_current_pid_tgid();
}

/* With the filter in: is the process not one of the targets? */
static __always_inline bool not_for_us(void)
{
	__u32 tgid;

	if (!config.check_targets)
		return false;
	tgid = current_tgid();
	if (config.target)
		return tgid != config.target;
	return !bpf_map_lookup_elem(&targets, &tgid);
}

/*
 * Several programs count here, and one may interrupt the other: a plain addition
 * could lose a loss.
 */
static __always_inline void count_lost(__u32 why)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &why);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Room in the ring, or NULL: then the event is counted as lost. */
static __always_inline void *reserve(const __u64 size)
{
	void *event = bpf_ringbuf_reserve(&ring, size, 0);

	if (!event)
		count_lost(LOST_ROOM);
	return event;
}

/* The parts of the kernel's types that are used, found by name at load time. */
#define KERNEL_TYPE __attribute__((preserve_access_index))

#endif
